"""Losses as functions of arrays; every weight is an argument, and shapes are checked before anything broadcasts."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mgen import dsp
from mgen.arrays import EPSILON, check_same_shape

Array = jax.Array


def l1(estimate: Array, target: Array) -> Array:
    """Mean absolute difference over all axes. On log-mel features in [-1, 1] it is proportional to decibels."""
    check_same_shape(estimate, target)
    return jnp.mean(jnp.abs(estimate - target))


def multi_resolution_stft(estimate: Array, target: Array, *, sizes: tuple[int, ...]) -> Array:
    """How far spectrograms of several frame sizes are apart: their convergence, and their decibels over 20.

    Args:
      estimate: float32 [batch, samples].
      target: float32 [batch, samples].
      sizes: samples of a frame; frames overlap by three quarters.

    Returns:
      The mean over sizes of |A - B| / |B|, as norms of all frames of a clip, and of the mean |log10 A - log10 B|, 100
      dB below a clip's peak and less being the same; a scalar. Of a silent target the first is left out.

    Raises:
      ValueError: the shapes differ, or a frame is too long for the clip.

    Reference: Yamamoto, Song & Kim, "Parallel WaveGAN", ICASSP 2020, arXiv:1910.11480.
    """
    check_same_shape(estimate, target)
    total = jnp.zeros(())
    for size in sizes:
        ours, theirs = (
            jnp.sqrt(jnp.square(found.real) + jnp.square(found.imag) + EPSILON)
            for found in (dsp.stft(wave, n_fft=size, hop_length=size // 4) for wave in (estimate, target))
        )
        # A root has no slope at 0: a clip that is met exactly, as silence is at first, would give NaN.
        squares = [jnp.sum(jnp.square(x), axis=(-2, -1)) for x in (ours - theirs, theirs)]
        norms = [jnp.sqrt(jnp.maximum(square, EPSILON**2)) for square in squares]
        loudest = jnp.max(theirs, axis=(-2, -1), keepdims=True)
        logs = [jnp.log10(jnp.maximum(x, 1e-5 * loudest)) for x in (ours, theirs)]
        convergence = jnp.where(loudest[..., 0, 0] > 1e-4, norms[0] / norms[1], 0)
        total += jnp.mean(convergence) + jnp.mean(jnp.abs(logs[0] - logs[1]))
    return total / len(sizes)


def signal_to_noise_db(estimate: Array, target: Array) -> Array:
    """Energy of the target over that of the error, dB: the mean over clips [batch, samples]; a scalar.

    Raises:
      ValueError: the shapes differ.
    """
    check_same_shape(estimate, target)
    signal, noise = (jnp.sum(jnp.square(x), axis=-1) + EPSILON for x in (target, target - estimate))
    return jnp.mean(10 * jnp.log10(signal / noise))
