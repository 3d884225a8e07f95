"""Real music for the benchmarks: three minutes of twelve pieces, joined; and loops and electronic pieces in a folder.

    python benchmarks/pieces.py PIECES

links the loops and electronic pieces of shared/audio that benchmarks/families.py is asked for into a folder.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

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
#: With a beat, of shared/audio; the loops' tempi are in loops.csv beside them.
HOUSE = (
    *("loops/arovane_beat_c.flac", "loops/conga_loop_110.mp3", "loops/loop_breakbeat.flac", "loops/loop_compus.flac"),
    *("loops/loop_electric.flac", "loops/loop_garzul.flac", "loops/loop_mehackit1.flac", "loops/loop_perc1.flac"),
    *("music/arpeggio_crazy_mono.mp3", "music/chip_8bit_battle_loop.ogg", "music/cosmo_blast.mp3"),
    *("music/ds10_light_flashes.mp3", "music/ds10_maintenance.mp3", "music/ds10_regulations_mono.mp3"),
    *("music/lofi_cue.mp3", "music/lofi_oceanside.mp3", "music/vibe_ace.ogg", "loops/loops.csv"),
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


def link(out: pathlib.Path) -> None:
    """Links the files of `HOUSE` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for name in HOUSE:
        path, place = (AUDIO.parent / name).resolve(strict=True), out / pathlib.Path(name).name
        if place.is_symlink():
            place.unlink()
        place.symlink_to(path)  # refused where there is a file of that name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    link(parser.parse_args().out)
