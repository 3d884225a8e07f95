"""Real and imaginary part of a short-time Fourier transform, and the way back."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from mgen import dsp
from mgen.arrays import check_shape
from mgen.features.frames import check_bins, check_clip, check_positive, sine_amplitude

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class ComplexStft:
    """Real and imaginary part of the lowest `bins` of an STFT, float32 [frames, bins, 2]; a full-scale sine is 1.

    Loses the frequencies from bins * sample_rate / n_fft Hz up and the samples after the last whole hop; nothing else.
    The defaults are system 003's. One object owns both directions, so the window cannot differ between them (the
    original's sounds came out two octaves too high because it did).
    """

    sample_rate: int = 16_000
    """Hz."""
    frames: int = 128
    """Frames of a clip."""
    bins: int = 128
    """Lowest bins that are kept, of 1 + n_fft // 2."""
    n_fft: int = 1000
    """Samples of a frame."""
    hop_length: int = 500
    """Samples between frames."""
    window: Literal["hann", "hamming"] = "hann"
    """Window of a frame."""
    compression: float = 1.0
    """Exponent on each magnitude, its phase kept; below 1 it lifts quiet partials (0.3 is common)."""

    def __post_init__(self):
        """Refuses more bins than there are, and sizes of which no spectrogram can be made."""
        check_positive(self, "sample_rate", "frames", "bins", "n_fft", "hop_length")
        check_clip(self)
        check_bins(self)
        if not 0 < self.compression <= 1:
            raise ValueError(f"features.compression: expected 0 < compression <= 1, got {self.compression}")

    @property
    def samples(self) -> int:
        """Samples of a clip."""
        return (self.frames - 1) * self.hop_length

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, bins, 2)."""
        return (self.frames, self.bins, 2)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, bins, 2]."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")
        spectrum = dsp.stft(wave, n_fft=self.n_fft, hop_length=self.hop_length, window=self.window)[..., : self.bins]
        pair = jnp.stack([spectrum.real, spectrum.imag], axis=-1) / sine_amplitude(self.window, self.n_fft)
        return _raise_magnitude(pair, self.compression)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins, 2] to float32 [..., samples]; nothing is invented, `rng` is not used."""
        check_shape(features, {"...": None, "frames": self.frames, "bins": self.bins, "parts": 2}, "features")
        pair = _raise_magnitude(features, 1 / self.compression) * sine_amplitude(self.window, self.n_fft)
        spectrum = jax.lax.complex(pair[..., 0], pair[..., 1])
        missing = 1 + self.n_fft // 2 - self.bins
        spectrum = jnp.pad(spectrum, [(0, 0)] * (spectrum.ndim - 1) + [(0, missing)])
        return dsp.istft(
            spectrum, n_fft=self.n_fft, hop_length=self.hop_length, window=self.window, length=self.samples
        )


def _raise_magnitude(pair: Array, exponent: float) -> Array:
    """Raises the length of [..., 2] vectors to a power, their direction kept; the gradient is finite at 0."""
    if exponent == 1:
        return pair
    square = jnp.sum(jnp.square(pair), axis=-1, keepdims=True)
    some = square > 0
    safe = jnp.where(some, square, 1.0)
    return jnp.where(some, pair * safe ** ((exponent - 1) / 2), 0.0)
