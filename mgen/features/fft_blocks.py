"""System 002: a clip as a row of blocks, each of which is one Fourier transform.

    wave [..., samples] -> blocks of samples -> their transforms -> scaled [..., blocks, values]

Three layouts, all with an exact inverse. `full` is the original's: blocks side by side, real and imaginary parts of the
whole transform. Half of that says the same twice, because a wave is real: `half` leaves it out. In both, what a model
gets wrong clicks where blocks meet; `lapped` is of blocks that overlap by half and fade into each other, and still of
no more numbers than the wave has samples (`mgen.dsp.mdct`).

The spectrum of music falls with frequency, so each bin is multiplied by a fixed gain: the original took the transforms
as they came, hundreds of times louder at the bottom than at the top, and did not learn.

Source: facts of system 002; its blocks are `FftBlocks(44_100, 40, 11_025, "full", scale=105.0, tilt=0.0)`, whose scale
is the root of 11,025: an FFT that is not normalised.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mgen import dsp
from mgen.arrays import check_shape
from mgen.features.frames import check_least

Array = jax.Array

_LOWEST, _MIDDLE = 100.0, 1000.0  # Hz: below the one the gain rises no more, at the other it is `scale`


@dataclasses.dataclass(frozen=True)
class FftBlocks:
    """Fourier transforms of consecutive blocks, float32 [blocks, values]."""

    sample_rate: int = 22_050
    """Hz."""
    blocks: int = 432
    """Blocks of a clip."""
    block: int = 512
    """Samples from block to block."""
    layout: Literal["lapped", "half", "full"] = "lapped"
    """Overlapping blocks of `block` values; or blocks side by side of as many, or of twice as many values."""
    scale: float = 10.0
    """Gain at 1 kHz, after an orthonormal transform; music at -20 dB RMS then has values of about 1."""
    tilt: float = 0.75
    """Power of the frequency that the gain rises with, from 100 Hz on; 0 is one gain for all."""

    def __post_init__(self):
        """Refuses sizes of which no blocks can be made."""
        check_least(self, sample_rate=1, blocks=2, block=2)
        if self.layout not in ("lapped", "half", "full"):
            raise ValueError(f"features.layout: expected lapped, half or full, got {self.layout!r}")
        if self.layout == "lapped" and self.block % 2:
            raise ValueError(f"features.block: expected an even number for lapped blocks, got {self.block}")
        if not self.scale > 0:
            raise ValueError(f"features.scale: expected more than 0, got {self.scale}")

    @property
    def samples(self) -> int:
        """Samples of a clip; of lapped blocks the first and the last are centred on its ends."""
        return (self.blocks - (self.layout == "lapped")) * self.block

    @property
    def values(self) -> int:
        """Numbers of a block."""
        return self.block * (2 if self.layout == "full" else 1)

    @property
    def axes(self) -> dict[str, int]:
        """Names and sizes of the axes of one encoded clip."""
        return {"blocks": self.blocks, "values": self.values}

    @property
    def shape(self) -> tuple[int, ...]:
        """(blocks, values)."""
        return tuple(self.axes.values())

    def lasting(self, duration_s: float) -> FftBlocks:
        """The same for clips of at least `duration_s` seconds."""
        blocks = int(np.ceil(duration_s * self.sample_rate / self.block)) + (self.layout == "lapped")
        return dataclasses.replace(self, blocks=max(blocks, 2))

    @property
    def frequencies(self) -> np.ndarray:
        """Hz of each value, float64 [values]."""
        if self.layout == "lapped":
            return (np.arange(self.block) + 0.5) * self.sample_rate / (2 * self.block)
        if self.layout == "full":
            return np.tile(np.abs(np.fft.fftfreq(self.block, 1 / self.sample_rate)), 2)
        of_real = np.fft.rfftfreq(self.block, 1 / self.sample_rate)
        return np.concatenate([of_real, of_real[1 : self.block - len(of_real) + 1]])

    @property
    def _gains(self) -> np.ndarray:
        gains = self.scale * (np.maximum(self.frequencies, _LOWEST) / _MIDDLE) ** self.tilt
        return gains.astype(np.float32)

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., blocks, values]. Raises ValueError for another length."""
        check_shape(wave, {"...": None, "samples": self.samples}, "wave")
        if self.layout == "lapped":
            return dsp.mdct(wave, block=self.block) * self._gains
        blocks = wave.reshape(*wave.shape[:-1], self.blocks, self.block)
        if self.layout == "full":
            spectrum = jnp.fft.fft(blocks, norm="ortho")
            return jnp.concatenate([spectrum.real, spectrum.imag], axis=-1) * self._gains
        spectrum = jnp.fft.rfft(blocks, norm="ortho")
        # All but the first bin, and the last of an even block, stand for two; the imaginary parts of those are 0.
        parts = jnp.concatenate([spectrum.real, spectrum.imag[..., 1 : self._imaginary + 1]], axis=-1)
        return parts * self._twice * self._gains

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., blocks, values] to float32 [..., samples]; nothing has to be invented, so `rng` is not used.

        Of blocks in the full layout that are no transform of a real wave the imaginary part is dropped.
        """
        check_shape(features, {"...": None, **self.axes}, "features")
        plain = features / self._gains
        if self.layout == "lapped":
            return dsp.imdct(plain, block=self.block)
        if self.layout == "full":
            real, imaginary = jnp.split(plain, 2, axis=-1)
            blocks = jnp.fft.ifft(jax.lax.complex(real, imaginary), norm="ortho").real
        else:
            plain = plain / self._twice
            bins = self.block - self._imaginary
            edge = [(0, 0)] * (features.ndim - 1)
            imaginary = jnp.pad(plain[..., bins:], [*edge, (1, bins - 1 - self._imaginary)])
            spectrum = jax.lax.complex(plain[..., :bins], imaginary)
            blocks = jnp.fft.irfft(spectrum, self.block, norm="ortho")
        return blocks.reshape(*features.shape[:-2], self.samples)

    @property
    def _imaginary(self) -> int:
        """Bins of the half layout whose imaginary part is not 0."""
        return (self.block - 1) // 2

    @property
    def _twice(self) -> np.ndarray:
        """The root of how many bins of the whole transform each value of the half layout stands for."""
        real = np.full(self.block - self._imaginary, 2.0)
        real[0] = 1
        if self.block % 2 == 0:
            real[-1] = 1
        return np.sqrt(np.concatenate([real, np.full(self._imaginary, 2.0)])).astype(np.float32)
