"""Mixtures of a few songs in which every song is a switch, or every tag that songs have."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np

from mgen.audio import printable
from mgen.controls import Switch
from mgen.data import DataError
from mgen.data.level import AtRms
from mgen.data.scan import SILENCE, File, Scan, fingerprint, scan
from mgen.data.tags import one_word, tag_switches, tags_in

#: Items of one pass over the training split, for each song.
ITEMS_PER_SONG = 64


@dataclasses.dataclass(frozen=True)
class Mixtures(AtRms):
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
    """Never mix song i with song i+1 (cyclic) in training; these pairs are the validation split. Of songs whose tags
    are the same nothing is held out."""

    active: int = 3
    """At most this many songs are on at once in training."""

    tags: str = ""
    """CSV file that says what the songs are, in `path`, beside it, or here; every tag is then a switch, and no song."""

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
            ("overlap", 1 / 16 <= self.overlap <= 0.5, "a sixteenth (0.0625) to 0.5"),
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

        tags_of = self._tags()

        def excerpt(file: File) -> tuple[int, np.ndarray]:
            """Where its clips start, and they themselves, [windows, samples]."""
            start = min(round(self.start_s * sample_rate), max(0, file.audio.length - whole))
            wave = file.audio.read(start, start + whole)
            gain = self.gain(wave) if abs(wave).max() > SILENCE else 0.0
            wave = np.pad(wave * np.float32(gain), (0, whole - len(wave)))
            return start, np.stack([wave[number * step : number * step + samples] for number in range(self.windows)])

        def usable(file: File) -> bool:
            return tags_of(file.name) != () and abs(excerpt(file)[1]).max(axis=1).min() > SILENCE

        found = scan(self.path, sample_rate=sample_rate, limit=self.songs, counts=usable)
        files, clips, notes = [], [], []
        for file in found.files:
            start, own = excerpt(file)
            loudest = abs(own).max(axis=1)
            if tags_of(file.name) == ():
                notes.append(f"    {file.name}: not used, {self.tags} says nothing of it")
            elif loudest.max() <= SILENCE:
                notes.append(f"    {file.name}: not used, silent from {start / sample_rate:g} s; change data.start_s")
            elif loudest.min() <= SILENCE:
                silent = f"{np.sum(loudest <= SILENCE)} of its {self.windows} clips"
                notes.append(f"    {file.name}: not used, {silent} would be silent; ask for fewer data.windows")
            else:
                files.append(file)
                clips.append(own)
                gain = 20 * np.log10(self.gain(file.audio.read(start, start + whole)))
                notes.append(f"    {file.name}: from {start / sample_rate:g} s, gain {gain:+.1f} dB")
        if not files:
            path = printable(str(found.root))
            words = f"every clip is silent; change data.start_s={self.start_s:g}"
            if self.tags and not any(tags_of(file.name) for file in found.files):
                words = f"{self.tags} says nothing of these files, such as {printable(found.files[0].name)}"
            elif self.windows > 1:
                words = f"no file has {self.windows} clips with sound in them; ask for fewer data.windows"
            raise DataError(f"data.path={path}: {words}")
        return MixturesCorpus(self, found, files, np.concatenate(clips), notes, [tags_of(file.name) for file in files])

    def _tags(self) -> Callable[[str], tuple[str, ...] | None]:
        """From the name of a file to its tags; None where none are asked for. Raises DataError."""
        if not self.tags:
            return lambda name: None
        return tags_in(self.path, self.tags, self.column)


def switch_names(names: list[str]) -> list[str]:
    """Names for switches, one a file: its stem; its path where stems collide; numbered where those do too.

    White space, `=` and `,` become `_` and leading `-` go, so that `--set name=1 other=0` can say them; bytes that are
    not UTF-8 become escapes. A stem that only one file has is that file's name, whatever the others are numbered.
    """
    paths = [pathlib.PurePosixPath(printable(name)) for name in names]
    stems = [one_word(path.stem) for path in paths]
    count = collections.Counter(stems)
    taken = {stem for stem in stems if count[stem] == 1}
    result: list[str] = []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if count[stem] > 1:
            name = base = one_word(str(path.with_suffix("")))
            number = 1
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
        result.append(name)
    return result


class MixturesCorpus:
    """Opened `Mixtures`.

    Training items are 64 a clip, each drawn anew from `rng` around clip `index % clips`. Validation items are the
    held-out pairs at half and half; with fewer than 4 songs nothing is held out, since no other pair would be left.
    Where switches are tags a song turns all of its own on, and songs that share one add up to more than 1 of it; what a
    tag sounds like alone need not be any song.

    Attributes:
      labels: one switch a clip, or a tag; only those of the first clip are on by default.
      clips: float32 [clips, samples], `windows` for each song, what each sounds like alone.
      switches: float32 [clips, labels], which switches are on for each clip.
      held_out: pairs of clips, the same window of two songs that are never mixed in training.
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
        self.clips, names = clips, [file.name for file in files]
        if data.tags:
            tags, every, self.switches = tag_switches(tags)
            about = [", ".join(name for name, own in zip(names, tags, strict=True) if tag in own) for tag in every]
        else:
            every, about, self.switches = switch_names(names), names, np.eye(len(clips), dtype=np.float32)
            if data.windows > 1:
                numbers = range(1, data.windows + 1)
                every = [f"{name}.{number}" for name in every for number in numbers]
                about = [f"{name}, clip {number}" for name in about for number in numbers]
        self.labels = tuple(
            Switch(name, default=float(default), help=printable(files))
            for name, default, files in zip(every, self.switches[0], about, strict=True)
        )
        neighbours = [(i, (i + 1) % len(files)) for i in range(len(files))] if len(files) >= 4 else []
        self._song_of = np.arange(len(clips)) // data.windows
        self._apart = {
            (i, j)
            for i, j in (neighbours if data.held_out_pairs else ())
            if data.windows > 1 or (self.switches[i] != self.switches[j]).any()
        }
        windows = range(data.windows)
        self.held_out = tuple(
            (i * data.windows + window, j * data.windows + window) for i, j in sorted(self._apart) for window in windows
        )
        self._active, self._solo_fraction = data.active, data.solo_fraction
        few = f" of the {data.songs} asked for" if len(files) < data.songs else ""
        self.fingerprint = fingerprint(files)
        if data.tags:
            self.fingerprint = hashlib.sha256(f"{self.fingerprint} {every} {tags}".encode()).hexdigest()[:16]
            notes = [*notes, f"  {len(every)} tags of {data.column} are the switches: {', '.join(every)}"]
        what = "" if data.tags else " as switches"
        each = f", {data.windows} clips each," if data.windows > 1 else ""
        report = "\n".join(
            [
                found.report,
                f"  {len(files)} songs{few}{each}{what} at {data.level_db:g} dB RMS, "
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
        """The clips of a training item and their weights."""
        chosen = [anchor]
        if self._active > 1 and rng.random() >= self._solo_fraction:
            wanted = 1 + int(rng.integers(1, self._active))
            for clip in rng.permutation(len(self.clips)).tolist():
                if len(chosen) == wanted:
                    break
                if clip not in chosen and not any(self._held_out(clip, other) for other in chosen):
                    chosen.append(clip)
        kind = rng.random()
        if len(chosen) == 1:
            return chosen, 1.0 if kind < 0.5 else rng.uniform()
        if kind < 0.6:
            return chosen, rng.uniform(0.1, 1.0, len(chosen))
        # Equal parts, because a person who mixes two songs sets both to a half or both to one.
        return chosen, 1 / len(chosen) if kind < 0.8 else 1.0

    def _held_out(self, clip: int, other: int) -> bool:
        pair = int(self._song_of[clip]), int(self._song_of[other])
        return pair in self._apart or pair[::-1] in self._apart
