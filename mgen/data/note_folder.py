"""A folder of notes with a table of what they are."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

from mgen.data import DataError
from mgen.data.level import AtPeak
from mgen.data.notes import LOUDEST, Note, NotesCorpus, Wanted, found_folder, hold_out, readable


@dataclasses.dataclass(frozen=True)
class NoteFolder(AtPeak):
    """A folder of notes with a table, notes.csv: file, instrument, family, midi_pitch, and if need be velocity."""

    path: str = ""
    """Folder that holds notes.csv and the files it names."""
    pitch: tuple[int, int] = (0, 127)
    """Lowest and highest MIDI number used."""
    families: tuple[str, ...] = ()
    """Families used; all if none is named."""
    validation_fraction: float = 0.1
    """Share of the instruments kept for validation."""
    split_seed: int = 0
    """Another number keeps other instruments."""
    peak: float | None = 0.5
    """Amplitude that every note is brought to; None leaves each its level."""
    cache_mb: int = 1024
    """Notes kept in memory, megabytes."""

    def open(self, *, sample_rate: int, samples: int) -> NotesCorpus:
        """Reads the table and looks at every file's header; notes begin at their onset.

        Raises:
          DataError: there is no such folder or table, a row cannot be used, or nothing is left.
        """
        wanted = Wanted(pitch=self.pitch, families=self.families)
        wanted.check()
        root = found_folder(self.path)
        table = root / "notes.csv"
        if not table.is_file():
            raise DataError(
                f"data.path={root}: holds no notes.csv with the columns file, instrument, family, midi_pitch"
            )
        listed = _rows(table)
        notes, lines = readable(note for note in listed if wanted.has(note))
        if not notes:
            raise DataError(
                f"data.path={root}: none of {len(listed)} notes can be used" + "".join(map("\n".__add__, lines[:5]))
            )
        return NotesCorpus(
            hold_out(notes, self.validation_fraction, self.split_seed),
            sample_rate=sample_rate,
            samples=samples,
            trim=True,
            peak=self.peak,
            cache_mb=self.cache_mb,
            report="\n".join([f"{root}: {len(notes)} of {len(listed)} notes", *lines]),
        )


def _rows(table: pathlib.Path) -> list[Note]:
    needed = ("file", "instrument", "family", "midi_pitch")
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{table}: has no column {', '.join(missing)}; expected {', '.join(needed)}")
        notes = []
        for number, row in enumerate(reader, start=2):
            try:
                pitch, velocity = int(row["midi_pitch"]), int(row.get("velocity") or 100)
            except ValueError:
                raise DataError(f"{table}, line {number}: midi_pitch and velocity must be whole numbers") from None
            if not 0 <= pitch <= 127 or not 1 <= velocity <= LOUDEST or not row["file"]:
                raise DataError(
                    f"{table}, line {number}: expected a file, a pitch of 0 to 127 and a velocity of 1 to 127"
                )
            notes.append(
                Note(table.parent / row["file"], row["file"], row["instrument"], row["family"], pitch, velocity)
            )
    return notes
