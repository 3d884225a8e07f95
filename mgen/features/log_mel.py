"""Decibels of a mel spectrogram, and the way back."""

from __future__ import annotations

import dataclasses

import jax

from mgen import dsp
from mgen.features.frames import PowerDecibels, check_least

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class LogMel(PowerDecibels):
    """Decibels of a mel power spectrogram, float32 [frames, n_mels]: -1 is `floor_db`, 1 is a full-scale sine.

    Loses the phase and the fine structure inside a mel band (both found again together, see `dsp.mel_to_audio`),
    everything below the floor, and the samples after the last whole hop. The decibels themselves lose nothing above the
    floor.
    """

    sample_rate: int = 22_050
    frames: int = 512
    """Frames of a clip; 512 of 512 samples at 22,050 Hz are 11.9 s."""
    n_mels: int = 128
    """Mel bands."""
    fmin: float = 0.0
    """Lowest frequency, Hz."""
    fmax: float | None = None
    """Highest frequency, Hz; half the sample rate if not given."""
    n_iter: int = 32
    """Iterations of `decode`, see `dsp.mel_to_audio`."""

    def __post_init__(self):
        """Refuses what `PowerDecibels` does, no bands, an empty range, and iterations below 0."""
        super().__post_init__()
        check_least(self, n_mels=1, n_iter=0)
        top = self.fmax or self.sample_rate / 2
        if not 0 <= self.fmin < top <= self.sample_rate / 2:
            raise ValueError(
                f"features.fmin, features.fmax: expected 0 <= fmin < fmax <= {self.sample_rate / 2:g} (half the sample "
                f"rate), got {self.fmin:g} and {top:g}"
            )

    @property
    def axes(self) -> dict[str, int]:
        """Frames and mel bands."""
        return {"frames": self.frames, "n_mels": self.n_mels}

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, n_mels]."""
        self.check_wave(wave)
        mel = dsp.mel_spectrogram(wave, hop_length=self.hop_length, n_mels=self.n_mels, window=self.window, **self._mel)
        return self.to_decibels(mel)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, n_mels] to float32 [..., samples]; what lies at the floor becomes silence."""
        self.check_features(features)
        return dsp.mel_to_audio(
            self.to_power(features),
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
    def reference(self) -> float:
        """Mel power of a sine of amplitude 1 in the middle of the band that weighs it most."""
        return super().reference * float(dsp.mel_filters(n_mels=self.n_mels, **self._mel).max())
