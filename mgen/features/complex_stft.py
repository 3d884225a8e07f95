"""Real and imaginary part of a short-time Fourier transform, and the way back."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from mgen.features.frames import LowestBins

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class ComplexStft(LowestBins):
    """Real and imaginary part of the lowest `bins` of an STFT, float32 [frames, bins, 2]; a full-scale sine is 1.

    Loses the frequencies from bins * sample_rate / n_fft Hz up and the samples after the last whole hop; nothing else.
    The defaults are system 003's. One object owns both directions, so the window cannot differ between them (the
    original's sounds came out two octaves too high because it did).
    """

    bins: int = 128
    n_fft: int = 1000
    hop_length: int = 500
    compression: float = 1.0
    """Exponent on each magnitude, its phase kept; below 1 it lifts quiet partials (0.3 is common)."""

    def __post_init__(self):
        """Refuses what `LowestBins` does, and a compression out of its range."""
        super().__post_init__()
        if not 0 < self.compression <= 1:
            raise ValueError(f"features.compression: expected 0 < compression <= 1, got {self.compression}")

    @property
    def axes(self) -> dict[str, int]:
        """Frames, bins, and 2 parts: real and imaginary."""
        return {**super().axes, "parts": 2}

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, bins, 2]."""
        spectrum = self.stft(wave)
        pair = jnp.stack([spectrum.real, spectrum.imag], axis=-1) / self.full_scale
        return _raise_magnitude(pair, self.compression)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins, 2] to float32 [..., samples]; nothing is invented, `rng` is not used."""
        self.check_features(features)
        pair = _raise_magnitude(features, 1 / self.compression) * self.full_scale
        return self.istft(jax.lax.complex(pair[..., 0], pair[..., 1]))


def _raise_magnitude(pair: Array, exponent: float) -> Array:
    """Raises the length of [..., 2] vectors to a power, their direction kept; at 0 the gradient is 0."""
    if exponent == 1:
        return pair
    square = jnp.sum(jnp.square(pair), axis=-1, keepdims=True)
    some = square > 1e-24  # 240 dB below full scale; a little lower the slope is more than float32 holds
    safe = jnp.where(some, square, 1.0)
    return jnp.where(some, pair * safe ** ((exponent - 1) / 2), 0.0)
