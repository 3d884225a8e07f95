"""What a table says of sound files: any column of a CSV, such as a genre, an instrument or a mood."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

from mgen.data import DataError

_NAMED = ("file", "filename", "file_name", "path", "track_id", "name")  # the column of files, else it is the first


def tags_of(names: Sequence[str], table: pathlib.Path, column: str) -> list[tuple[str, ...]]:
    """The tags of each file, in the order of the table's cell, where `;` parts several; none for a file not in it.

    A row means the file whose path ends in what it says, with or without the suffix and leading zeros: so
    `music/a.ogg`, `a.ogg` and `a` may all mean a file `a.ogg`, and FMA's track 2 means `000/000002.mp3`.

    Args:
      names: paths of the files, with `/`, relative to any folder.
      table: CSV file with a header; the files are in a column named file, filename, path, track_id or name, or in the
        first.
      column: whose values are the tags.

    Raises:
      DataError: the table cannot be read, has no such column, or knows none of the files.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.tags={table}: cannot be read: {reason}") from error
    header = [title for title in rows[0] if title] if rows else []
    if column not in header:
        raise DataError(f"data.column={column!r}: {table} has the columns {', '.join(header) or 'none'}")
    key = next((title for title in _NAMED if title in header), header[0])
    known: dict[str, tuple[str, ...]] = {}
    for row in rows:
        tags = dict.fromkeys(tag.strip() for tag in (row[column] or "").split(";"))
        for short in _shorter(row[key] or ""):
            known.setdefault(short, tuple(tag for tag in tags if tag))
    found = [next((known[short] for short in _shorter(name) if short in known), ()) for name in names]
    if not any(found):
        raise DataError(f"data.tags={table}: its column {key!r} names none of the files, such as {names[0]!r}")
    return found


def _shorter(path: str) -> list[str]:
    """What a path may be called, from the most to the least exact."""
    parts = pathlib.PurePosixPath(path.strip().replace("\\", "/")).parts
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    stem = pathlib.PurePosixPath(ends[-1]).stem if ends else ""
    return [*ends, stem, stem.lstrip("0")] if stem else []
