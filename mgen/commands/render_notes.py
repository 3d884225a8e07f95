"""`mgen render-notes FILE.sf2 OUT [--also FILE ...] [--programs 0-87] [--pitches 36-84]`: notes to train on."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Plays every note of a soundfont's instruments with fluidsynth, and writes them in the layout of NSynth."""

    soundfont: tyro.conf.Positional[pathlib.Path]
    """An .sf2 file, such as /usr/share/sounds/sf2/FluidR3_GM.sf2."""
    out: tyro.conf.Positional[pathlib.Path]
    """Folder of nsynth-train and nsynth-valid."""
    also: tuple[pathlib.Path, ...] = ()
    """More soundfonts, whose instruments are added, such as /usr/share/sounds/sf2/TimGM6mb.sf2."""
    programs: str = "0-54,56-87"
    """Programs of General MIDI, from 0; see `mgen.data.soundfont.PROGRAMS` for their families."""
    pitches: str = "36-84"
    """MIDI numbers."""
    velocities: str = "50,100"
    """MIDI velocities, 1 to 127."""
    validation: str = "3,11,20,28,36,47,53,59,67,75,83"
    """Programs that go to nsynth-valid: instruments that are not trained on."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Writes the notes, and says how many there are."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen.data.soundfont import render_notes

    numbers = {
        name: _numbers(name, getattr(asked, name)) for name in ("programs", "pitches", "velocities", "validation")
    }
    written = render_notes([asked.soundfont, *asked.also], asked.out, **numbers)
    print(f"{asked.out}: " + ", ".join(f"{count} notes for {split}" for split, count in written.items()))


def _numbers(name: str, text: str) -> list[int]:
    """Reads `0-3,7` as 0, 1, 2, 3, 7."""
    from mgen.commands.arguments import UsageError

    found: set[int] = set()
    for word in filter(None, text.split(",")):
        first, _, last = word.partition("-")
        try:
            found.update(range(int(first), int(last or first) + 1))
        except ValueError:
            raise UsageError(f"--{name} {text}: expected numbers and ranges, such as 36-84 or 50,100") from None
    return sorted(found)
