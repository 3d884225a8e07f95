"""What representations made of frames share: sizes and what is refused, the transform, and decibels.

A new one inherits what it needs, says its `axes` where they differ, and has `encode` and `decode`: see `log_stft`.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from mgen import dsp
from mgen.arrays import check_shape

Array = jax.Array


def check_least(features: Any, **least: int) -> None:
    """Refuses fields below what is given for them. Raises ValueError naming the field."""
    for name, value in least.items():
        if getattr(features, name) < value:
            words = f"at least {value}" if value else "0 or more"
            raise ValueError(f"features.{name}: expected {words}, got {getattr(features, name)}")


@dataclasses.dataclass(frozen=True)
class Frames(abc.ABC):
    """A clip cut into frames. They are centred: the first and the last lie on its ends."""

    sample_rate: int = 16_000
    """Hz."""
    frames: int = 128
    """Frames of a clip."""
    n_fft: int = 2048
    """Samples of a frame."""
    hop_length: int = 512
    """Samples between frames."""
    window: Literal["hann", "hamming"] = "hann"
    """Window of a frame."""

    def __post_init__(self):
        """Refuses sizes of which no spectrogram can be made."""
        check_least(self, sample_rate=1, frames=1, n_fft=1, hop_length=1)
        if self.hop_length > self.n_fft:
            raise ValueError(f"features.hop_length: expected at most n_fft={self.n_fft}, got {self.hop_length}")
        if self.samples <= self.n_fft // 2:
            raise ValueError(
                f"features.frames: {self.frames} frames of hop_length={self.hop_length} are {self.samples} "
                f"samples, too few for n_fft={self.n_fft}; give more frames"
            )

    @property
    def samples(self) -> int:
        """Samples of a clip."""
        return (self.frames - 1) * self.hop_length

    def lasting(self, duration_s: float) -> Frames:
        """The same for clips of at least `duration_s` seconds, and long enough for one frame."""
        frames = math.ceil(max(duration_s * self.sample_rate, self.n_fft // 2 + 1) / self.hop_length) + 1
        return dataclasses.replace(self, frames=frames)

    @property
    @abc.abstractmethod
    def axes(self) -> dict[str, int]:
        """Names and sizes of the axes of one encoded clip."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of `axes`."""
        return tuple(self.axes.values())

    def check_wave(self, wave: Array) -> None:
        """Raises ValueError where a wave is not [..., samples]."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")

    def check_features(self, features: Array) -> None:
        """Raises ValueError where features are not [..., *axes]."""
        check_shape(features, {"...": None, **self.axes}, "features")

    @property
    def full_scale(self) -> float:
        """Magnitude of the STFT of a sine of amplitude 1 in the middle of a bin."""
        return float(dsp.window(self.window, self.n_fft, self.n_fft).sum()) / 2


@dataclasses.dataclass(frozen=True)
class LowestBins(Frames):
    """The lowest `bins` of a short-time Fourier transform, [frames, bins]; those above are lost."""

    bins: int = 512
    """Lowest bins that are kept, of 1 + n_fft // 2."""

    def __post_init__(self):
        """Refuses more bins than there are."""
        super().__post_init__()
        check_least(self, bins=1)
        if self.bins > 1 + self.n_fft // 2:
            raise ValueError(f"features.bins: expected 1 to {1 + self.n_fft // 2} (1 + n_fft // 2), got {self.bins}")

    @property
    def axes(self) -> dict[str, int]:
        """Frames and bins."""
        return {"frames": self.frames, "bins": self.bins}

    @property
    def stft_settings(self) -> dict[str, Any]:
        """What `dsp.stft`, `dsp.istft` and `dsp.griffin_lim` must agree on."""
        return {"n_fft": self.n_fft, "hop_length": self.hop_length, "window": self.window}

    def stft(self, wave: Array) -> Array:
        """float32 [..., samples] to complex64 [..., frames, bins]. Raises ValueError for another length."""
        self.check_wave(wave)
        return dsp.stft(wave, **self.stft_settings)[..., : self.bins]

    def istft(self, spectrum: Array) -> Array:
        """complex64 [..., frames, bins] to float32 [..., samples]."""
        return dsp.istft(self.all_bins(spectrum), length=self.samples, **self.stft_settings)

    def all_bins(self, kept: Array) -> Array:
        """[..., frames, bins] to [..., frames, 1 + n_fft // 2], zero where nothing was kept."""
        return jnp.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, 1 + self.n_fft // 2 - self.bins)])


@dataclasses.dataclass(frozen=True)
class Decibels(Frames):
    """Frames whose values are decibels: -1 is `floor_db`, below which all is lost, and 1 a full-scale sine."""

    floor_db: float = -80.0
    """Quietest value kept, decibels below a full-scale sine."""

    def __post_init__(self):
        """Refuses a floor that is not below full scale."""
        super().__post_init__()
        if self.floor_db >= 0:
            raise ValueError(f"features.floor_db: expected less than 0, got {self.floor_db}")

    @property
    def reference(self) -> float:
        """Power of a sine of amplitude 1 in the middle of a bin."""
        return self.full_scale**2

    @property
    def floor_power(self) -> float:
        """Power at `floor_db`."""
        return self.reference * 10 ** (self.floor_db / 10)

    def to_decibels(self, power: Array) -> Array:
        """Power, float32 of any shape, to the same shape from -1 to 1."""
        return 1 - 2 * dsp.power_to_decibels(power, reference=self.reference, floor_db=self.floor_db) / self.floor_db

    def to_power(self, decibels: Array) -> Array:
        """Undoes `to_decibels`; what lies at the floor becomes silence."""
        power = dsp.decibels_to_power((1 - decibels) * self.floor_db / 2, reference=self.reference)
        # The logarithm of some floors, such as -82 dB, is rounded up: without the margin silence would become sound.
        return jnp.where(decibels > -1 + 1e-6, power, 0.0)


@dataclasses.dataclass(frozen=True)
class PowerDecibels(Decibels):
    """Decibels and nothing else: clips that overlap can be joined by their power."""

    def joined(self, windows: Array, *, overlap: int) -> tuple[PowerDecibels, Array]:
        """Windows that follow each other as one clip, faded into each other by their power.

        Args:
          windows: float32 [..., windows, *axes].
          overlap: frames that a window shares with the next, at most half of `frames`; fewer than a frame has hops
            are heard, because the first and the last frames of a window know nothing of what is beyond it.

        Returns:
          This representation with as many frames as the clip has, and the clip in it, float32 [..., *its axes]: decoded
          whole, it has one phase and no seams.

        Raises:
          ValueError: windows have another shape, or overlap is not 1 to half of `frames`.
        """
        check_shape(windows, {"...": None, "windows": None, **self.axes}, "windows")
        most = (self.frames + 1) // 2
        if not 1 <= overlap <= most:
            raise ValueError(f"overlap: expected 1 to {most} frames (half a window), got {overlap}")
        power, count = self.to_power(windows), windows.shape[-3]
        rise = jnp.arange(1, overlap + 1) / (overlap + 1)
        step = self.frames - overlap
        whole = jnp.zeros((*windows.shape[:-3], step * count + overlap, windows.shape[-1]))
        weights = jnp.zeros(step * count + overlap)
        for number in range(count):
            weight = jnp.ones(self.frames)
            weight = weight.at[:overlap].multiply(rise if number else 1.0)
            weight = weight.at[step:].multiply(rise[::-1] if number < count - 1 else 1.0)
            place = slice(number * step, number * step + self.frames)
            whole = whole.at[..., place, :].add(weight[:, None] * power[..., number, :, :])
            weights = weights.at[place].add(weight)
        longer = dataclasses.replace(self, frames=whole.shape[-2])
        return longer, longer.to_decibels(whole / weights[:, None])
