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
    and are constant where a partial is steady, which is what makes them easier to learn than a phase. A phase at the
    floor is noise, and not worth learning: there the turn is 0. Each other turn counts from the last frame above the
    floor, and the first is the phase itself. Loses everything below the floor, the frequencies from
    bins * sample_rate / n_fft Hz up, and the samples after the last whole hop.

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
        # At the floor a phase is noise, and of nothing it has no slope: there the angle is taken of 1.
        heard = power > self.floor_power
        phase = jnp.arctan2(jnp.where(heard, spectrum.imag, 0.0), jnp.where(heard, spectrum.real, 1.0)) / jnp.pi
        turns = jnp.where(heard, _principal(phase - _last_heard(phase, heard)), 0.0)
        return jnp.stack([self.to_decibels(power), turns], axis=-1)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins, 2] to float32 [..., samples]; nothing is invented, `rng` is not used."""
        self.check_features(features)
        magnitude = jnp.sqrt(self.to_power(features[..., 0]))
        phase = jnp.pi * jnp.cumsum(features[..., 1], axis=-2)
        return self.istft(jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase)))


def _last_heard(phase: Array, heard: Array) -> Array:
    """The phase [..., frames, bins] at the last frame before each that was heard; 0 where none was."""
    frame = jnp.where(heard, jnp.arange(1, phase.shape[-2] + 1)[:, None], 0)
    # Frame 0 is before the first, so the last of those up to a frame's number is the last before the frame itself.
    pad = [(0, 0)] * (phase.ndim - 2) + [(1, 0), (0, 0)]
    last = jax.lax.cummax(jnp.pad(frame, pad), axis=phase.ndim - 2)[..., :-1, :]
    return jnp.take_along_axis(jnp.pad(phase, pad), last, axis=-2)


def _principal(turns: Array) -> Array:
    """Half turns brought to -1..1."""
    return turns - 2 * jnp.round(turns / 2)
