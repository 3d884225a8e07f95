"""A folder of sound files as training data: split by file, cut into clips at random, in a row, or one a file."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import tqdm

from mgen.audio import printable
from mgen.data import DataError
from mgen.data.scan import File, Scan, fingerprint, scan, validation_files
from mgen.data.structure import repeated_start

_CROPS = ("random", "grid", "start", "repeat")


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of sound files, split by file into training and validation, and cut into clips."""

    path: str = ""
    """Folder of audio files, searched with all its subfolders."""

    crop: Literal["random", "grid", "start", "repeat"] = "random"
    """Training clips: random pieces of each file, or consecutive ones; or one of each file, from its start or where the
    song repeats best, which is often the chorus. Validation clips are always consecutive."""

    validation_fraction: float = 0.1
    """Share of the files kept for validation; at least one file where there are two and this is not 0."""

    split_seed: int = 0
    """Another number keeps other files for validation."""

    def open(self, *, sample_rate: int, samples: int) -> FolderCorpus:
        """Scans the folder and opens it as clips of `samples` mono samples at `sample_rate` Hz.

        Raises:
          DataError: a field has no such value, or nothing usable is left.
        """
        if self.crop not in _CROPS:
            raise DataError(f"data.crop={self.crop}: expected one of {', '.join(_CROPS)}")
        if not 0 <= self.validation_fraction < 1:
            raise DataError(f"data.validation_fraction={self.validation_fraction}: expected 0 up to but not 1")
        if samples < 1:
            raise DataError(f"samples={samples}: a clip needs at least one sample")
        found = scan(self.path, sample_rate=sample_rate)
        kept = validation_files([f.name for f in found.files], self.validation_fraction, self.split_seed)
        return FolderCorpus(found, kept, samples, sample_rate, self.crop)


class FolderCorpus:
    """An opened `Folder`: items by number, without labels.

    Training items of random crops are as many as the whole clips in the files, at least one a file, so that longer
    files are drawn more often; of "start" and "repeat" there is one a file. Consecutive clips include a file's last
    piece, zero-padded, if it is at least half a clip. A file shorter than a clip is one item, zero-padded at its end.
    """

    labels = ()

    def __init__(self, found: Scan, kept: set[str], samples: int, sample_rate: int, crop: str):
        self.samples = samples
        self._crop = {"train": crop, "validation": "grid"}
        self._files = {
            "train": tuple(file for file in found.files if file.name not in kept),
            "validation": tuple(file for file in found.files if file.name in kept),
        }
        self._once: dict[str, int] = {}  # by file, the first sample of the only clip of it
        if crop == "repeat":
            length_s = samples / sample_rate
            for file in tqdm.tqdm(self._files["train"], delay=2, unit="file", leave=False):
                start = round(repeated_start(file.audio, length_s=length_s) * sample_rate)
                self._once[file.name] = max(0, min(start, file.audio.length - samples))
        self._ends = {
            split: np.cumsum([self._clips(file, split) for file in self._files[split]]) for split in self._files
        }
        short = sum(file.audio.length < samples for file in found.files)
        lines = [found.report, f"  clips of {samples} samples ({samples / sample_rate:.2f} s):"]
        lines += [f"    {split}: {self.size(split)} in {len(files)} files" for split, files in self._files.items()]
        if crop == "repeat":
            lines += [f"    {name}: repeats from {start / sample_rate:.2f} s" for name, start in self._once.items()]
        if short:
            lines.append(f"    shorter than a clip and zero-padded: {short}")
        self.report = printable("\n".join(lines))
        self.fingerprint = fingerprint(found.files)

    def _clips(self, file: File, split: str) -> int:
        if self._crop[split] in ("start", "repeat"):
            return 1
        whole, rest = divmod(file.audio.length, self.samples)
        padded = 2 * rest >= self.samples and self._crop[split] == "grid"
        return max(1, whole + padded)

    def _split(self, split: str) -> tuple[File, ...]:
        if split not in self._files:
            raise ValueError(f"split={split}: expected train or validation")
        return self._files[split]

    def files(self, split: str) -> tuple[File, ...]:
        """The files of a split, by name."""
        return self._split(split)

    def size(self, split: str) -> int:
        """Clips in `split`, "train" or "validation"."""
        return int(self._ends[split][-1]) if self._split(split) else 0

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Clip `index` of `split`: {"wave": float32 [samples], "labels": float32 [0]}.

        Raises:
          IndexError: index is not below size(split).
        """
        if not 0 <= index < self.size(split):
            raise IndexError(f"item {index} of {split}: expected 0 to {self.size(split) - 1}")
        ends = self._ends[split]
        number = int(np.searchsorted(ends, index, side="right"))
        name, file = self._files[split][number].name, self._files[split][number].audio
        if self._crop[split] == "random":
            start = int(rng.integers(max(0, file.length - self.samples) + 1))
        elif self._crop[split] == "repeat":
            start = self._once[name]
        else:
            start = (index - (int(ends[number - 1]) if number else 0)) * self.samples
        wave = file.read(start, start + self.samples)
        return {"wave": np.pad(wave, (0, self.samples - len(wave))), "labels": np.zeros(0, np.float32)}
