"""Mixtures of a few songs in which every song is a switch, or every tag that songs have."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
import re

import numpy as np

from mgen.audio import printable
from mgen.controls import Switch
from mgen.data import DataError
from mgen.data.folder import SILENCE, File, Scan, fingerprint, scan
from mgen.data.tags import tags_of

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

    windows: int = 1
    """Clips of each song that follow each other, each a switch; `sample.py --then` joins them again."""

    overlap: float = 0.125
    """Share of a clip that it has in common with the next one of its song."""

    level_db: float = -20.0
    """Every song is brought to this RMS level, dB below full scale, so that no switch drowns another."""

    solo_fraction: float = 0.3
    """Share of items that are a single switch: half of them fully on, half at a random level."""

    held_out_pairs: bool = True
    """Never mix song i with song i+1 (cyclic) in training; these pairs are the validation split."""

    active: int = 3
    """At most this many songs are on at once in training."""

    tags: str = ""
    """CSV file that says what the songs are, in `path` or beside it; every tag is then a switch, and no song."""

    column: str = "genre"
    """Column of `tags` whose values are the switches; `;` parts several of one song."""

    def open(self, *, sample_rate: int, samples: int) -> MixturesCorpus:
        """Scans the folder until there are songs enough, one clip of `samples` mono samples at `sample_rate` Hz each.

        Raises:
          DataError: a field has no such value, or nothing usable is left.
        """
        for name, good, expected in (
            ("songs", self.songs >= 0, "0 (every file) or more"),
            ("start_s", 0 <= self.start_s < float("inf"), "0 or more"),
            ("windows", self.windows >= 1, "1 or more"),
            ("overlap", 0 <= self.overlap <= 0.5, "0 to 0.5"),
            ("level_db", -float("inf") < self.level_db <= 0, "0 or less"),
            ("solo_fraction", 0 <= self.solo_fraction <= 1, "0 to 1"),
            ("active", self.active >= 1, "1 or more"),
        ):
            if not good:
                raise DataError(f"data.{name}={getattr(self, name)}: expected {expected}")
        if self.tags and self.windows > 1:
            raise DataError(
                f"data.windows={self.windows}: a tag cannot be several clips of a song; leave out data.tags"
            )
        if samples < 1:
            raise DataError(f"samples={samples}: a clip needs at least one sample")
        step = round((1 - self.overlap) * samples)
        whole = samples + (self.windows - 1) * step

        def excerpt(file: File) -> tuple[int, np.ndarray]:
            start = min(round(self.start_s * sample_rate), max(0, file.audio.length - whole))
            return start, file.audio.read(start, start + whole)

        def audible(file: File) -> bool:
            return abs(excerpt(file)[1]).max() > SILENCE

        found = scan(self.path, sample_rate=sample_rate, limit=self.songs, counts=audible)
        tags = self._tags(found) if self.tags else {}
        files, clips, notes = [], [], []
        for file in found.files:
            if self.tags and not tags[file.name]:
                notes.append(f"    {file.name}: not used, {self.tags} says nothing of it")
                continue
            start, wave = excerpt(file)
            if abs(wave).max() <= SILENCE:
                notes.append(f"    {file.name}: not used, silent from {start / sample_rate:g} s; change data.start_s")
                continue
            gain = self._gain(wave)
            files.append(file)
            wave = np.pad(wave * np.float32(gain), (0, whole - len(wave)))
            clips += [wave[number * step : number * step + samples] for number in range(self.windows)]
            notes.append(f"    {file.name}: from {start / sample_rate:g} s, gain {20 * np.log10(gain):+.1f} dB")
        if not files:
            path = printable(str(found.root))
            raise DataError(f"data.path={path}: every clip is silent; change data.start_s={self.start_s:g}")
        return MixturesCorpus(self, found, files, np.stack(clips), notes, [tags.get(file.name, ()) for file in files])

    def _tags(self, found: Scan) -> dict[str, tuple[str, ...]]:
        """The tags of each file by its name. Raises DataError."""
        near = [found.root / self.tags, found.root.parent / self.tags]
        table = next((path for path in near if path.is_file()), pathlib.Path(self.tags))
        names = [file.name for file in found.files]
        within = [f"{found.root.resolve().name}/{name}" for name in names]
        return dict(zip(names, tags_of(within, table, self.column), strict=True))

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
    paths = [pathlib.PurePosixPath(printable(name)) for name in names]
    stems = [_clean(path.stem) for path in paths]
    count = collections.Counter(stems)
    taken = {stem for stem in stems if count[stem] == 1}
    result: list[str] = []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if count[stem] > 1:
            name = base = _clean(str(path.with_suffix("")))
            number = 1
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
        result.append(name)
    return result


def _clean(text: str) -> str:
    return re.sub(r"[\s=,]+", "_", text).lstrip("-") or "_"


class MixturesCorpus:
    """Opened `Mixtures`.

    Training items are 64 a song, each drawn anew from `rng` around song `index % songs`. Validation items are the
    held-out pairs at half and half; with fewer than 4 songs nothing is held out, since no other pair would be left.
    Where switches are tags a song turns all of its own on; what a tag sounds like alone need not be any song.

    Attributes:
      labels: one switch a song, or a tag; only the first song is on by default.
      clips: float32 [songs, samples], what each song sounds like alone.
      switches: float32 [songs, labels], which switches are on for each song.
      held_out: pairs of song indices that are never mixed in training.
    """

    def __init__(
        self,
        data: Mixtures,
        found: Scan,
        files: list[File],
        clips: np.ndarray,
        notes: list[str],
        tags: list[tuple[str, ...]],
    ):
        self.clips = clips
        songs, names = len(clips), [file.name for file in files]
        if data.tags:
            tags = [tuple(dict.fromkeys(_clean(printable(tag)) for tag in own)) for own in tags]
            every = sorted({tag for own in tags for tag in own})
            self.switches = np.array([[tag in own for tag in every] for own in tags], np.float32)
            about = [", ".join(name for name, own in zip(names, tags, strict=True) if tag in own) for tag in every]
        else:
            every, about, self.switches = switch_names(names), names, np.eye(songs, dtype=np.float32)
            if data.windows > 1:
                numbers = range(1, data.windows + 1)
                every, about = ([f"{name}.{number}" for name in of for number in numbers] for of in (every, about))
        self.labels = tuple(
            Switch(name, default=float(default), help=printable(files))
            for name, default, files in zip(every, self.switches[0], about, strict=True)
        )
        held = data.held_out_pairs and len(files) >= 4
        self.held_out = tuple((index, (index + data.windows) % songs) for index in range(songs)) if held else ()
        self._active, self._solo_fraction = data.active, data.solo_fraction
        few = f" of the {data.songs} asked for" if len(files) < data.songs else ""
        self.fingerprint = fingerprint(files)
        if data.tags:
            self.fingerprint = hashlib.sha256(f"{self.fingerprint} {every} {tags}".encode()).hexdigest()[:16]
            notes = [*notes, f"  {len(every)} tags of {data.column} are the switches: {', '.join(every)}"]
        what = "" if data.tags else " as switches"
        windows = f", {data.windows} clips each," if data.windows > 1 else ""
        report = "\n".join(
            [
                found.report,
                f"  {len(files)} songs{few}{windows}{what} at {data.level_db:g} dB RMS, "
                f"loudest peak {abs(clips).max():.2f}:",
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
        """Mixture `index` of `split`: {"wave": float32 [samples], "labels": float32 [labels]}.

        By the level of each song, wave = levels @ clips and labels = levels @ switches.

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
        return {"wave": weights @ self.clips, "labels": weights @ self.switches}

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
