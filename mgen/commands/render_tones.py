"""`mgen render-tones OUT [--songs 32] [--seconds 30] [--tempo 118 132] [--pattern house]`: songs to train on."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes songs of the built-in synthetic music as wav files, and songs.csv, which says what each is made of."""

    out: tyro.conf.Positional[pathlib.Path]
    """Folder of the songs, which are named such as house_007_124bpm.wav."""
    songs: int = 32
    """How many."""
    seconds: float = 30.0
    """Length of each."""
    tempo: tuple[float, float] = (118.0, 132.0)
    """Slowest and fastest, beats a minute."""
    pattern: tuple[str, ...] = ("house",)
    """Grooves, taken in turn: house, lofi, breakbeat, techno, reggae, ambient, bossa, rock."""
    seed: int = 0
    """Other songs."""
    sample_rate: int = 22_050
    """Hz, 8000 or more."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Writes the songs, and says how many there are."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen.data.tone_songs import render_songs

    written = render_songs(
        asked.out,
        songs=asked.songs,
        seconds=asked.seconds,
        tempo=asked.tempo,
        patterns=asked.pattern,
        seed=asked.seed,
        sample_rate=asked.sample_rate,
    )
    print(f"{asked.out}: {len(written)} songs of {asked.seconds:g} s, and songs.csv, which says what each is made of")
