"""Decibels of a mel spectrogram, and the way back."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from mgen import dsp
from mgen.arrays import check_shape
from mgen.features.frames import check_clip, check_positive, sine_amplitude

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class LogMel:
    """Decibels of a mel power spectrogram, float32 [frames, n_mels]: -1 is `floor_db`, 1 is a full-scale sine.

    Loses the phase and the fine structure inside a mel band (both found again together, see `dsp.mel_to_audio`),
    everything below the floor, and the samples after the last whole hop. The decibels themselves lose nothing above the
    floor.
    """

    sample_rate: int = 22_050
    """Hz."""
    frames: int = 512
    """Frames of a clip; 512 of 512 samples at 22,050 Hz are 11.9 s."""
    n_fft: int = 2048
    """Samples of a frame."""
    hop_length: int = 512
    """Samples between frames."""
    n_mels: int = 128
    """Mel bands."""
    fmin: float = 0.0
    """Lowest frequency, Hz."""
    fmax: float | None = None
    """Highest frequency, Hz; half the sample rate if not given."""
    window: Literal["hann", "hamming"] = "hann"
    """Window of a frame."""
    floor_db: float = -80.0
    """Quietest value kept, decibels below a full-scale sine."""
    n_iter: int = 32
    """Iterations of `decode`, see `dsp.mel_to_audio`."""

    def __post_init__(self):
        """Refuses an empty range, and sizes of which no spectrogram can be made."""
        check_positive(self, "sample_rate", "frames", "n_fft", "hop_length", "n_mels")
        if self.n_iter < 0:
            raise ValueError(f"features.n_iter: expected 0 or more, got {self.n_iter}")
        if not 0 <= self.fmin < (top := self.fmax or self.sample_rate / 2) <= self.sample_rate / 2:
            raise ValueError(
                f"features.fmin, features.fmax: expected 0 <= fmin < fmax <= {self.sample_rate / 2:g} (half the sample "
                f"rate), got {self.fmin:g} and {top:g}"
            )
        check_clip(self)
        if self.floor_db >= 0:
            raise ValueError(f"features.floor_db: expected less than 0, got {self.floor_db}")

    @property
    def samples(self) -> int:
        """Samples of a clip: frames are centred, so the first and the last lie on its ends."""
        return (self.frames - 1) * self.hop_length

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, n_mels)."""
        return (self.frames, self.n_mels)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, n_mels]."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")
        mel = dsp.mel_spectrogram(wave, hop_length=self.hop_length, n_mels=self.n_mels, window=self.window, **self._mel)
        decibels = dsp.power_to_decibels(mel, reference=self._reference, floor_db=self.floor_db)
        return 1 - 2 * decibels / self.floor_db

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, n_mels] to float32 [..., samples]; what lies at the floor becomes silence."""
        check_shape(features, {"...": None, "frames": self.frames, "n_mels": self.n_mels}, "features")
        decibels = (1 - features) * self.floor_db / 2
        mel = jnp.where(features > -1, dsp.decibels_to_power(decibels, reference=self._reference), 0.0)
        return dsp.mel_to_audio(
            mel,
            rng=rng,
            hop_length=self.hop_length,
            window=self.window,
            n_iter=self.n_iter,
            length=self.samples,
            **self._mel,
        )

    @property
    def _mel(self) -> dict:
        return {"sample_rate": self.sample_rate, "n_fft": self.n_fft, "fmin": self.fmin, "fmax": self.fmax}

    @property
    def _reference(self) -> float:
        """Mel power of a sine of amplitude 1 in the middle of the band that weighs it most."""
        return sine_amplitude(self.window, self.n_fft) ** 2 * float(
            dsp.mel_filters(n_mels=self.n_mels, **self._mel).max()
        )
