"""Mixtures of a few songs in which every song is a switch."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re

import numpy as np

from mgen.audio import printable
from mgen.controls import Switch
from mgen.data import DataError
from mgen.data.folder import SILENCE, File, Scan, fingerprint, scan

#: Items of one pass over the training split, for each song.
ITEMS_PER_SONG = 64


@dataclasses.dataclass(frozen=True)
class Mixtures:
    """One clip of each song, mixed anew in every item; the label of a song is how loud it is in the mixture."""

    path: str = ""
    """Folder of audio files, searched with all its subfolders."""

    songs: int = 8
    """Files used, in name order; 0 is every file."""

    start_s: float = 45.0
    """Where the clip starts, or the last possible start in shorter files."""

    level_db: float = -20.0
    """Every song is brought to this RMS level, dB below full scale, so that no switch drowns another."""

    solo_fraction: float = 0.3
    """Share of items that are a single switch: half of them fully on, half at a random level."""

    held_out_pairs: bool = True
    """Never mix song i with song i+1 (cyclic) in training; these pairs are the validation split."""

    active: int = 3
    """At most this many switches are on at once in training."""

    def open(self, *, sample_rate: int, samples: int) -> MixturesCorpus:
        """Scans the folder until there are songs enough, one clip of `samples` mono samples at `sample_rate` Hz each.

        Raises:
          DataError: a field has no such value, or nothing usable is left.
        """
        for name, good, expected in (
            ("songs", self.songs >= 0, "0 (every file) or more"),
            ("start_s", 0 <= self.start_s < float("inf"), "0 or more"),
            ("level_db", -float("inf") < self.level_db <= 0, "0 or less"),
            ("solo_fraction", 0 <= self.solo_fraction <= 1, "0 to 1"),
            ("active", self.active >= 1, "1 or more"),
        ):
            if not good:
                raise DataError(f"data.{name}={getattr(self, name)}: expected {expected}")
        if samples < 1:
            raise DataError(f"samples={samples}: a clip needs at least one sample")

        def excerpt(file: File) -> tuple[int, np.ndarray]:
            start = min(round(self.start_s * sample_rate), max(0, file.audio.length - samples))
            return start, file.audio.read(start, start + samples)

        def audible(file: File) -> bool:
            return abs(excerpt(file)[1]).max() > SILENCE

        found = scan(self.path, sample_rate=sample_rate, limit=self.songs, counts=audible)
        files, clips, notes = [], [], []
        for file in found.files:
            start, wave = excerpt(file)
            if abs(wave).max() <= SILENCE:
                notes.append(f"    {file.name}: not used, silent from {start / sample_rate:g} s; change data.start_s")
                continue
            gain = self._gain(wave)
            files.append(file)
            clips.append(np.pad(wave * np.float32(gain), (0, samples - len(wave))))
            notes.append(f"    {file.name}: from {start / sample_rate:g} s, gain {20 * np.log10(gain):+.1f} dB")
        if not files:
            path = printable(str(found.root))
            raise DataError(f"data.path={path}: every clip is silent; change data.start_s={self.start_s:g}")
        return MixturesCorpus(self, found, files, np.stack(clips), notes)

    def level(self, wave: np.ndarray) -> np.ndarray:
        """A clip that a person gives, float32 [samples], at `level_db`."""
        return wave * np.float32(self._gain(wave)) if abs(wave).max() > SILENCE else wave

    def _gain(self, wave: np.ndarray) -> np.float64:
        return 10 ** (self.level_db / 20) / np.sqrt(np.mean(np.square(wave, dtype=np.float64)))


def switch_names(names: list[str]) -> list[str]:
    """Names for switches, one a file: its stem; its path where stems collide; numbered where those do too.

    White space, `=` and `,` become `_` and leading `-` go, so that `--set name=1 other=0` can say them; bytes that are
    not UTF-8 become escapes. A stem that only one file has is that file's name, whatever the others are numbered.
    """

    def clean(text: str) -> str:
        return re.sub(r"[\s=,]+", "_", text).lstrip("-") or "_"

    paths = [pathlib.PurePosixPath(printable(name)) for name in names]
    stems = [clean(path.stem) for path in paths]
    count = collections.Counter(stems)
    taken = {stem for stem in stems if count[stem] == 1}
    result: list[str] = []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if count[stem] > 1:
            name = base = clean(str(path.with_suffix("")))
            number = 1
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
        result.append(name)
    return result


class MixturesCorpus:
    """Opened `Mixtures`.

    Training items are 64 a song, each drawn anew from `rng` around song `index % songs`. Validation items are the
    held-out pairs at half and half; with fewer than 4 songs nothing is held out, since no other pair would be left.

    Attributes:
      labels: one switch a song; only the first is on by default.
      clips: float32 [songs, samples], what each switch sounds like alone.
      held_out: pairs of song indices that are never mixed in training.
    """

    def __init__(self, data: Mixtures, found: Scan, files: list[File], clips: np.ndarray, notes: list[str]):
        self.clips = clips
        songs = len(clips)
        self.labels = tuple(
            Switch(name, default=float(index == 0), help=printable(file.name))
            for index, (name, file) in enumerate(zip(switch_names([f.name for f in files]), files, strict=True))
        )
        held = data.held_out_pairs and songs >= 4
        self.held_out = tuple((index, (index + 1) % songs) for index in range(songs)) if held else ()
        self._active, self._solo_fraction = data.active, data.solo_fraction
        few = f" of the {data.songs} asked for" if songs < data.songs else ""
        self.fingerprint = fingerprint(files)
        report = "\n".join(
            [
                found.report,
                f"  {songs} songs{few} as switches at {data.level_db:g} dB RMS, loudest peak {abs(clips).max():.2f}:",
                *notes,
                f"  {len(self.held_out)} pairs held out of training",
            ]
        )
        self.report = printable(report)

    def size(self, split: str) -> int:
        """Items in one pass over `split`, "train" or "validation"."""
        if split not in ("train", "validation"):
            raise ValueError(f"split={split}: expected train or validation")
        return ITEMS_PER_SONG * len(self.clips) if split == "train" else len(self.held_out)

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Mixture `index` of `split`: {"wave": float32 [samples], "labels": float32 [songs]}, wave = labels @ clips.

        Raises:
          IndexError: index is not below size(split).
        """
        if not 0 <= index < self.size(split):
            raise IndexError(f"item {index} of {split}: expected 0 to {self.size(split) - 1}")
        weights = np.zeros(len(self.clips), np.float32)
        if split == "validation":
            weights[list(self.held_out[index])] = 0.5
        else:
            chosen, levels = self._draw(index % len(self.clips), rng)
            weights[chosen] = levels
        return {"wave": weights @ self.clips, "labels": weights}

    def _draw(self, anchor: int, rng: np.random.Generator) -> tuple[list[int], np.ndarray | float]:
        """The songs of a training item and their weights."""
        chosen = [anchor]
        if self._active > 1 and rng.random() >= self._solo_fraction:
            wanted = 1 + int(rng.integers(1, self._active))
            for song in rng.permutation(len(self.clips)).tolist():
                if len(chosen) == wanted:
                    break
                apart = all(
                    (song, other) not in self.held_out and (other, song) not in self.held_out for other in chosen
                )
                if song not in chosen and apart:
                    chosen.append(song)
        kind = rng.random()
        if len(chosen) == 1:
            return chosen, 1.0 if kind < 0.5 else rng.uniform()
        if kind < 0.6:
            return chosen, rng.uniform(0.1, 1.0, len(chosen))
        # Equal parts, because a person who mixes two songs sets both to a half or both to one.
        return chosen, 1 / len(chosen) if kind < 0.8 else 1.0
