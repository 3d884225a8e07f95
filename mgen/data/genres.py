"""Tracks of several genres, cut into segments: GTZAN, FMA, and any folder with a folder for each class (system 004).

    GTZAN   genres/blues/blues.00000.au, or genres_original/blues/blues.00000.wav beside tables and pictures
    FMA     fma_small/000/000002.mp3, and fma_metadata/tracks.csv, which says what each track is and how they split
    others  FOLDER/CLASS/anything/below.ogg, or any table with a row a file

`jazz.00054` of GTZAN is corrupt in many copies: it is said and passed by, as every file is that cannot be read.

Reference: Tzanetakis & Cook, "Musical genre classification of audio signals", IEEE Trans. SAP 10(5), 2002 (GTZAN);
  Defferrard et al., "FMA: a dataset for music analysis", ISMIR 2017; Sturm, "The GTZAN dataset: its contents, its
  faults ...", 2013 (why segments of one track must not lie on both sides of a split).
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from mgen.audio import printable
from mgen.controls import Choice
from mgen.data import DataError
from mgen.data.level import AtRms
from mgen.data.scan import File, Scan, fingerprint, scan, validation_files
from mgen.data.tags import one_word, tags_in

SUBSETS = ("small", "medium", "large")  # of FMA; each holds those before it


class _Known(NamedTuple):
    """What is known of a file before it is decoded."""

    genre: str
    split: str = ""  # FMA's own: training, validation or test


@dataclasses.dataclass(frozen=True)
class Genres(AtRms):
    """Segments of tracks, whose label `genre` is the folder that the track lies in, or what a table says of it."""

    path: str = ""
    """Folder of audio files, with a folder for each genre, or with a `table`."""
    table: str = ""
    """CSV file that says the genres: FMA's tracks.csv, or one with a row a file. In `path`, beside it, or here."""
    column: str = "genre"
    """Column of the table that is the genre, where it is not FMA's."""
    subset: Literal["", "small", "medium", "large"] = ""
    """Of FMA; all its tracks that have a genre if not given."""
    genres: tuple[str, ...] = ()
    """Only these; all if none is named."""
    split: Literal["track", "segment"] = "track"
    """What lies whole on one side of the split. By segment, as the original did it, what is held out is of tracks that
    were trained on: its accuracy is that of a memory. FMA's tracks lie as tracks.csv says; its test set is unused."""
    crop: Literal["grid", "random"] = "grid"
    """Segments of training: those that follow each other, or as many from anywhere in the track."""
    validation_fraction: float = 0.1
    """Share of each genre's tracks, or segments, kept for validation."""
    split_seed: int = 0
    """Another number keeps others for validation."""
    level_db: float | None = -20.0
    """RMS level that every segment is brought to, dB below full scale; None leaves it as it is."""

    def open(self, *, sample_rate: int, samples: int) -> GenresCorpus:
        """Scans the folder and opens it as segments of `samples` mono samples at `sample_rate` Hz.

        Raises:
          DataError: a field has no such value, the table cannot be read, or fewer than two genres are left.
        """
        for name, good, expected in (
            ("split", self.split in ("track", "segment"), "track or segment"),
            ("crop", self.crop in ("grid", "random"), "grid or random"),
            ("subset", self.subset in ("", *SUBSETS), "small, medium, large, or none"),
            ("validation_fraction", 0 <= self.validation_fraction < 1, "0 up to but not 1"),
            ("level_db", self.level_db is None or -float("inf") < self.level_db <= 0, "0 or less, or None"),
        ):
            if not good:
                raise DataError(f"data.{name}={getattr(self, name)}: expected {expected}")
        if self.split == "segment" and self.crop == "random":
            raise DataError("data.crop=random: would hear the segments that data.split=segment holds out; use grid")
        known = self._by_table() if self.table else self._by_folder()

        def wanted(name: str) -> bool:
            own = known(name)
            return own is not None and (not self.genres or own.genre in self.genres)

        found = scan(self.path, sample_rate=sample_rate, wanted=wanted)
        own = [known(file.name) for file in found.files]
        there = sorted({one.genre for one in own})
        if len(there) < 2 or (missing := sorted(set(self.genres) - set(there))):
            lacking = f"data.genres: there is no {missing[0]}" if len(there) >= 2 else "at least two are needed"
            raise DataError(printable(f"data.path={found.root}: genres are {', '.join(there)}; {lacking}"))
        return GenresCorpus(self, found, own, tuple(there), samples, sample_rate)

    def _by_folder(self) -> Callable[[str], _Known | None]:
        """Genres are the first folders of which there are several that hold sound: `path` may lie above them."""
        from mgen.audio import SUFFIXES

        root = pathlib.Path(self.path).expanduser()
        above = 0  # folders between `path` and the genres
        place = root
        while self.path and place.is_dir():
            inside = sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))
            sounding = [p for p in inside if any(q.suffix.lower() in SUFFIXES for q in p.rglob("*"))]
            if len(sounding) != 1:
                break
            place, above = sounding[0], above + 1

        def known(name: str) -> _Known | None:
            parts = pathlib.PurePosixPath(name).parts
            return _Known(one_word(printable(parts[above]))) if len(parts) > above + 1 else None

        return known

    def _by_table(self) -> Callable[[str], _Known | None]:
        folder = pathlib.Path(self.path).expanduser()
        near = [folder / self.table, folder.parent / self.table, pathlib.Path(self.table)]
        table = next((path for path in near if path.is_file()), None)
        if table is not None and (tracks := _fma_tracks(table, self.subset)) is not None:

            def of_track(name: str) -> _Known | None:
                stem = pathlib.PurePosixPath(name).stem
                return tracks.get(int(stem)) if stem.isdecimal() else None

            return of_track
        if self.subset:
            raise DataError(f"data.subset={self.subset}: {self.table} is not FMA's tracks.csv, which alone has subsets")
        tags_of = tags_in(self.path, self.table, self.column, field="table")

        def known(name: str) -> _Known | None:
            tags = tags_of(name)
            return _Known(one_word(printable(tags[0]))) if tags else None

        return known


def _fma_tracks(table: pathlib.Path, subset: str) -> dict[int, _Known] | None:
    """FMA's tracks by number, those that have a genre; None where the table is not FMA's.

    The header has three lines: groups of columns, their names, and `track_id` alone.
    """
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            groups, names = next(rows, []), next(rows, [])
            places = {pair: place for place, pair in enumerate(zip(groups, names, strict=False))}
            asked = [("track", "genre_top"), ("set", "split"), ("set", "subset")]
            if not all(pair in places for pair in asked):
                return None
            columns = [places[pair] for pair in asked]
            tracks, held = {}, SUBSETS[: SUBSETS.index(subset) + 1] if subset else None
            for row in rows:
                if len(row) <= max(columns) or not row[0].isdecimal():  # the third line of the header
                    continue
                genre, split, own = (row[column] for column in columns)
                if genre and (held is None or own in held):
                    tracks[int(row[0])] = _Known(one_word(genre), split)
            return tracks
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"data.table={table}: cannot be read as a table: {error}") from error


class GenresCorpus:
    """Opened `Genres`: segments by number, in the order of files and of time.

    A track's last piece is a segment, zero-padded, if it is at least half of one; so GTZAN's tracks, of which few have
    30 s to the sample, have six of 431 frames each. A track shorter than a segment is one, zero-padded.
    """

    def __init__(
        self, data: Genres, found: Scan, known: list[_Known], genres: tuple[str, ...], samples: int, sample_rate: int
    ):
        """See `Genres.open`, which checks what is given here."""
        self._data, self._files, self._samples = data, found.files, samples
        self._genre = [genres.index(one.genre) for one in known]
        self.labels = (Choice("genre", genres, help="what kind of music, or of sound"),)
        counts = [self._segments(file) for file in found.files]
        segments = [(number, segment) for number, count in enumerate(counts) for segment in range(count)]
        side = self._sides(known, segments)
        self._items = {
            split: [place for place, own in zip(segments, side, strict=True) if own == split]
            for split in ("train", "validation")
        }
        length = f"{samples} samples ({samples / sample_rate:.2f} s)"
        lines = [found.report, f"  segments of {length}, split by {data.split}:"]
        for index, genre in enumerate(genres):
            words = []
            for split, items in self._items.items():
                own = [number for number, _ in items if self._genre[number] == index]
                words.append(f"{split} {len(own)} of {len(set(own))} tracks")
            lines.append(f"    {genre}: {', '.join(words)}")
        if unused := sum(one == "" for one in side):
            lines.append(f"    not used: {unused} of the test set")
        self.report = printable("\n".join(lines))
        told = ascii([fingerprint(found.files), [tuple(one) for one in known]])
        self.fingerprint = hashlib.sha256(told.encode("ascii")).hexdigest()[:16]

    def _segments(self, file: File) -> int:
        complete, rest = divmod(file.audio.length, self._samples)
        return max(1, complete + (2 * rest >= self._samples))

    def _sides(self, known: list[_Known], segments: list[tuple[int, int]]) -> list[str]:
        """The split of each segment, "" for none."""
        data = self._data
        if any(one.split for one in known) and data.split == "track":
            own = {"training": "train", "validation": "validation"}
            return [own.get(known[number].split, "") for number, _ in segments]
        by_genre = collections.defaultdict(set)
        names = []
        for number, segment in segments:
            if known[number].split == "test":
                names.append("")
                continue
            name = self._files[number].name + (f"#{segment}" if data.split == "segment" else "")
            names.append(name)
            by_genre[self._genre[number]].add(name)
        # Genre by genre, so that none is missing on a side.
        kept = set().union(
            *(validation_files(sorted(own), data.validation_fraction, data.split_seed) for own in by_genre.values())
        )
        return ["validation" if name in kept else "train" if name else "" for name in names]

    def size(self, split: str) -> int:
        """Segments in `split`, "train" or "validation". Raises ValueError for another."""
        if split not in self._items:
            raise ValueError(f"split={split}: expected train or validation")
        return len(self._items[split])

    def track(self, split: str, index: int) -> str:
        """The file that item `index` of `split` is of, by its name within the folder."""
        return self._files[self._place(split, index)[0]].name

    def _place(self, split: str, index: int) -> tuple[int, int]:
        if not 0 <= index < self.size(split):
            raise IndexError(f"item {index} of {split}: expected 0 to {self.size(split) - 1}")
        return self._items[split][index]

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Segment `index` of `split`: {"wave": float32 [samples], "labels": float32 [1], the index of the genre}.

        Raises:
          IndexError: index is not below size(split).
        """
        number, segment = self._place(split, index)
        audio, start = self._files[number].audio, segment * self._samples
        if split == "train" and self._data.crop == "random":
            start = int(rng.integers(max(0, audio.length - self._samples) + 1))
        wave = self._data.level(audio.read(start, start + self._samples))
        label = np.array([self._genre[number]], np.float32)
        return {"wave": np.pad(wave, (0, self._samples - len(wave))), "labels": label}
