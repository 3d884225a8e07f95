"""What a table says of sound files: any column of a CSV, such as a genre, an instrument or a mood."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from mgen.audio import SUFFIXES, printable
from mgen.data import DataError

_NAMED = ("file", "filename", "file_name", "path", "track_id", "name")  # the column of files, else it is the first


def tags_in(path: str, table: str, column: str, *, field: str = "tags") -> Callable[[str], tuple[str, ...]]:
    """What a table says of the files of a folder, by their names within it; see `read_tags`.

    Args:
      path: the folder.
      table: CSV file in the folder, beside it, or here.
      column: whose values are the tags.
      field: of the data, that names the table.

    Raises:
      DataError: there is no such file, or as in `read_tags`.
    """
    folder = pathlib.Path(path).expanduser()
    near = [folder / table, folder.parent / table, pathlib.Path(table)]
    found = next((path for path in near if path.is_file()), None)
    if found is None:
        raise DataError(f"data.{field}={table}: no such file; looked for {', '.join(map(str, near))}")
    tags_of = read_tags(found, column, field=field)
    return lambda name: tags_of(f"{folder.resolve().name}/{name}")


def tag_switches(tags: Sequence[Sequence[str]]) -> tuple[list[tuple[str, ...]], list[str], np.ndarray]:
    """The tags of songs as switches.

    Returns:
      The tags of each song, as one word each; every tag, sorted; and which are on for each song, float32 [songs, tags].
    """
    own = [tuple(dict.fromkeys(one_word(printable(tag)) for tag in some)) for some in tags]
    every = sorted({tag for some in own for tag in some})
    return own, every, np.array([[tag in some for tag in every] for some in own], np.float32)


def one_word(text: str) -> str:
    """A name that `--set name=1 other=0` can say: white space, `=` and `,` become `_`, and leading `-` go."""
    return re.sub(r"[\s=,]+", "_", text).lstrip("-") or "_"


def read_tags(table: pathlib.Path, column: str, *, field: str = "tags") -> Callable[[str], tuple[str, ...]]:
    """What a table says of files, where `;` parts several tags in a cell.

    A row means the files whose path ends in what it says, with or without the suffix: `music/a.ogg`, `a.ogg` and `a`
    all mean `songs/music/a.ogg`, the most exact row wins, and a row that says more than a file's path must end in all
    of it. Numbers mean files with or without leading zeros.

    Args:
      table: CSV file with a header in one line; the files are in a column named file, filename, path, track_id or
        name, or in the first.
      column: whose values are the tags.
      field: of the data, that names the table.

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
        raise DataError(f"data.{field}={table}: cannot be read: {reason}") from error
    if column not in header:
        asked = f"data.column={column!r}: {table}" if field == "tags" else f"data.{field}={table}: no {column!r}; it"
        raise DataError(f"{asked} has the columns {', '.join(header) or 'none'}")
    key = next((title for title in _NAMED if title in header), header[0])
    exact: dict[str, tuple[str, ...]] = {}
    longer: dict[str, tuple[str, ...]] = {}  # by all shorter ends of what a row says
    for row in rows:
        path = _bare(row[key] or "")
        tags = tuple(dict.fromkeys(tag.strip() for tag in (row[column] or "").split(";") if tag.strip()))
        if path and exact.setdefault(path, tags) != tags:
            raise DataError(f"data.{field}={table}: says two things of {path}: {exact[path]} and {tags}")
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
