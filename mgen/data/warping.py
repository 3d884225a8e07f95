"""Time-warping of clips: between the tempo that sound has and the one at which a model sees all of it."""

from __future__ import annotations

from typing import Any, Literal

import jax
import numpy as np

from mgen.dsp import resample_at, time_stretch

Array = jax.Array

Warping = Literal["resample", "stretch"]
WARPINGS = ("resample", "stretch")

_FRAME_S = 0.046  # of the phase vocoder: 1024 samples at 22 050 Hz


def moved(wave: Any, positions: Any, *, sample_rate: int, warping: Warping, wrap: bool = False) -> Array:
    """The wave at other places, in samples, by one of the `WARPINGS`; jit-able.

    Args:
      wave: float32 [..., samples].
      positions: [..., out], samples from the wave's first; float64 NumPy arrays are the most exact.
      sample_rate: Hz.
      warping: "resample" as a record player does, "stretch" keeps the pitch.
      wrap: whether the wave is a ring; else there is silence before and behind it.

    Returns:
      float32 [..., out].
    """
    if warping == "resample":
        return resample_at(wave, positions, wrap=wrap)
    n_fft = frame(sample_rate)
    return time_stretch(wave, positions, n_fft=n_fft, hop_length=n_fft // 4, wrap=wrap)


def frame(sample_rate: int) -> int:
    """Samples of a frame of the phase vocoder, a power of two."""
    return 2 ** round(np.log2(_FRAME_S * sample_rate))


def margin(sample_rate: int) -> int:
    """Samples before and behind a piece that what is made of it depends on, and a few more."""
    return 2 * frame(sample_rate)


def beat_positions(times: np.ndarray, *, sample_rate: int, samples: int) -> np.ndarray:
    """Where in a wave the samples of a clip lie whose beats are equally long: float64 [samples].

    Args:
      times: seconds of the beats and of the end in the wave, [beats + 1]; between them the wave runs evenly.
      sample_rate: Hz.
      samples: of the clip.
    """
    beats = len(times) - 1
    return np.interp(np.arange(samples) * (beats / samples), np.arange(beats + 1), np.asarray(times) * sample_rate)


def common_tempo(*, beats: int, sample_rate: int, samples: int) -> float:
    """Beats a minute of a clip that holds so many beats."""
    return 60 * beats * sample_rate / samples
