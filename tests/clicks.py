"""Click tracks, whose tempo and beats are known."""

import numpy as np

RATE = 10_000


def click_track(times, seconds, *, noise_db=None, seed=0, hertz=1000.0):
    """Short tones at given seconds, float32 [samples], and noise so many dB below all of it."""
    wave = np.zeros(round(seconds * RATE))
    ticks = np.arange(round(0.03 * RATE))
    tick = 0.5 * np.sin(2 * np.pi * hertz * ticks / RATE) * np.exp(-ticks / 60)
    for time in times:
        start = round(time * RATE)
        wave[start : start + len(tick)] += tick[: max(0, len(wave) - start)]
    if noise_db is not None:
        level = np.sqrt(np.mean(wave**2)) * 10 ** (noise_db / 20)
        wave += np.random.default_rng(seed).normal(0, level, len(wave))
    return wave.astype(np.float32)


def even(bpm, seconds, offset=0.0):
    """Seconds of the beats of one tempo, none of them at the very end."""
    return np.arange(offset, seconds - 0.05, 60 / bpm)
