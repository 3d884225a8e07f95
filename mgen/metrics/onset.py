"""Where notes begin: the curve that every question about rhythm starts from."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from mgen.dsp import mel_spectrogram, power_to_decibels

Array = jax.Array


@functools.partial(
    jax.jit,
    static_argnames=(
        "sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "lag", "max_size", "top_db", "center"
    ),
)  # fmt: skip
def onset_envelope(
    wave: Array,
    *,
    sample_rate: float,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    lag: int = 1,
    max_size: int = 1,
    top_db: float = 80.0,
    center: bool = False,
) -> Array:
    """How much louder each frame is than an earlier one: mel spectral flux, the mean over bands of the rise in dB.

    With `center=True` the same numbers as `librosa.onset.onset_strength`, but for a batch: `top_db` is held against
    each item's own peak. By default no frame reaches over the ends, where a wave that is cut and continued by zeros has
    two onsets that nobody played, and no values are put in front.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      n_mels: bands.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      lag: frames between the two that are compared.
      max_size: bands over which the earlier frame's maximum is taken; 3 keeps vibrato from looking like onsets.
      top_db: what lies further below the item's peak is taken as that far below, dB.
      center: whether to pad, shift and number frames as librosa does.

    Returns:
      float32 [..., frames - lag], dB, >= 0; with `center=True` [..., frames], the same as of `stft`.

    Raises:
      ValueError: lag, max_size or top_db is not above zero, there are no more than `lag` frames, or as in
        `mel_spectrogram`.

    Reference: Ellis, "Beat tracking by dynamic programming", J. New Music Research 36(1), 2007; Bock & Widmer,
      "Maximum filter vibrato suppression for onset detection", DAFx 2013, for max_size.
    """
    for name, value in (("lag", lag), ("max_size", max_size), ("top_db", top_db)):
        if not value > 0:
            raise ValueError(f"{name}={value}: expected a number above zero; librosa's is 1 (80 for top_db)")
    mel = mel_spectrogram(
        wave, sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, fmin=fmin, fmax=fmax,
        center=center,
    )  # fmt: skip
    if mel.shape[-2] <= lag:
        raise ValueError(f"wave: {mel.shape[-2]} frames are too few for lag={lag}; give a longer wave or smaller hop")
    decibels = power_to_decibels(mel)
    decibels = jnp.maximum(decibels, jnp.max(decibels, axis=(-2, -1), keepdims=True) - top_db)
    window = (1,) * (decibels.ndim - 1) + (max_size,)
    margin = [(0, 0)] * (decibels.ndim - 1) + [(max_size // 2, max_size - 1 - max_size // 2)]
    before = lax.reduce_window(decibels, -jnp.inf, lax.max, window, (1,) * decibels.ndim, margin)
    rise = jnp.mean(jnp.maximum(decibels[..., lag:, :] - before[..., :-lag, :], 0), axis=-1)
    if not center:
        return rise
    shift = lag + n_fft // (2 * hop_length)
    return jnp.pad(rise, [(0, 0)] * (rise.ndim - 1) + [(shift, 0)])[..., : mel.shape[-2]]
