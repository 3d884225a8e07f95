"""Stereo from mono: a side signal that the ear cannot match with the middle makes one sound wide."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mgen.arrays import check_shape

Array = jax.Array

_CORNER_HZ, _STEEP = 200.0, 16  # of the side's high-pass, and exponent of the frequency in its power response
_STAGES, _GAIN = 3, 0.5  # of the all-pass chain
_SHORTEST_S, _LONGEST_S = 0.003, 0.011  # of a stage; the chain is 60 dB down after some 0.1 s
_TAIL_S = 0.2


def widen(wave: Array, *, rng: Array, sample_rate: int, width: float = 0.5) -> Array:
    """A mono wave on two channels: the middle as it was, left plus and right minus a decorrelated side.

    The side is the wave through a delay and a chain of all-pass filters, as loud as the wave at every frequency, times
    `width`; it is made quieter where its peak would be above width times the wave's, so no sample is larger than
    1 + width times that peak. It has no bass: 150 Hz is 20 dB down and 100 Hz 48 dB, so bass stays in the middle. Half
    of left plus right is the wave itself. The channels' correlation is about (1 - width**2) / (1 + width**2), 0.6 at
    0.5, and higher where there is bass: 0.6 to 1 for music. A lone tone leans to one side, as in any stereo that is
    made so. It is jit-able and differentiable; a batch equals its items, which share the filter.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      rng: key that the delays are drawn from.
      sample_rate: Hz.
      width: of the side to the middle, amplitude, 0 (mono) to 1 (left and right have nothing in common).

    Returns:
      float32 [..., samples, 2]: left and right. Silence in gives silence out.

    Raises:
      ValueError: width is not in 0..1, or wave is not of floats or has no samples.

    Reference: Schroeder, "An artificial stereophonic effect obtained from a single audio signal", J. Audio Eng. Soc.
      6(2), 1958, with the all-pass filter of Schroeder & Logan, "Colorless artificial reverberation", 1961.
    """
    wave = jnp.asarray(wave)
    check_shape(wave, {"...": None, "samples": None}, "wave")
    if not jnp.issubdtype(wave.dtype, jnp.floating):
        raise ValueError(f"wave: expected floats in [-1, 1], got {wave.dtype}; scale and convert it first")
    if not wave.shape[-1]:
        raise ValueError(f"wave: expected at least 1 sample, got {wave.shape}")
    if not 0 <= width <= 1:
        raise ValueError(f"width={width}: expected 0 (mono) to 1 (nothing in common); 0.5 is usual")
    wave = wave.astype(jnp.float32)
    samples = wave.shape[-1]
    size = samples + round(_TAIL_S * sample_rate)  # so that the end does not ring into the beginning
    response = _all_pass(rng, np.fft.rfftfreq(size).astype(np.float32), sample_rate) * _high_pass(size, sample_rate)
    side = jnp.fft.irfft(jnp.fft.rfft(wave, size) * response, size)[..., :samples]
    peak, own = (jnp.max(jnp.abs(sound), axis=-1, keepdims=True) for sound in (wave, side))
    side = side * (width * jnp.minimum(1, peak / jnp.where(own > 0, own, 1)))
    return jnp.stack([wave + side, wave - side], axis=-1)


def _all_pass(rng: Array, frequencies: np.ndarray, sample_rate: int) -> Array:
    """The response of a delay and the chain at frequencies in cycles a sample: 1 everywhere in size.

    Without the delay the side would begin with a copy of the middle, and one channel would be the louder.
    """
    delays = jax.random.uniform(rng, (1 + _STAGES,), minval=_SHORTEST_S, maxval=_LONGEST_S) * sample_rate
    first, *delayed = (jnp.exp(-2j * np.pi * frequencies * jnp.round(delay)) for delay in delays)
    for turn in delayed:
        first = first * (turn - _GAIN) / (1 - _GAIN * turn)
    return first


def _high_pass(size: int, sample_rate: int) -> np.ndarray:
    """The size of the response at the frequencies of `rfft` of `size` samples."""
    ratio = np.fft.rfftfreq(size, 1 / sample_rate) / _CORNER_HZ
    return np.sqrt(ratio**_STEEP / (1 + ratio**_STEEP)).astype(np.float32)
