"""Sounds as points: a fixed embedding of waves, for distances between clips and between sets of clips.

No network is trained, so nothing can go out of date or favour the data it was trained on; nor does it know what music
is. It hears the average spectrum, how far each band moves, and how fast: colour, dynamics and liveliness, and neither
melody nor order in time.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from mgen.dsp import mel_spectrogram, power_to_decibels

Array = jax.Array

# Middle and spread, dB, of level, deviation and deviation of the change from frame to frame, over bands and clips: of
# 190 clips of 4 s from 18 pieces of the audio pack (-16 and 16, 7.8 and 5.3, 3.5 and 1.8), rounded and then fixed, so
# that every statistic weighs about alike and no set of clips changes another's numbers.
_LEVEL, _DEVIATION, _CHANGE = (-20.0, 15.0), (8.0, 5.0), (3.5, 2.0)


@functools.partial(
    jax.jit,
    static_argnames=("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "floor_db"),
)
def embed(
    wave: Array,
    *,
    sample_rate: float,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 20,
    fmin: float = 0.0,
    fmax: float | None = None,
    floor_db: float = -80.0,
) -> Array:
    """Statistics over time of the log-mel spectrogram.

    For each band its mean in dB, its standard deviation, and the standard deviation of its change from frame to frame,
    each less a fixed number and over a fixed number, so that music spreads by about 1. A gain moves the means alone, by
    1 for every 15 dB, down to the floor. Only clips of the same settings may be compared, and of about the same length.

    The bands are few by default because a Frechet distance wants more clips than dimensions.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames; no frame reaches over the ends of the wave.
      n_mels: bands.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      floor_db: dB, below which all levels are alike; a sine at full scale has about +30 dB.

    Returns:
      float32 [..., 3 * n_mels]: means, then deviations, then deviations of the change. Silence is -4, -1.6, -1.75.

    Raises:
      ValueError: the wave has fewer than two frames, or as in `mel_spectrogram` and `power_to_decibels`.

    Reference: mean and variance of spectra and of their changes, Tzanetakis & Cook, "Musical genre classification of
      audio signals", IEEE Trans. Speech and Audio Processing 10(5), 2002, here of mel bands.
    """
    mel = mel_spectrogram(
        wave, sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, fmin=fmin, fmax=fmax,
        center=False,
    )  # fmt: skip
    if mel.shape[-2] < 2:
        raise ValueError(f"wave: 1 frame of n_fft={n_fft} has no change; give {n_fft + hop_length} samples or more")
    decibels = power_to_decibels(mel, floor_db=floor_db)
    statistics = (
        (jnp.mean(decibels, axis=-2), _LEVEL),
        (jnp.std(decibels, axis=-2), _DEVIATION),
        (jnp.std(jnp.diff(decibels, axis=-2), axis=-2), _CHANGE),
    )
    return jnp.concatenate([(values - middle) / spread for values, (middle, spread) in statistics], axis=-1)
