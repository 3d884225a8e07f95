"""How loud each part of a mixture is, where the parts are known: what the levels of a mixing desk were set to."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mgen.arrays import check_shape
from mgen.dsp import mel_spectrogram
from mgen.metrics.clips import check_clips

Array = jax.Array

_STEPS = 200
_MEL = {"n_fft": 2048, "hop_length": 1024, "n_mels": 64}
_FLOOR = 1e-9  # of the loudest point, in power: what is below is rounding


def part_levels(wave: Any, parts: Any, *, sample_rate: float) -> np.ndarray:
    """The gains with which the parts, added, are nearest to a mixture.

    Powers of mel bands are taken to add up, so phases do not matter, and a sound that was made anew is measured as well
    as a recorded one. Nearest is by the Kullback-Leibler divergence, which weighs a quiet point more than a loud one.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1], the mixtures.
      parts: float32 [..., parts, samples], each at level 1; leading axes as wave's.
      sample_rate: Hz.

    Returns:
      float64 [..., parts], linear gains, >= 0. 0 for a part that is silent, and all 0 for silence.

    Raises:
      ValueError: the shapes do not fit, or refused by `check_clips` or `mel_spectrogram`.

    Reference: Lee & Seung, "Algorithms for non-negative matrix factorization", NeurIPS 2000, with the parts given.
    """
    wave, parts = check_clips(wave, shortest=_MEL["n_fft"]), check_clips(parts, shortest=_MEL["n_fft"], name="parts")
    sizes = {f"axis {axis}": size for axis, size in enumerate(wave.shape[:-1])}
    check_shape(parts, {**sizes, "parts": None, "samples": wave.shape[-1]}, "parts")
    return np.asarray(_levels(wave, parts, sample_rate=float(sample_rate)), np.float64)


@functools.partial(jax.jit, static_argnames=("sample_rate",))
def _levels(wave: Array, parts: Array, *, sample_rate: float) -> Array:
    power = functools.partial(mel_spectrogram, sample_rate=sample_rate, **_MEL)
    mix, own = (values.reshape(*values.shape[:-2], -1) for values in (power(wave), power(parts)))
    largest = jnp.maximum(jnp.max(own, axis=(-2, -1)), jnp.max(mix, axis=-1))[..., None]
    floor = jnp.maximum(_FLOOR * largest, jnp.finfo(jnp.float32).tiny)
    weight = jnp.sum(own, axis=-1)  # [..., parts]

    def step(gain: Array, _: None) -> tuple[Array, None]:
        sums = jnp.einsum("...p,...pn->...n", gain, own) + floor
        seen = jnp.einsum("...pn,...n->...p", own, mix / sums)
        return gain * seen / jnp.maximum(weight, floor), None

    start = jnp.where(weight > 0, 1.0, 0.0)
    gain, _ = jax.lax.scan(step, start, None, length=_STEPS)
    return jnp.sqrt(gain)
