"""NSynth, or any collection in its layout: examples.json and audio/NOTE.wav, in one folder or one for each split.

    nsynth-train/ nsynth-valid/ nsynth-test/        as it is published: train and validation
    FOLDER/examples.json, FOLDER/audio/             one set: whole instruments of it are held out

Reference: Engel et al., "Neural audio synthesis of musical notes with WaveNet autoencoders", ICML 2017.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from mgen.data import DataError
from mgen.data.level import AtPeak
from mgen.data.notes import (
    FAMILIES,
    QUALITIES,
    SOURCES,
    Note,
    NotesCorpus,
    Wanted,
    found_folder,
    hold_out,
    readable,
)

#: <family>_<source>_<instrument>-<pitch>-<velocity>
_NAME = re.compile(rf"(?P<family>{'|'.join(FAMILIES)})_(?P<source>{'|'.join(SOURCES)})_(\d{{3}})-(\d{{3}})-(\d{{3}})")


@dataclasses.dataclass(frozen=True)
class NSynth(AtPeak):
    """Notes of NSynth, or of a soundfont that `mgen render-notes` has played."""

    path: str = ""
    """Folder of nsynth-train and nsynth-valid, or of one examples.json."""
    pitch: tuple[int, int] = (0, 127)
    """Lowest and highest MIDI number used."""
    families: tuple[str, ...] = ()
    """Families used, such as keyboard organ; all if none is named."""
    sources: tuple[str, ...] = ()
    """acoustic, electronic, synthetic; all if none is named."""
    velocities: tuple[int, ...] = ()
    """MIDI velocities used, such as 50 100; all if none is named."""
    without: tuple[str, ...] = ()
    """Qualities whose notes are left out, such as percussive."""
    held_out: str = "instruments"
    """What is kept for validation: "instruments" is the set's own split, or whole instruments where it has none,
    "notes" is single notes of all."""
    validation_fraction: float = 0.1
    """Share of them."""
    split_seed: int = 0
    """Another number keeps others."""
    peak: float | None = None
    """Amplitude that every note is brought to; None leaves each its level."""
    effects: tuple[str, ...] = ()
    """Effects that notes are given, each of which becomes a label: vibrato distortion low_pass slow_attack reverb."""
    blend: float = 0.0
    """Share of training notes that sound together with another of their pitch, which makes new instruments."""
    cache_mb: int = 2048
    """Notes kept in memory, megabytes; a note of 4 s takes 0.13."""

    def open(self, *, sample_rate: int, samples: int) -> NotesCorpus:
        """Reads what is said of the notes, and the headers of the files of those that are wanted.

        Raises:
          DataError: a field has no such value, the folder is not one of NSynth's, or nothing is left.
        """
        wanted = Wanted(self.pitch, self.families, self.sources, self.velocities, self.without)
        wanted.check()
        if self.held_out not in ("instruments", "notes"):
            raise DataError(f"data.held_out={self.held_out}: expected instruments or notes")
        if not 0 <= self.validation_fraction < 1:
            raise DataError(f"data.validation_fraction={self.validation_fraction}: expected 0 up to but not 1")
        root = found_folder(self.path)
        train, valid = root / "nsynth-train", root / "nsynth-valid"
        if train.is_dir() and self.held_out == "notes":
            every = [note for folder in (train, valid) if folder.is_dir() for note in notes_of(folder, wanted)]
            parts = hold_out(every, self.validation_fraction, self.split_seed, by="name")
        elif train.is_dir():
            parts = {"train": notes_of(train, wanted), "validation": notes_of(valid, wanted) if valid.is_dir() else []}
        elif (root / "audio").is_dir():
            by = "name" if self.held_out == "notes" else "instrument"
            parts = hold_out(notes_of(root, wanted), self.validation_fraction, self.split_seed, by=by)
        else:
            raise DataError(f"data.path={root}: expected nsynth-train/, or audio/ and examples.json; this has neither")
        lines = []
        for split, notes in parts.items():
            parts[split], refused = readable(notes)
            lines += refused
        if not parts["train"]:
            reasons = "\n".join(["", *lines[:5]])
            raise DataError(f"data.path={root}: no training note is left{reasons}")
        rejected = [f"  rejected: {len(lines)}", *lines] if lines else []
        return NotesCorpus(
            parts,
            sample_rate=sample_rate,
            samples=samples,
            trim=False,
            peak=self.peak,
            cache_mb=self.cache_mb,
            effects=self.effects,
            blend=self.blend,
            report="\n".join([f"{root}: {sum(map(len, parts.values()))} notes", *rejected]),
        )


def notes_of(folder: pathlib.Path, wanted: Wanted) -> list[Note]:
    """The wanted notes of FOLDER/examples.json; of the names in FOLDER/audio where there is no such file.

    The JSON of NSynth's training set is large: its entries are looked at one by one, and only the wanted are kept.

    Raises:
      DataError: the JSON is broken, or an entry lacks a field.
    """
    table = folder / "examples.json"
    if not table.is_file():
        names = sorted(file.stem for file in (folder / "audio").iterdir() if file.suffix == ".wav")
        notes = (_named(folder, name) for name in names)
        return [note for note in notes if note is not None and wanted.has(note)]
    found = []
    for name, entry in _entries(table):
        try:
            note = _described(folder, name, entry)
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"{table}: {name} lacks {error}; expected the fields of NSynth's examples.json") from None
        if wanted.has(note):
            found.append(note)
    return sorted(found, key=lambda note: note.name)


def _described(folder: pathlib.Path, name: str, entry: dict[str, Any]) -> Note:
    return Note(
        file=folder / "audio" / f"{name}.wav",
        name=name,
        instrument=entry["instrument_str"],
        family=FAMILIES[entry["instrument_family"]],
        pitch=entry["pitch"],
        velocity=entry["velocity"],
        source=SOURCES[entry["instrument_source"]],
        qualities=frozenset(quality for quality, has in zip(QUALITIES, entry["qualities"], strict=True) if has),
    )


def _named(folder: pathlib.Path, name: str) -> Note | None:
    """What the name of a note says; of its qualities it says nothing."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    instrument, pitch, velocity = name.rsplit("-", 2)
    file = folder / "audio" / f"{name}.wav"
    return Note(file, name, instrument, match["family"], int(pitch), int(velocity), match["source"])


def _entries(table: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """The entries of one large JSON object, one at a time."""
    text, decoder = table.read_text("utf-8"), json.JSONDecoder()
    space = re.compile(r"[\s,:]*")
    try:
        place = space.match(text, text.index("{") + 1).end()
        while text[place] != "}":
            name, place = decoder.raw_decode(text, place)
            entry, place = decoder.raw_decode(text, space.match(text, place).end())
            yield name, entry
            place = space.match(text, place).end()
    except (ValueError, IndexError) as error:
        raise DataError(f"{table}: is no JSON object ({error}); download it again") from None
