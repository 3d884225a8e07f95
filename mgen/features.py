"""What a model sees of a waveform, and the way back: one frozen dataclass per representation.

Each is scaled to about [-1, 1] by a fixed rule for every item by itself, runs on the device inside the compiled step,
and says in its docstring what it loses.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from mgen import dsp
from mgen.arrays import check_shape

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Waveform:
    """The waveform itself, float32 [samples]. Loses nothing."""

    sample_rate: int = 16_000
    """Hz."""
    samples: int = 16_384
    """Samples of a clip."""

    def __post_init__(self):
        """Refuses sizes below 1."""
        _check_positive(self, "sample_rate", "samples")

    @property
    def shape(self) -> tuple[int, ...]:
        """(samples,)."""
        return (self.samples,)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to itself."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")
        return wave

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., samples] to itself."""
        check_shape(features, {"...": None, "samples": self.samples}, "features")
        return features


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
        _check_positive(self, "sample_rate", "frames", "n_fft", "hop_length", "n_mels")
        if self.n_iter < 0:
            raise ValueError(f"features.n_iter: expected 0 or more, got {self.n_iter}")
        if not 0 <= self.fmin < (top := self.fmax or self.sample_rate / 2) <= self.sample_rate / 2:
            raise ValueError(
                f"features.fmin, features.fmax: expected 0 <= fmin < fmax <= {self.sample_rate / 2:g} (half the sample "
                f"rate), got {self.fmin:g} and {top:g}"
            )
        _check_clip(self)
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
        return _sine_amplitude(self.window, self.n_fft) ** 2 * float(
            dsp.mel_filters(n_mels=self.n_mels, **self._mel).max()
        )


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
        _check_positive(self, "sample_rate", "frames", "bins", "n_fft", "hop_length")
        _check_clip(self)
        if not 1 <= self.bins <= 1 + self.n_fft // 2:
            raise ValueError(f"features.bins: expected 1 to {1 + self.n_fft // 2} (1 + n_fft // 2), got {self.bins}")
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
        pair = jnp.stack([spectrum.real, spectrum.imag], axis=-1) / _sine_amplitude(self.window, self.n_fft)
        return _raise_magnitude(pair, self.compression)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins, 2] to float32 [..., samples]; nothing is invented, `rng` is not used."""
        check_shape(features, {"...": None, "frames": self.frames, "bins": self.bins, "parts": 2}, "features")
        pair = _raise_magnitude(features, 1 / self.compression) * _sine_amplitude(self.window, self.n_fft)
        spectrum = jax.lax.complex(pair[..., 0], pair[..., 1])
        missing = 1 + self.n_fft // 2 - self.bins
        spectrum = jnp.pad(spectrum, [(0, 0)] * (spectrum.ndim - 1) + [(0, missing)])
        return dsp.istft(
            spectrum, n_fft=self.n_fft, hop_length=self.hop_length, window=self.window, length=self.samples
        )


def _check_positive(features: Waveform | LogMel | ComplexStft, *names: str) -> None:
    for name in names:
        if getattr(features, name) < 1:
            raise ValueError(f"features.{name}: expected at least 1, got {getattr(features, name)}")


def _check_clip(features: LogMel | ComplexStft) -> None:
    if features.hop_length > features.n_fft:
        raise ValueError(f"features.hop_length: expected at most n_fft={features.n_fft}, got {features.hop_length}")
    if features.samples <= features.n_fft // 2:
        raise ValueError(
            f"features.frames: {features.frames} frames of hop_length={features.hop_length} are {features.samples} "
            f"samples, too few for n_fft={features.n_fft}; give more frames"
        )


def _sine_amplitude(window: str, n_fft: int) -> float:
    """Magnitude of the STFT of a sine of amplitude 1 at the middle of a bin."""
    return float(dsp.window(window, n_fft, n_fft).sum()) / 2


def _raise_magnitude(pair: Array, exponent: float) -> Array:
    """Raises the length of [..., 2] vectors to a power, their direction kept; the gradient is finite at 0."""
    if exponent == 1:
        return pair
    square = jnp.sum(jnp.square(pair), axis=-1, keepdims=True)
    some = square > 0
    safe = jnp.where(some, square, 1.0)
    return jnp.where(some, pair * safe ** ((exponent - 1) / 2), 0.0)
