"""Three minutes of real music for the benchmarks: the middle of twelve pieces of shared/audio/music, joined."""

from __future__ import annotations

import pathlib

import numpy as np

from benchmarks.record import ROOT
from mgen import audio

AUDIO = ROOT.parent / "shared" / "audio" / "music"
SECONDS = 180.0
#: Recorded at 44.1 kHz or more and 15 s or longer, each music once, and two of the three of one lo-fi album.
PIECES = (
    "arpeggio_crazy_mono.mp3",
    "chip_8bit_battle_loop.ogg",
    "cosmo_blast.mp3",
    "country.mp3",
    "danse_macabre_finale.mp3",
    "ds10_regulations_mono.mp3",
    "galway_flac.flac",
    "lofi_cue.mp3",
    "lofi_oceanside.mp3",
    "nutcracker_sugar_plum_fairy.ogg",
    "rhodes_demo.mp3",
    "vibe_ace.ogg",
)
#: Root mean square of each, so that the loud pieces do not decide alone.
LEVEL = 0.1
FADE_S = 0.01


def excerpts(sample_rate: int, seconds: float = SECONDS, folder: pathlib.Path = AUDIO) -> np.ndarray:
    """The middle of every piece, faded in and out and equally loud.

    Args:
      sample_rate: Hz.
      seconds: of all together.
      folder: that holds the pieces.

    Returns:
      float32 [pieces, samples]; `.reshape(-1)` joins them.
    """
    each = seconds / len(PIECES)
    waves = []
    for name in PIECES:
        start = max(0.0, (audio.info(folder / name).duration_s - each) / 2)
        waves.append(audio.read(folder / name, sample_rate=sample_rate, start_s=start, duration_s=each))
    waves = np.stack(waves)
    fade = np.linspace(0, 1, round(FADE_S * sample_rate), dtype=np.float32)
    waves[:, : len(fade)] *= fade
    waves[:, -len(fade) :] *= fade[::-1]
    return waves * (LEVEL / np.sqrt(np.square(waves).mean(axis=-1, keepdims=True)))
