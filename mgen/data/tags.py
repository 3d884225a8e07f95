"""What a table says of sound files: any column of a CSV, such as a genre, an instrument or a mood."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Callable

from mgen.audio import SUFFIXES
from mgen.data import DataError

_NAMED = ("file", "filename", "file_name", "path", "track_id", "name")  # the column of files, else it is the first


def read_tags(table: pathlib.Path, column: str) -> Callable[[str], tuple[str, ...]]:
    """What a table says of files, where `;` parts several tags in a cell.

    A row means the files whose path ends in what it says, with or without the suffix: `music/a.ogg`, `a.ogg` and `a`
    all mean `songs/music/a.ogg`, the most exact row wins, and a row that says more than a file's path must end in all
    of it. Numbers mean files with or without leading zeros.

    Args:
      table: CSV file with a header in one line; the files are in a column named file, filename, path, track_id or
        name, or in the first.
      column: whose values are the tags.

    Returns:
      From a file's path, with `/` and relative to any folder, to its tags; none for a file that no row means.

    Raises:
      DataError: the table cannot be read, has no such column, or says two things of one file.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            header, rows = [title for title in reader.fieldnames or () if title], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.tags={table}: cannot be read: {reason}") from error
    if column not in header:
        raise DataError(f"data.column={column!r}: {table} has the columns {', '.join(header) or 'none'}")
    key = next((title for title in _NAMED if title in header), header[0])
    exact: dict[str, tuple[str, ...]] = {}
    longer: dict[str, tuple[str, ...]] = {}  # by all shorter ends of what a row says
    for row in rows:
        path = _bare(row[key] or "")
        tags = tuple(dict.fromkeys(tag.strip() for tag in (row[column] or "").split(";") if tag.strip()))
        if path and exact.setdefault(path, tags) != tags:
            raise DataError(f"data.tags={table}: says two things of {path}: {exact[path]} and {tags}")
        for end in _ends(path)[1:]:
            longer.setdefault(end, tags)

    def tags_of(name: str) -> tuple[str, ...]:
        path = _bare(name)
        return next((exact[end] for end in _ends(path) if end in exact), longer.get(path, ()))

    return tags_of


def _bare(path: str) -> str:
    """A path without the suffix of a sound file, and a number without leading zeros."""
    *folders, name = path.strip().replace("\\", "/").split("/")
    if pathlib.PurePosixPath(name).suffix.lower() in SUFFIXES:
        name = pathlib.PurePosixPath(name).stem
    if name.isdigit():
        name = str(int(name))
    return "/".join([*(folder for folder in folders if folder not in ("", ".")), name])


def _ends(path: str) -> list[str]:
    """A path and all that it ends in, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
