"""Decibels and instantaneous frequency of a short-time Fourier transform, and the way back."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from mgen.features.frames import Decibels, LowestBins

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class InstantaneousFrequency(Decibels, LowestBins):
    """Decibels, and how far each phase turns from frame to frame, of the lowest `bins`: float32 [frames, bins, 2].

    Decibels go from -1, which is `floor_db`, to 1, a full-scale sine, as in `LogStft`; turns from -1 to 1 half a turn,
    and are constant where a partial is steady, which is what makes them easier to learn than a phase. The first frame
    has the phase itself. Loses everything below the floor, the frequencies from bins * sample_rate / n_fft Hz up, and
    the samples after the last whole hop.

    Reference: Engel et al., "GANSynth: adversarial neural audio synthesis", ICLR 2019, arXiv:1902.08710.
    """

    @property
    def axes(self) -> dict[str, int]:
        """Frames, bins, and 2 parts: decibels and turns."""
        return {**super().axes, "parts": 2}

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, bins, 2]."""
        spectrum = self.stft(wave)
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        # The angle of nothing has no slope: where there is nothing it is taken of 1.
        some = power > 0
        phase = jnp.arctan2(jnp.where(some, spectrum.imag, 0.0), jnp.where(some, spectrum.real, 1.0)) / jnp.pi
        before = jnp.concatenate([jnp.zeros_like(phase[..., :1, :]), phase[..., :-1, :]], axis=-2)
        return jnp.stack([self.to_decibels(power), _principal(phase - before)], axis=-1)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins, 2] to float32 [..., samples]; nothing is invented, `rng` is not used."""
        self.check_features(features)
        magnitude = jnp.sqrt(self.to_power(features[..., 0]))
        phase = jnp.pi * jnp.cumsum(features[..., 1], axis=-2)
        return self.istft(jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase)))


def _principal(turns: Array) -> Array:
    """Half turns brought to -1..1."""
    return turns - 2 * jnp.round(turns / 2)
