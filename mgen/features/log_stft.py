"""Decibels of the magnitude of a short-time Fourier transform; the phase is found again."""

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
class LogStft:
    """Decibels of the lowest `bins` of an STFT, float32 [frames, bins]: -1 is `floor_db`, 1 is a full-scale sine.

    Loses the phase, which `decode` finds again from its gradient, everything below the floor, the frequencies from
    bins * sample_rate / n_fft Hz up, and the samples after the last whole hop. It has half the numbers of a complex
    STFT; magnitudes with phases from their gradient were found as good on pitched sounds and better on others in
    arXiv:2103.07390.
    """

    sample_rate: int = 16_000
    """Hz."""
    frames: int = 128
    """Frames of a clip; 128 of 512 samples at 16 kHz are 4.1 s."""
    bins: int = 512
    """Lowest bins that are kept, of 1 + n_fft // 2."""
    n_fft: int = 2048
    """Samples of a frame."""
    hop_length: int = 512
    """Samples between frames; a quarter of a frame or less, or the phase is hard to find."""
    window: Literal["hann", "hamming"] = "hann"
    """Window of a frame."""
    floor_db: float = -80.0
    """Quietest value kept, decibels below a full-scale sine."""
    n_iter: int = 32
    """Iterations of `decode`, see `dsp.griffin_lim`."""

    def __post_init__(self):
        """Refuses more bins than there are, and sizes of which no spectrogram can be made."""
        check_positive(self, "sample_rate", "frames", "bins", "n_fft", "hop_length")
        check_clip(self)
        check_bins(self)
        if self.floor_db >= 0:
            raise ValueError(f"features.floor_db: expected less than 0, got {self.floor_db}")
        if self.n_iter < 0:
            raise ValueError(f"features.n_iter: expected 0 or more, got {self.n_iter}")

    @property
    def samples(self) -> int:
        """Samples of a clip: frames are centred, so the first and the last lie on its ends."""
        return (self.frames - 1) * self.hop_length

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, bins)."""
        return (self.frames, self.bins)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, bins]."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")
        spectrum = dsp.stft(wave, **self._frame)[..., : self.bins]
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        decibels = dsp.power_to_decibels(power, reference=self._reference, floor_db=self.floor_db)
        return 1 - 2 * decibels / self.floor_db

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins] to float32 [..., samples]; what lies at the floor becomes silence."""
        check_shape(features, {"...": None, "frames": self.frames, "bins": self.bins}, "features")
        decibels = (1 - features) * self.floor_db / 2
        power = jnp.where(features > -1, dsp.decibels_to_power(decibels, reference=self._reference), 0.0)
        missing = 1 + self.n_fft // 2 - self.bins
        magnitude = jnp.pad(jnp.sqrt(power), [(0, 0)] * (features.ndim - 1) + [(0, missing)])
        return dsp.griffin_lim(magnitude, rng=rng, n_iter=self.n_iter, length=self.samples, **self._frame)

    @property
    def _frame(self) -> dict:
        return {"n_fft": self.n_fft, "hop_length": self.hop_length, "window": self.window}

    @property
    def _reference(self) -> float:
        """Power of a sine of amplitude 1 in the middle of a bin."""
        return sine_amplitude(self.window, self.n_fft) ** 2
