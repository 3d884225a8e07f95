"""The modified discrete cosine transform: blocks that overlap by half, and no more numbers than samples.

    wave [..., (blocks - 1) * block] -> mdct -> [..., blocks, block] -> imdct -> the same wave

Each block is a frame of 2 * block samples under a sine window, and the next begins in its middle. What one block
aliases in time the next one cancels, so the transform is orthonormal: it loses nothing, white noise stays white, and
blocks that are changed fade into each other instead of clicking.

Reference: Princen, Johnson & Bradley, "Subband/transform coding using filter bank designs based on time domain aliasing
  cancellation", ICASSP 1987.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mgen.arrays import check_shape

Array = jax.Array


@functools.partial(jax.jit, static_argnames=("block",))
def mdct(wave: Array, *, block: int) -> Array:
    """Modified discrete cosine transform with a sine window; beyond its ends the wave is silent.

    Args:
      wave: float32 [..., samples], a whole number of blocks.
      block: samples between blocks, and coefficients of one; even.

    Returns:
      float32 [..., samples / block + 1, block]; coefficient k is of (k + 1/2) / (2 * block) times the sample rate. The
      first block's middle is where the wave begins, and the last one's where it ends.

    Raises:
      ValueError: block is odd or less than 2, or the wave is no whole number of blocks.
    """
    _check(block)
    samples = wave.shape[-1]
    if not samples or samples % block:
        raise ValueError(f"wave: expected a whole number of blocks of {block} samples, got {samples}")
    window, before, after = _tables(block)
    padded = jnp.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(block, block)])
    halves = padded.reshape(*wave.shape[:-1], samples // block + 2, block)
    frames = jnp.concatenate([halves[..., :-1, :], halves[..., 1:, :]], axis=-1) * window
    spectrum = jnp.fft.fft(frames * before)[..., :block]
    return jnp.real(spectrum * after) * np.sqrt(2 / block).astype(np.float32)


@functools.partial(jax.jit, static_argnames=("block",))
def imdct(coefficients: Array, *, block: int) -> Array:
    """Undoes `mdct`: float32 [..., blocks, block] to [..., (blocks - 1) * block].

    Raises:
      ValueError: block is odd or less than 2, or the coefficients are fewer than two blocks or of another size.
    """
    _check(block)
    check_shape(coefficients, {"...": None, "blocks": None, "block": block}, "coefficients")
    if coefficients.shape[-2] < 2:
        raise ValueError(f"coefficients: expected at least 2 blocks, got {coefficients.shape[-2]}")
    window, before, after = _tables(block)
    spectrum = jnp.pad(coefficients * jnp.conj(after), [(0, 0)] * (coefficients.ndim - 1) + [(0, block)])
    frames = jnp.real(jnp.fft.ifft(spectrum) * jnp.conj(before)) * window * (2 * block * np.sqrt(2 / block))
    whole = frames[..., :-1, block:] + frames[..., 1:, :block]
    return whole.reshape(*coefficients.shape[:-2], -1).astype(jnp.float32)


def _check(block: int) -> None:
    if block < 2 or block % 2:
        raise ValueError(f"block: expected an even number, at least 2, got {block}")


@functools.lru_cache(maxsize=8)
def _tables(block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Window, and what is turned before and after the FFT of 2 * block points, which together make the cosines."""
    times, bins = np.arange(2 * block), np.arange(block)
    window = np.sin(np.pi * (times + 0.5) / (2 * block))
    before = np.exp(-1j * np.pi * times / (2 * block))
    after = np.exp(-1j * np.pi * (0.5 + block / 2) * (bins + 0.5) / block)
    return window.astype(np.float32), before.astype(np.complex64), after.astype(np.complex64)
