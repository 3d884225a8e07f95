"""What a sound's spectrum is like, frame by frame and over a whole clip: how bright, how wide, how much like noise."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgen.arrays import EPSILON
from mgen.dsp import stft
from mgen.metrics.clips import check_clips, one_by_one

Array = jax.Array


class Timbre(NamedTuple):
    """Means over the sounding frames of a clip, each float32 [...]; NaN where no frame sounds.

    rolloff: Hz below which 85 % of the magnitude is.
    bandwidth: Hz below which 99 % of the energy is.
    spread: Hz, the standard deviation of the magnitude spectrum around its centroid (librosa's spectral bandwidth).
    flatness: near 0 for a tone, 0.56 for white noise, 1 for a click; bins 100 dB below the largest count as that.
    """

    rolloff: Array
    bandwidth: Array
    spread: Array
    flatness: Array


def rolloff(
    wave: Array,
    *,
    sample_rate: float,
    n_fft: int = 2048,
    hop_length: int = 512,
    roll_percent: float = 0.85,
    power: float = 1.0,
) -> Array:
    """Frequency below which a share of the spectrum is.

    Same numbers as `librosa.feature.spectral_rolloff` of the magnitudes raised to `power`. With `roll_percent=0.99,
    power=2` it is the bandwidth that holds 99 % of the energy.

    Args:
      wave: float32 [..., samples].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      roll_percent: the share, between 0 and 1 as in librosa, whatever its name says.
      power: exponent of the magnitudes that are summed: 1 for magnitude and 2 for energy.

    Returns:
      float32 [..., frames], Hz; 0 for a frame of zeros.

    Raises:
      ValueError: roll_percent is not between 0 and 1, power is not above zero, or refused by `check_clips` or `stft`.

    Reference: Scheirer & Slaney, "Construction and evaluation of a robust multifeature speech/music discriminator",
      ICASSP 1997.
    """
    if not 0 < roll_percent < 1:
        raise ValueError(f"roll_percent={roll_percent}: expected a share between 0 and 1; 0.85 and 0.99 are usual")
    if not power > 0:
        raise ValueError(f"power={power}: expected a number above zero; 2 is energy and 1 is magnitude")
    settings = dict(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length)
    return _rolloff(check_clips(wave), roll_percent=roll_percent, power=power, **settings)


def spectral_bandwidth(
    wave: Array, *, sample_rate: float, n_fft: int = 2048, hop_length: int = 512, p: float = 2.0
) -> Array:
    """Spread of the magnitude spectrum around its centroid, (sum of shares * |f - centroid| ** p) ** (1 / p).

    Same numbers as `librosa.feature.spectral_bandwidth`.

    Args:
      wave: float32 [..., samples].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      p: exponent of the distance from the centroid; 2 is a standard deviation.

    Returns:
      float32 [..., frames], Hz; 0 for a frame of zeros.

    Raises:
      ValueError: p is not above zero, or refused by `check_clips` or `stft`.

    Reference: Klapuri & Davy, "Signal processing methods for music transcription", chapter 5, Springer 2006.
    """
    if not p > 0:
        raise ValueError(f"p={p}: expected a number above zero; 2 is a standard deviation")
    return _spread(check_clips(wave), sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, p=p)


def spectral_flatness(
    wave: Array, *, n_fft: int = 2048, hop_length: int = 512, power: float = 2.0, amin: float = 1e-10
) -> Array:
    """Geometric over arithmetic mean of the spectrum: near 0 for tones, 1 where all bins are equal.

    Same numbers as `librosa.feature.spectral_flatness`. White noise is exp(-0.577) = 0.56 and not 1, because its power
    in a bin is exponentially distributed.

    Args:
      wave: float32 [..., samples].
      n_fft: samples per frame.
      hop_length: samples between frames.
      power: exponent of the magnitudes.
      amin: what is less counts as this, so that a frame of zeros is flat.

    Returns:
      float32 [..., frames], 0 to 1; 1 for a frame of zeros.

    Raises:
      ValueError: power or amin is not above zero, or refused by `check_clips` or `stft`.

    Reference: Dubnov, "Generalization of spectral flatness measure for non-Gaussian linear processes", IEEE Signal
      Processing Letters 11(8), 2004.
    """
    if not power > 0:
        raise ValueError(f"power={power}: expected a number above zero; 2 is energy and 1 is magnitude")
    if not amin >= np.finfo(np.float32).tiny:
        raise ValueError(f"amin={amin}: expected a number above zero that float32 holds; 1e-10 is usual")
    return _flatness(check_clips(wave), n_fft=n_fft, hop_length=hop_length, power=power, amin=amin)


def timbre(
    wave: Array, *, sample_rate: float, n_fft: int = 2048, hop_length: int = 512, floor_db: float = -60.0
) -> Timbre:
    """Rolloff, bandwidth, spread and flatness of whole clips, from one transform.

    A frame sounds if its energy is above 1e-10 and above `floor_db` below the loudest of its clip. The others would
    drag a mean to what rounding noise looks like: librosa's numbers for a frame of zeros are 0 Hz and a flatness of 1.

    Args:
      wave: float32 [..., samples].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      floor_db: dB below the loudest frame of each clip, under which a frame is silent.

    Returns:
      `Timbre` of float32 [...].

    Raises:
      ValueError: floor_db is not below zero, or refused by `check_clips` or `stft`.

    Reference: Peeters, "A large set of audio features for sound description", IRCAM, 2004, and those of each measure.
    """
    if not floor_db < 0:
        raise ValueError(f"floor_db={floor_db}: expected a number below 0, dB under the loudest frame; -60 is usual")
    settings = dict(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length)
    return _timbre(check_clips(wave), floor_db=floor_db, **settings)


def _magnitude(wave: Array, n_fft: int, hop_length: int) -> Array:
    return jnp.abs(stft(wave, n_fft=n_fft, hop_length=hop_length))


def _frequencies(sample_rate: float, n_fft: int) -> np.ndarray:
    return (np.arange(1 + n_fft // 2) * (sample_rate / n_fft)).astype(np.float32)


def _rolloff_of(spectrum: Array, frequencies: np.ndarray, share: float) -> Array:
    total = jnp.cumsum(spectrum, axis=-1)
    return frequencies[jnp.argmax(total >= share * total[..., -1:], axis=-1)]


def _spread_of(magnitude: Array, frequencies: np.ndarray, p: float) -> Array:
    total = jnp.sum(magnitude, axis=-1, keepdims=True)
    shares = jnp.where(total > 0, magnitude / jnp.where(total > 0, total, 1), 0)
    centroid = jnp.sum(shares * frequencies, axis=-1, keepdims=True)
    return jnp.sum(shares * jnp.abs(frequencies - centroid) ** p, axis=-1) ** (1 / p)


def _flatness_of(spectrum: Array, amin: float | Array) -> Array:
    spectrum = jnp.maximum(spectrum, amin)
    return jnp.exp(jnp.mean(jnp.log(spectrum), axis=-1)) / jnp.mean(spectrum, axis=-1)


@functools.partial(jax.jit, static_argnames=("sample_rate", "n_fft", "hop_length", "roll_percent", "power"))
def _rolloff(
    wave: Array, *, sample_rate: float, n_fft: int, hop_length: int, roll_percent: float, power: float
) -> Array:
    frequencies = jnp.asarray(_frequencies(sample_rate, n_fft))

    def one(wave: Array) -> Array:
        return _rolloff_of(_magnitude(wave, n_fft, hop_length) ** power, frequencies, roll_percent)

    return one_by_one(one, wave)


@functools.partial(jax.jit, static_argnames=("sample_rate", "n_fft", "hop_length", "p"))
def _spread(wave: Array, *, sample_rate: float, n_fft: int, hop_length: int, p: float) -> Array:
    frequencies = _frequencies(sample_rate, n_fft)
    return one_by_one(lambda wave: _spread_of(_magnitude(wave, n_fft, hop_length), frequencies, p), wave)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "power", "amin"))
def _flatness(wave: Array, *, n_fft: int, hop_length: int, power: float, amin: float) -> Array:
    return one_by_one(lambda wave: _flatness_of(_magnitude(wave, n_fft, hop_length) ** power, amin), wave)


@functools.partial(jax.jit, static_argnames=("sample_rate", "n_fft", "hop_length", "floor_db"))
def _timbre(wave: Array, *, sample_rate: float, n_fft: int, hop_length: int, floor_db: float) -> Timbre:
    frequencies = jnp.asarray(_frequencies(sample_rate, n_fft))

    def one(wave: Array) -> Timbre:
        magnitude = _magnitude(wave, n_fft, hop_length)
        power = jnp.square(magnitude)
        energy = jnp.sum(power, axis=-1)
        sounds = (energy > EPSILON) & (energy >= jnp.max(energy) * 10 ** (floor_db / 10))
        each = Timbre(
            rolloff=_rolloff_of(magnitude, frequencies, 0.85),
            bandwidth=_rolloff_of(power, frequencies, 0.99),
            spread=_spread_of(magnitude, frequencies, 2.0),
            # Unlike librosa's fixed floor, one that makes a clip as flat turned down as it was loud.
            flatness=_flatness_of(power, jnp.maximum(jnp.max(power), EPSILON) * EPSILON),
        )
        # 0 / 0 is the NaN of a clip without a sounding frame.
        return jax.tree.map(lambda values: jnp.sum(jnp.where(sounds, values, 0)) / jnp.sum(sounds), each)

    return one_by_one(one, wave)
