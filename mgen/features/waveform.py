"""The waveform itself as what a model sees."""

from __future__ import annotations

import dataclasses

import jax

from mgen.arrays import check_shape
from mgen.features.frames import check_least

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
        check_least(self, sample_rate=1, samples=1)

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
