"""What representations made of frames refuse alike, and the unit they are scaled by."""

from __future__ import annotations

from typing import Any

from mgen import dsp


def check_positive(features: Any, *names: str) -> None:
    """Refuses fields below 1. Raises ValueError naming the field."""
    for name in names:
        if getattr(features, name) < 1:
            raise ValueError(f"features.{name}: expected at least 1, got {getattr(features, name)}")


def check_clip(features: Any) -> None:
    """Refuses a hop longer than a frame, and clips shorter than one. Raises ValueError naming the field."""
    if features.hop_length > features.n_fft:
        raise ValueError(f"features.hop_length: expected at most n_fft={features.n_fft}, got {features.hop_length}")
    if features.samples <= features.n_fft // 2:
        raise ValueError(
            f"features.frames: {features.frames} frames of hop_length={features.hop_length} are {features.samples} "
            f"samples, too few for n_fft={features.n_fft}; give more frames"
        )


def check_bins(features: Any) -> None:
    """Refuses more bins than a transform has. Raises ValueError."""
    most = 1 + features.n_fft // 2
    if not 1 <= features.bins <= most:
        raise ValueError(f"features.bins: expected 1 to {most} (1 + n_fft // 2), got {features.bins}")


def sine_amplitude(window: str, n_fft: int) -> float:
    """Magnitude of the STFT of a sine of amplitude 1 at the middle of a bin."""
    return float(dsp.window(window, n_fft, n_fft).sum()) / 2
