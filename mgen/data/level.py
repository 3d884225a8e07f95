"""The level that a clip of a person's own is brought to, where data brings its notes to one (`contracts.Levelled`)."""

from __future__ import annotations

import numpy as np

from mgen.data.folder import SILENCE


class AtPeak:
    """Mixed into data that brings every note to `peak`."""

    peak: float | None

    def level(self, wave: np.ndarray) -> np.ndarray:
        """A note that a person gives, float32 [samples], at `peak`; None leaves it, and silence stays silence."""
        loudest = float(abs(wave).max())
        return wave if self.peak is None or loudest <= SILENCE else wave * np.float32(self.peak / loudest)
