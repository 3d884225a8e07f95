"""Results of benchmarks: JSON files that say what was run where, and the tables of README and docs made from them.

    python benchmarks/record.py            # writes every table anew from benchmarks/results/*.json
    python benchmarks/record.py --check    # fails where a table is not what its file says

A table lies between `<!-- table: FILE -->` and `<!-- end -->` in a Markdown file, and shows the file's `table` rows.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_TABLE = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def record(
    name: str,
    *,
    table: list[dict[str, Any]],
    seed: int,
    about: str,
    details: Any = None,
    where: dict[str, Any] | None = None,
) -> pathlib.Path:
    """Writes benchmarks/results/NAME.json.

    Args:
      name: of the file, without its suffix.
      table: rows for the README, {column title: text or number}.
      seed: that was used.
      about: what was measured, on what data, in a sentence.
      details: all else that was measured.
      where: what `machine` said where it was measured, if not here and now.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    result = {"about": about, "date": datetime.date.today().isoformat(), "seed": seed, **(where or machine())}
    path.write_text(json.dumps({**result, "table": table, "details": details}, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """The device and the versions a number belongs to."""
    import jax

    devices = jax.local_devices()
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "librosa", "soxr", "soundfile")
    return {
        "device": f"{len(devices)} x {devices[0].device_kind}, {processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def processor() -> str:
    """The processor's own name for itself."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def markdown(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table; numbers are right-aligned and as they stand in the file."""
    titles = list(rows[0])
    right = [all(isinstance(row[title], (int, float)) for row in rows) for title in titles]
    lines = [
        titles,
        ["---:" if numeric else "---" for numeric in right],
        *([str(row[t]) for t in titles] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def filled(text: str) -> str:
    """A document with every table made anew from its file."""

    def fill(match: re.Match) -> str:
        result = json.loads((RESULTS / f"{match['name']}.json").read_text())
        source = f"\n{result['about']} {result['device']}; jax {result['versions']['jax']}; {result['date']}.\n"
        return match[1] + markdown(result["table"]) + source + match[3]

    return _TABLE.sub(fill, text)


def documents() -> list[pathlib.Path]:
    """The documents that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> int:
    """Fills or checks the tables."""
    stale = [path for path in documents() if filled(path.read_text()) != path.read_text()]
    if "--check" in sys.argv:
        print("\n".join(f"{path.relative_to(ROOT)}: a table is not what its file says" for path in stale))
        return bool(stale)
    for path in stale:
        path.write_text(filled(path.read_text()))
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
