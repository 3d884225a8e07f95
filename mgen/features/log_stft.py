"""Decibels of the magnitude of a short-time Fourier transform; the phase is found again."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from mgen import dsp
from mgen.features.frames import LowestBins, PowerDecibels, check_least

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class LogStft(PowerDecibels, LowestBins):
    """Decibels of the lowest `bins` of an STFT, float32 [frames, bins]: -1 is `floor_db`, 1 is a full-scale sine.

    Loses the phase, which `decode` finds again from its gradient, everything below the floor, the frequencies from
    bins * sample_rate / n_fft Hz up, and the samples after the last whole hop. It has half the numbers of a complex
    STFT; magnitudes with phases from their gradient were found as good on pitched sounds and better on others in
    arXiv:2103.07390.
    """

    frames: int = 128
    """Frames of a clip; 128 of 512 samples at 16 kHz are 4.1 s."""
    hop_length: int = 512
    """Samples between frames; a quarter of a frame or less, or the phase is hard to find."""
    n_iter: int = 32
    """Iterations of `decode`, see `dsp.griffin_lim`."""

    def __post_init__(self):
        """Refuses what `PowerDecibels` and `LowestBins` do, and iterations below 0."""
        super().__post_init__()
        check_least(self, n_iter=0)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, bins]."""
        spectrum = self.stft(wave)
        return self.to_decibels(jnp.square(spectrum.real) + jnp.square(spectrum.imag))

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins] to float32 [..., samples]; what lies at the floor becomes silence."""
        self.check_features(features)
        magnitude = self.all_bins(jnp.sqrt(self.to_power(features)))
        return dsp.griffin_lim(magnitude, rng=rng, n_iter=self.n_iter, length=self.samples, **self.stft_settings)
