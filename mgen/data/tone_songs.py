"""Whole songs of the built-in synthetic music as sound files: sections that come again, and a table of the truth."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from mgen import audio
from mgen.data import DataError
from mgen.data.tones import GENRES, KEYS, STEMS, render

#: What of its stems each section plays, as a share of the song's own levels, in the order of `STEMS`.
SECTIONS = {
    "intro": (1.0, 0.0, 0.3, 0.0),
    "main": (1.0, 1.0, 0.7, 1.0),
    "break": (0.0, 0.0, 1.0, 0.6),
    "groove": (1.0, 1.0, 0.0, 0.0),
}
#: The sections of a song, which is cut where it is long enough; what is longer goes on from the second.
FORM = ("intro", "main", "break", "main", "groove", "main")

_BARS = 8  # of a section, halved until a song has three
_FEWEST = 3
_VARIATION = 0.3
_FADE_S = 0.005  # where a section is cut off


def render_songs(
    out: pathlib.Path,
    *,
    songs: int,
    seconds: float,
    tempo: tuple[float, float],
    patterns: Sequence[str],
    seed: int,
    sample_rate: int,
) -> list[pathlib.Path]:
    """Writes songs named such as `house_007_124bpm.wav`, and `songs.csv`, which says what each is made of.

    A song has one tempo, a whole number of beats a minute, and one key; its sections differ in the levels of the stems.
    Those of one name are the same to the sample, timing and accents too, and each begins on the first beat of a bar.

    Args:
      out: folder; what is there of the same name is overwritten.
      songs: how many.
      seconds: length of each.
      tempo: slowest and fastest, beats a minute.
      patterns: grooves, taken in turn.
      seed: draws tempo, key, levels and variation of each song.
      sample_rate: Hz, 8000 or more.

    Returns:
      The songs' files.

    Raises:
      DataError: a value cannot be used; the message names it.
      mgen.audio.AudioError: a file cannot be written.
    """
    low, high = int(np.ceil(tempo[0])), int(np.floor(tempo[1]))
    for name, value, good, expected in (
        ("songs", songs, songs >= 1, "1 or more"),
        ("seconds", seconds, 0 < seconds < float("inf"), "more than 0"),
        ("sample_rate", sample_rate, sample_rate >= 8000, "8000 or more"),
        ("tempo", tempo, 40 <= low <= high <= 240, "a slowest and a fastest of 40 to 240, a whole number between them"),
        ("seed", seed, seed >= 0, "0 or more"),
        ("pattern", tuple(patterns), set(patterns) <= set(GENRES) and patterns, f"some of {', '.join(GENRES)}"),
    ):
        if not good:
            raise DataError(f"{name}={value}: expected {expected}")
    written, rows = [], []
    for number in range(songs):
        rng = np.random.default_rng((seed, number))
        truth = {
            "pattern": patterns[number % len(patterns)],
            **{stem: round(float(rng.uniform(0.6, 1.0)), 3) for stem in STEMS},
            "brightness": round(float(rng.uniform(0.3, 1.0)), 3),
            "tempo": int(rng.integers(low, high + 1)),
            "key": KEYS[int(rng.integers(len(KEYS)))],
            "pitch": int(rng.integers(60, 85)),
        }
        wave, form = _song(truth, round(seconds * sample_rate), sample_rate, int(rng.integers(2**31)))
        name = f"{truth['pattern']}_{number:03}_{truth['tempo']}bpm.wav"
        audio.write(out / name, wave, sample_rate=sample_rate)
        written.append(out / name)
        rows.append({"file": name, "bpm": truth.pop("tempo"), **truth, "sections": "/".join(form)})
    with (out / "songs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return written


def _song(truth: dict[str, float | str], samples: int, sample_rate: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """The wave, float32 [samples], and the names of its sections."""
    bar = 4 * 60 / float(truth["tempo"]) * sample_rate
    bars = _BARS
    while bars > 1 and bars * bar * _FEWEST > samples:
        bars //= 2
    edges = np.round(np.arange(0, samples + bars * bar, bars * bar)).astype(int)
    form = [
        FORM[number] if number < len(FORM) else FORM[1 + (number - 1) % (len(FORM) - 1)]
        for number in range(len(edges) - 1)
    ]
    wave = np.zeros(edges[-1], np.float32)
    fade = np.linspace(1, 0, round(_FADE_S * sample_rate), dtype=np.float32)
    for name, start, stop in zip(form, edges[:-1], edges[1:], strict=True):
        shares = zip(STEMS, SECTIONS[name], strict=True)
        played = truth | {stem: float(truth[stem]) * share for stem, share in shares}
        size = {"sample_rate": sample_rate, "samples": int(stop - start)}
        section = render(played, **size, variation=_VARIATION, seed=seed)
        section[-len(fade) :] *= fade[-len(section) :]
        wave[start:stop] = section
    return wave[:samples], form
