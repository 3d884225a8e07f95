"""How far the mel spectrum of an estimate is from that of its target: in all its detail, and in its coarse shape.

As in `mgen.metrics.spectral`, waves are taken sample for sample, with no alignment.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.dsp import mel_spectrogram, power_to_decibels
from mgen.metrics.clips import check_clips, check_pair, one_by_one
from mgen.metrics.spectral import check_floor, decibels_below

Array = jax.Array


def mel_distance(
    estimate: Array,
    target: Array,
    *,
    sample_rate: float,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    floor_db: float = -80.0,
) -> Array:
    """Mean |difference| of log-mel spectrograms in dB.

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      n_mels: bands.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      floor_db: dB below the largest band of each target, under which all levels are alike.

    Returns:
      float32 [...], dB. A gain of g dB is a distance of |g| where nothing is below the floor.

    Raises:
      ValueError: the shapes differ, floor_db is not below zero, or refused by `check_clips` or `mel_spectrogram`.

    Reference: the usual reconstruction error of vocoders, as in Kong et al., "HiFi-GAN", NeurIPS 2020, here in dB.
    """
    check_floor(floor_db)
    settings = dict(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, fmin=fmin, fmax=fmax)
    return _mel(*check_pair(estimate, target), floor_db=floor_db, **settings)


def mfcc(
    wave: Array,
    *,
    sample_rate: float,
    n_mfcc: int = 20,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    top_db: float = 80.0,
) -> Array:
    """Mel-frequency cepstral coefficients: the orthonormal cosine transform (DCT-II) of log-mel spectra in dB.

    Same numbers as `librosa.feature.mfcc` of one clip, transposed. librosa takes the floor `top_db` below the largest
    band of the whole batch; here it is that of each clip.

    Args:
      wave: float32 [..., samples].
      sample_rate: Hz.
      n_mfcc: coefficients; the first is the level.
      n_fft: samples per frame.
      hop_length: samples between frames.
      n_mels: bands.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      top_db: dB below the largest band of each clip, where its floor is.

    Returns:
      float32 [..., frames, n_mfcc].

    Raises:
      ValueError: n_mfcc is not in 1..n_mels, top_db is not above zero, or refused by `check_clips` or
        `mel_spectrogram`.

    Reference: Davis & Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
      continuously spoken sentences", IEEE Trans. ASSP 28(4), 1980.
    """
    _check_cepstrum(n_mfcc, n_mels, top_db)
    settings = dict(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, fmin=fmin, fmax=fmax)
    return _mfcc(check_clips(wave), n_mfcc=n_mfcc, top_db=top_db, **settings)


def mfcc_distance(
    estimate: Array,
    target: Array,
    *,
    sample_rate: float,
    n_mfcc: int = 20,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    top_db: float = 80.0,
) -> Array:
    """Mel cepstral distance: how far the coarse shapes of two mel spectra are, whatever their level.

    Kubichek's (10 / ln 10) sqrt(2 sum (c - c')^2) over coefficients 1..n_mfcc - 1, where c is the cepstrum of the
    natural logarithm of mel power. With the orthonormal transform of dB that is sqrt(sum (C - C')^2 / n_mels): the
    root mean square in dB between mel spectra from which fine detail and level were taken away. No time warping.

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      sample_rate: Hz.
      n_mfcc: coefficients; the first, the level, is left out.
      n_fft: samples per frame.
      hop_length: samples between frames.
      n_mels: bands.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      top_db: dB below the largest band of each clip, where its own floor is.

    Returns:
      float32 [...], dB, the mean over frames.

    Raises:
      ValueError: the shapes differ, n_mfcc is less than 2, or as in `mfcc`.

    Reference: Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", IEEE PACRIM 1993.
    """
    if n_mfcc < 2:
        raise ValueError(f"n_mfcc={n_mfcc}: expected at least 2, the first is left out; 13 and 20 are usual")
    _check_cepstrum(n_mfcc, n_mels, top_db)
    settings = dict(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, fmin=fmin, fmax=fmax)
    return _mfcc_distance(*check_pair(estimate, target), n_mfcc=n_mfcc, top_db=top_db, **settings)


def _check_cepstrum(n_mfcc: int, n_mels: int, top_db: float) -> None:
    if not 1 <= n_mfcc <= n_mels:
        raise ValueError(f"n_mfcc={n_mfcc}: expected 1 to n_mels={n_mels}; 13 and 20 are usual")
    if not top_db > 0:
        raise ValueError(f"top_db={top_db}: expected a number above zero; 80 is usual")


_MEL_SETTINGS = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax")


@functools.partial(jax.jit, static_argnames=("floor_db", *_MEL_SETTINGS))
def _mel(estimate: Array, target: Array, *, floor_db: float, **settings: Any) -> Array:
    def one(estimate: Array, target: Array) -> Array:
        ours, theirs = decibels_below(
            mel_spectrogram(estimate, **settings), mel_spectrogram(target, **settings), floor_db=floor_db
        )
        return jnp.mean(jnp.abs(ours - theirs))

    return one_by_one(one, estimate, target)


@functools.partial(jax.jit, static_argnames=("n_mfcc", "top_db", *_MEL_SETTINGS))
def _mfcc(wave: Array, **settings: Any) -> Array:
    return one_by_one(functools.partial(_cepstrum, **settings), wave)


@functools.partial(jax.jit, static_argnames=("n_mfcc", "top_db", *_MEL_SETTINGS))
def _mfcc_distance(estimate: Array, target: Array, **settings: Any) -> Array:
    def one(estimate: Array, target: Array) -> Array:
        difference = _cepstrum(estimate, **settings) - _cepstrum(target, **settings)
        squares = jnp.sum(jnp.square(difference[:, 1:]), axis=-1)
        return jnp.mean(jnp.sqrt(squares / settings["n_mels"]))

    return one_by_one(one, estimate, target)


def _cepstrum(wave: Array, *, n_mfcc: int, top_db: float, **settings: Any) -> Array:
    """Coefficients [frames, n_mfcc] of one clip."""
    bands = settings["n_mels"]
    angles = np.pi / bands * (np.arange(bands)[:, None] + 0.5) * np.arange(n_mfcc)
    transform = (np.cos(angles) * np.sqrt(np.where(np.arange(n_mfcc) == 0, 1, 2) / bands)).astype(np.float32)
    levels = power_to_decibels(mel_spectrogram(wave, **settings))
    levels = jnp.maximum(levels, jnp.max(levels) - top_db)
    return jnp.matmul(levels, transform, precision=lax.Precision.HIGHEST)
