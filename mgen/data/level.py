"""The level that data brings its sounds to, and a clip of a person's own too (`contracts.Levelled`)."""

from __future__ import annotations

import numpy as np

from mgen.data.scan import SILENCE


class AtPeak:
    """Mixed into data that brings every note to `peak`."""

    peak: float | None

    def level(self, wave: np.ndarray) -> np.ndarray:
        """A note that a person gives, float32 [samples], at `peak`; None leaves it, and silence stays silence."""
        loudest = float(abs(wave).max())
        return wave if self.peak is None or loudest <= SILENCE else wave * np.float32(self.peak / loudest)


class AtRms:
    """Mixed into data that brings every song to `level_db`, dB below full scale."""

    level_db: float | None

    def level(self, wave: np.ndarray) -> np.ndarray:
        """A clip that a person gives, float32 [samples], at `level_db`; None leaves it, and silence stays silence."""
        return wave * np.float32(self.gain(wave)) if abs(wave).max() > SILENCE else wave

    def gain(self, wave: np.ndarray) -> float:
        """What a wave that is not silent is to be multiplied with."""
        if self.level_db is None:
            return 1.0
        return float(10 ** (self.level_db / 20) / np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
