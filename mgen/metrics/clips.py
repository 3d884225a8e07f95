"""Clips in, numbers out: what every metric refuses, and how many clips are in memory at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import check_same_shape

Array = jax.Array


def check_clips(wave: Any, *, shortest: int = 1, name: str = "wave") -> Array:
    """Refuses what no metric can measure, so that a broken clip is named and no NaN travels into a mean.

    Args:
      wave: floats [..., samples].
      shortest: samples that the metric needs.
      name: what the array is called in the message.

    Returns:
      The same as float32.

    Raises:
      ValueError: wave is a scalar, not of floats, shorter than `shortest`, or holds NaN or infinity. Inside `jax.jit`
        values are not known: there a NaN is not refused, and `one_by_one` makes the number of its own clip NaN.
    """
    if np.ndim(wave) == 0:
        raise ValueError(f"{name}: expected [..., samples], got a scalar; give at least one axis")
    if not jnp.issubdtype(jnp.result_type(wave), jnp.floating):
        raise ValueError(f"{name}: expected floats in [-1, 1], got {jnp.result_type(wave)}; scale and convert it first")
    if np.shape(wave)[-1] < shortest:
        raise ValueError(
            f"{name}: {np.shape(wave)[-1]} samples are too few; give at least {shortest}, or smaller frames"
        )
    if not isinstance(wave, jax.core.Tracer):
        finite = (jnp if isinstance(wave, jax.Array) else np).isfinite(wave).all(axis=-1)
        if not finite.all():
            broken = np.argwhere(~np.asarray(finite))
            where = (
                f"in {len(broken)} of {finite.size} clips, first {tuple(map(int, broken[0]))}" if finite.ndim else ""
            )
            raise ValueError(f"{name}: holds NaN or infinity {where}".rstrip() + "; repair it or leave it out")
    return jnp.asarray(wave, jnp.float32)


def check_pair(estimate: Any, target: Any, *, shortest: int = 1) -> tuple[Array, Array]:
    """Refuses two waves that cannot be compared, and gives both as float32.

    Raises:
      ValueError: their shapes differ, or as in `check_clips`.
    """
    check_same_shape(estimate, target)
    waves = (("estimate", estimate), ("target", target))
    return tuple(check_clips(wave, shortest=shortest, name=name) for name, wave in waves)


def one_by_one(function: Callable, *arrays: Array) -> Any:
    """Applies a function of single clips to each of a batch in turn.

    A spectrogram of one clip fits the cache of a processor and one of a batch does not; memory is that of one clip.

    Args:
      function: maps the samples of each array's clip to a tree of arrays, in pure JAX.
      *arrays: waves [..., samples] with equal leading axes.

    Returns:
      The tree, each leaf behind the leading axes; NaN throughout where a clip holds NaN or infinity.
    """
    *leading, samples = arrays[0].shape

    def guarded(clips: list[Array]) -> Any:
        # A comparison swallows NaN: without this a broken clip would be one that is not clipped, or silent.
        finite = functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(clip)) for clip in clips])
        return jax.tree.map(lambda leaf: jnp.where(finite, leaf, jnp.nan), function(*clips))

    made = lax.map(guarded, [array.reshape(math.prod(leading), samples) for array in arrays])
    return jax.tree.map(lambda leaf: leaf.reshape(*leading, *leaf.shape[1:]), made)
