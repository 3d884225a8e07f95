"""Mel filters and mel spectrograms, equal to librosa's."""

from __future__ import annotations

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.dsp.stft import stft

Array = jax.Array

# Slaney's scale: 3 mels in 200 Hz up to 1 kHz, then 27 mels in a factor of 6.4.
_HERTZ_PER_MEL = 200.0 / 3.0
_BREAK_HERTZ = 1000.0
_BREAK_MEL = _BREAK_HERTZ / _HERTZ_PER_MEL
_MELS_PER_NEPER = 27.0 / np.log(6.4)


@functools.lru_cache(maxsize=32)
def mel_filters(
    *, sample_rate: float, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> np.ndarray:
    """Triangular filters, equally spaced on Slaney's mel scale and each of unit area.

    Same numbers as `librosa.filters.mel`, transposed. Computed once for each setting; the array is read-only.

    Args:
      sample_rate: Hz.
      n_fft: samples per frame of the spectrogram to be filtered.
      n_mels: filters.
      fmin: Hz, lower edge of the first filter.
      fmax: Hz, upper edge of the last; half the sample rate if None.

    Returns:
      float32 [bins, bands], bins = 1 + n_fft // 2.

    Raises:
      ValueError: n_mels or n_fft is less than 1, or 0 <= fmin < fmax <= sample_rate / 2 does not hold.

    Warns:
      UserWarning: some filters are narrower than a bin and hold nothing.

    Reference: Slaney, "Auditory Toolbox", Interval Research technical report 1998-010.
    """
    top = sample_rate / 2 if fmax is None else fmax
    if n_mels < 1:
        raise ValueError(f"n_mels={n_mels}: expected at least 1; 80 and 128 are usual")
    if n_fft < 1:
        raise ValueError(f"n_fft={n_fft}: expected at least 1; 1024 and 2048 are usual")
    if not 0 <= fmin < top <= sample_rate / 2:
        raise ValueError(
            f"fmin={fmin}, fmax={fmax}: expected 0 <= fmin < fmax <= {sample_rate / 2:g}, half of "
            f"sample_rate={sample_rate}; move the edges or raise the rate"
        )
    low, high = _hertz_to_mel(np.array([fmin, top], np.float64))
    edges = _mel_to_hertz(np.linspace(low, high, n_mels + 2))
    widths = np.diff(edges)
    offsets = edges - np.arange(1 + n_fft // 2)[:, None] * (sample_rate / n_fft)  # [bins, edges]
    rising, falling = -offsets[:, :-2] / widths[:-1], offsets[:, 2:] / widths[1:]
    # Rounded before the norm, as librosa does, so that the numbers are equal to the last digit.
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters = (triangles * (2.0 / (edges[2:] - edges[:-2]))).astype(np.float32)
    empty = int(np.sum(filters.max(axis=0) == 0))
    if empty:
        warnings.warn(
            f"n_mels={n_mels}: {empty} empty filters are narrower than a bin of n_fft={n_fft} at {sample_rate} Hz and "
            "always zero; lower n_mels, or raise n_fft or fmin",
            UserWarning,
            stacklevel=2,
        )
    filters.flags.writeable = False
    return filters


def mel_frequencies(*, sample_rate: float, n_mels: int, fmin: float = 0.0, fmax: float | None = None) -> np.ndarray:
    """Centre of each mel filter, Hz: float64 [bands]. Same numbers as `librosa.mel_frequencies(n_mels + 2)[1:-1]`."""
    edges = _hertz_to_mel(np.array([fmin, sample_rate / 2 if fmax is None else fmax], np.float64))
    return _mel_to_hertz(np.linspace(*edges, n_mels + 2))[1:-1]


def mel_spectrogram(
    wave: Array,
    *,
    sample_rate: float,
    n_fft: int,
    hop_length: int,
    n_mels: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    fmin: float = 0.0,
    fmax: float | None = None,
    power: float = 2.0,
) -> Array:
    """Mel spectrogram, not in decibels.

    Same numbers as `librosa.feature.melspectrogram`, transposed.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      n_mels: bands.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      center: whether frames are centred, see `stft`.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      power: exponent of the magnitudes before the filters: 2 for power, 1 for magnitude.

    Returns:
      float32 [..., frames, bands].

    Raises:
      ValueError: power is not above zero, or as in `stft` and `mel_filters`.
    """
    check_power(power)
    filters = mel_filters(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    spectrum = stft(wave, n_fft=n_fft, hop_length=hop_length, win_length=win_length, window=window, center=center)
    # Through the square, and not through abs, whose gradient at silence would have to be invented.
    squared = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    return jnp.matmul(safe_power(squared, power / 2), filters, precision=lax.Precision.HIGHEST)


def check_power(power: float) -> None:
    """Refuses an exponent that is not above zero. Raises ValueError."""
    if not power > 0:
        raise ValueError(f"power={power}: expected a number above zero; 2 is power and 1 is magnitude")


def safe_power(values: Array, exponent: float) -> Array:
    """Power of numbers >= 0, with a gradient of zero at zero, where that of a root is infinite."""
    if exponent == 1:
        return values
    positive = values > 0
    root = jnp.sqrt(jnp.where(positive, values, 1)) if exponent == 0.5 else jnp.where(positive, values, 1) ** exponent
    return jnp.where(positive, root, 0)


def _hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    bend = _BREAK_MEL + _MELS_PER_NEPER * np.log(np.maximum(hertz, _BREAK_HERTZ) / _BREAK_HERTZ)
    return np.where(hertz < _BREAK_HERTZ, hertz / _HERTZ_PER_MEL, bend)


def _mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    bend = _BREAK_HERTZ * np.exp((np.maximum(mel, _BREAK_MEL) - _BREAK_MEL) / _MELS_PER_NEPER)
    return np.where(mel < _BREAK_MEL, mel * _HERTZ_PER_MEL, bend)
