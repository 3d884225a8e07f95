"""Decibels and instantaneous frequency of a short-time Fourier transform, and the way back."""

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
class InstantaneousFrequency:
    """Decibels, and how far each phase turns from frame to frame, of the lowest `bins`: float32 [frames, bins, 2].

    Decibels go from -1, which is `floor_db`, to 1, a full-scale sine, as in `LogStft`; turns from -1 to 1 half a turn,
    and are constant where a partial is steady, which is what makes them easier to learn than a phase. The first frame
    has the phase itself. Loses everything below the floor, the frequencies from bins * sample_rate / n_fft Hz up, and
    the samples after the last whole hop.

    Reference: Engel et al., "GANSynth: adversarial neural audio synthesis", ICLR 2019, arXiv:1902.08710.
    """

    sample_rate: int = 16_000
    """Hz."""
    frames: int = 128
    """Frames of a clip."""
    bins: int = 512
    """Lowest bins that are kept, of 1 + n_fft // 2."""
    n_fft: int = 2048
    """Samples of a frame."""
    hop_length: int = 512
    """Samples between frames."""
    window: Literal["hann", "hamming"] = "hann"
    """Window of a frame."""
    floor_db: float = -80.0
    """Quietest value kept, decibels below a full-scale sine."""

    def __post_init__(self):
        """Refuses more bins than there are, and sizes of which no spectrogram can be made."""
        check_positive(self, "sample_rate", "frames", "bins", "n_fft", "hop_length")
        check_clip(self)
        check_bins(self)
        if self.floor_db >= 0:
            raise ValueError(f"features.floor_db: expected less than 0, got {self.floor_db}")

    @property
    def samples(self) -> int:
        """Samples of a clip: frames are centred, so the first and the last lie on its ends."""
        return (self.frames - 1) * self.hop_length

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, bins, 2)."""
        return (self.frames, self.bins, 2)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., frames, bins, 2]."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")
        spectrum = dsp.stft(wave, n_fft=self.n_fft, hop_length=self.hop_length, window=self.window)[..., : self.bins]
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        decibels = dsp.power_to_decibels(power, reference=self._reference, floor_db=self.floor_db)
        # The angle of nothing has no slope: where there is nothing it is taken of 1.
        some = power > 0
        phase = jnp.arctan2(jnp.where(some, spectrum.imag, 0.0), jnp.where(some, spectrum.real, 1.0)) / jnp.pi
        before = jnp.concatenate([jnp.zeros_like(phase[..., :1, :]), phase[..., :-1, :]], axis=-2)
        return jnp.stack([1 - 2 * decibels / self.floor_db, _principal(phase - before)], axis=-1)

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., frames, bins, 2] to float32 [..., samples]; nothing is invented, `rng` is not used."""
        check_shape(features, {"...": None, "frames": self.frames, "bins": self.bins, "parts": 2}, "features")
        decibels = (1 - features[..., 0]) * self.floor_db / 2
        power = jnp.where(features[..., 0] > -1, dsp.decibels_to_power(decibels, reference=self._reference), 0.0)
        phase = jnp.pi * jnp.cumsum(features[..., 1], axis=-2)
        spectrum = jax.lax.complex(jnp.sqrt(power) * jnp.cos(phase), jnp.sqrt(power) * jnp.sin(phase))
        missing = 1 + self.n_fft // 2 - self.bins
        spectrum = jnp.pad(spectrum, [(0, 0)] * (spectrum.ndim - 1) + [(0, missing)])
        return dsp.istft(
            spectrum, n_fft=self.n_fft, hop_length=self.hop_length, window=self.window, length=self.samples
        )

    @property
    def _reference(self) -> float:
        """Power of a sine of amplitude 1 in the middle of a bin."""
        return sine_amplitude(self.window, self.n_fft) ** 2


def _principal(turns: Array) -> Array:
    """Half turns brought to -1..1."""
    return turns - 2 * jnp.round(turns / 2)
