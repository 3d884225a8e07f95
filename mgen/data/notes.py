"""Labelled notes as training data: one file a note, and what is known of it as labels."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np

from mgen import audio
from mgen.controls import Choice, Control, Slider, Switch
from mgen.data import DataError
from mgen.data.effects import apply_effects, draw_amounts, effects_as_labels
from mgen.data.scan import SILENCE, validation_files

Array = jax.Array

#: NSynth's instrument families, sources and qualities, in the order of its numbers.
FAMILIES = (
    "bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal",
)  # fmt: skip
SOURCES = ("acoustic", "electronic", "synthetic")
QUALITIES = (
    "bright", "dark", "distortion", "fast_decay", "long_release", "multiphonic", "nonlinear_env", "percussive",
    "reverb", "tempo-synced",
)  # fmt: skip

#: The loudest MIDI velocity, at which the label is 1.
LOUDEST = 127

_ONSET = 10 ** (-40 / 20)  # of the peak: where a note begins
_LEAD_S = 0.005
_SOFTEST_DB = -24.0  # of a note that another is blended with


@dataclasses.dataclass(frozen=True)
class Note:
    """A file that holds one note, and what is known of it."""

    file: pathlib.Path
    name: str
    """What it is called in reports and in the fingerprint."""
    instrument: str
    family: str
    pitch: int
    """MIDI number."""
    velocity: int = 100
    """1 to 127."""
    source: str = "acoustic"
    qualities: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which notes are used; an empty tuple is all."""

    pitch: tuple[int, int] = (0, 127)
    families: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    velocities: tuple[int, ...] = ()
    without: tuple[str, ...] = ()
    """Qualities that a note must not have."""

    def check(self) -> None:
        """Refuses words that no note has.

        Raises:
          DataError: the message lists those that there are.
        """
        known = {"families": FAMILIES, "sources": SOURCES, "without": QUALITIES}
        for field, words in known.items():
            for word in getattr(self, field):
                if word not in words:
                    raise DataError(f"data.{field}={word}: unknown; expected some of {', '.join(words)}")
        if not 0 <= self.pitch[0] <= self.pitch[1] <= 127:
            raise DataError(f"data.pitch={self.pitch}: expected a lowest and a highest MIDI number from 0 to 127")
        for velocity in self.velocities:
            if not 1 <= velocity <= LOUDEST:
                raise DataError(f"data.velocities={velocity}: expected MIDI velocities from 1 to {LOUDEST}")

    def has(self, note: Note) -> bool:
        """Whether a note is wanted."""
        return (
            self.pitch[0] <= note.pitch <= self.pitch[1]
            and (not self.families or note.family in self.families)
            and (not self.sources or note.source in self.sources)
            and (not self.velocities or note.velocity in self.velocities)
            and note.qualities.isdisjoint(self.without)
        )


class NotesCorpus:
    """Opened notes, those of whole instruments held out for validation.

    A label is what differs between the notes: `pitch` (MIDI number), `velocity` (of 127, so 0 to 1), `family`, `source`
    and each quality that some have and others have not. A note begins where its file does or, if `trim`, 5 ms before
    it first reaches 1 % of its peak; it is filled with zeros or cut at its end. Files are read when they are first
    asked for, and then kept as 16-bit samples up to `cache_mb`.

    Each of `effects` is a label too: half of the notes are without it, the others have any amount of it, drawn anew
    each time. `process` applies them, on the device. A share `blend` of the training notes sounds together with
    another of the same pitch, up to 24 dB softer: an instrument that nobody has recorded.
    """

    def __init__(
        self,
        notes: Mapping[str, Sequence[Note]],
        *,
        sample_rate: int,
        samples: int,
        trim: bool,
        peak: float | None,
        cache_mb: int,
        report: str,
        effects: Sequence[str] = (),
        blend: float = 0.0,
    ):
        """Opens "train" and "validation"; `peak` is what every note is brought to, None leaves its level.

        Raises:
          DataError: an effect is unknown, or the notes have a label of that name; or `blend` is no share.
        """
        # Validation looks at the first so many: these shall not all be of one instrument.
        mixed = sorted(notes["validation"], key=lambda note: hashlib.sha256(note.name.encode()).digest())
        self._notes = {"train": tuple(notes["train"]), "validation": tuple(mixed)}
        self._sample_rate, self._samples, self._trim = sample_rate, samples, trim
        self._kept: dict[tuple[str, int], tuple[np.ndarray, float]] = {}
        self._keep = cache_mb * 1_000_000 // (2 * samples)
        every = [note for split in self._notes.values() for note in split]
        own = labels_of(every)
        self.labels = (*own, *effects_as_labels(effects, own))
        self._effects, self._blend, self._peak = tuple(effects), blend, peak
        if not 0 <= blend <= 1:
            raise DataError(f"data.blend={blend}: expected a share from 0 to 1")
        self._alike: dict[int, list[int]] = {}  # training notes of each pitch
        for index, note in enumerate(self._notes["train"] if blend else ()):
            self._alike.setdefault(note.pitch, []).append(index)
        listed = {
            split: sorted(
                ascii((dataclasses.replace(note, file=note.file.name), note.file.stat().st_size)) for note in some
            )
            for split, some in self._notes.items()
        }
        about = f"{trim} {peak} {blend} {listed}"
        self.fingerprint = hashlib.sha256(about.encode("ascii")).hexdigest()[:16]
        self.report = "\n".join([report, *(f"  {_counted(split, own)}" for split, own in self._notes.items())])

    def notes(self, split: str) -> tuple[Note, ...]:
        """The notes of a split, in the order of its items.

        Raises:
          ValueError: there is no such split.
        """
        if split not in self._notes:
            raise ValueError(f"split={split!r}: expected train or validation")
        return self._notes[split]

    def size(self, split: str) -> int:
        """Notes in `split`, "train" or "validation"."""
        return len(self.notes(split))

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Note `index` of `split`: {"wave": float32 [samples], "labels": float32 [labels]}; effects are yet to come.

        Raises:
          IndexError: there is no such note.
          mgen.audio.AudioError: its file cannot be read, or is silent.
        """
        if not 0 <= index < self.size(split):
            raise IndexError(f"item {index} of {split}: expected 0 to {self.size(split) - 1}")
        note, wave = self._notes[split][index], self._wave(split, index)
        if split == "train" and self._blend and rng.random() < self._blend:
            other = self._wave(split, rng.choice(self._alike[note.pitch]))
            loudest = abs(wave).max()
            other *= loudest / max(abs(other).max(), SILENCE)  # so that the label is of what is loudest
            wave = wave + np.float32(10 ** (rng.uniform(_SOFTEST_DB, 0) / 20)) * other
            wave *= loudest / max(abs(wave).max(), SILENCE)
        known = _columns(self.labels[: len(self.labels) - len(self._effects)], note)
        return {"wave": wave, "labels": np.append(known, draw_amounts(self._effects, rng))}

    def process(self, wave: Array, labels: Array) -> Array:
        """Applies the effects by the last columns of the labels: [..., samples], [..., labels] to [..., samples]."""
        amounts = labels[..., len(self.labels) - len(self._effects) :]
        return apply_effects(self._effects, wave, amounts, sample_rate=self._sample_rate)

    def _wave(self, split: str, index: int) -> np.ndarray:
        pcm, scale = self._kept.get((split, index)) or self._read(self._notes[split][index].file)
        if len(self._kept) < self._keep:
            self._kept[split, index] = pcm, scale
        return pcm * np.float32(scale)

    def _read(self, file: pathlib.Path) -> tuple[np.ndarray, float]:
        wave = audio.read(file, sample_rate=self._sample_rate)
        loudest = float(abs(wave).max())
        if loudest <= SILENCE:
            raise audio.AudioError(file, "is silent; leave it out of the collection")
        if self._trim:
            onset = int(np.argmax(abs(wave) > _ONSET * loudest)) - round(_LEAD_S * self._sample_rate)
            wave = wave[max(0, onset) :]
        wave = wave[: self._samples]
        loudest = max(float(abs(wave).max()), SILENCE)
        pcm = np.rint(np.pad(wave, (0, self._samples - len(wave))) * (32_767 / loudest)).astype(np.int16)
        return pcm, (loudest if self._peak is None else self._peak) / 32_767


def labels_of(notes: Iterable[Note]) -> tuple[Control, ...]:
    """A control for each thing in which notes differ; see `NotesCorpus`."""
    notes = list(notes)
    found: list[Control] = []
    pitches = sorted({note.pitch for note in notes})
    if len(pitches) > 1:
        middle = min(max(60, pitches[0]), pitches[-1])
        found.append(Slider("pitch", pitches[0], pitches[-1], middle, "MIDI", "MIDI note; 60 is the middle C"))
    if len({note.velocity for note in notes}) > 1:
        found.append(Slider("velocity", 0.0, 1.0, 0.8, help="how hard the note is struck; 1 is MIDI velocity 127"))
    for name, order, help_ in (
        ("family", FAMILIES, "family of the instrument"),
        ("source", SOURCES, "how the instrument makes its sound"),
    ):
        there = {getattr(note, name) for note in notes}
        options = [*(word for word in order if word in there), *sorted(there.difference(order))]
        if len(options) > 1:
            found.append(Choice(name, tuple(options), help=help_))
    for quality in QUALITIES:
        if 0 < sum(quality in note.qualities for note in notes) < len(notes):
            found.append(Switch(quality, help=f"notes that NSynth's listeners called {quality.replace('_', ' ')}"))
    return tuple(found)


def _columns(labels: Sequence[Control], note: Note) -> np.ndarray:
    known = {"pitch": note.pitch, "velocity": note.velocity / LOUDEST}
    columns = []
    for label in labels:
        if isinstance(label, Choice):
            columns.append(label.options.index(getattr(note, label.name)))
        else:
            columns.append(known.get(label.name, float(label.name in note.qualities)))
    return np.array(columns, np.float32)


def _counted(split: str, notes: Sequence[Note]) -> str:
    if not notes:
        return f"{split}: no notes"
    pitches = [note.pitch for note in notes]
    instruments = {note.instrument for note in notes}
    families = sorted({note.family for note in notes})
    return (
        f"{split}: {len(notes)} notes of {len(instruments)} instruments ({', '.join(families)}), "
        f"MIDI {min(pitches)} to {max(pitches)}"
    )


def hold_out(notes: Sequence[Note], fraction: float, seed: int, *, by: str = "instrument") -> dict[str, list[Note]]:
    """Train and validation; see `scan.validation_files`.

    Args:
      notes: all of them.
      fraction: share that is held out.
      seed: another number holds out others.
      by: "instrument" keeps whole instruments on one side, "name" deals single notes, as is done where there is only
        one instrument.
    """
    if len({note.instrument for note in notes}) < 2:
        by = "name"
    kept = validation_files(sorted({getattr(note, by) for note in notes}), fraction, seed)
    split: dict[str, list[Note]] = {"train": [], "validation": []}
    for note in notes:
        split["validation" if getattr(note, by) in kept else "train"].append(note)
    return split


def readable(notes: Iterable[Note]) -> tuple[list[Note], list[str]]:
    """The notes whose files have the header of a sound file, and a line for each of the others."""
    good, lines = [], []
    for note in notes:
        try:
            audio.info(note.file)
        except audio.AudioError as error:
            lines.append(f"    {note.name}: {error.reason}")
        else:
            good.append(note)
    return good, lines


def found_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """A folder that is there.

    Raises:
      DataError: none was given, or it is not there.
    """
    if not os.fspath(path):
        raise DataError("data.path is empty; give the folder of the notes: --data.path DIR")
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"data.path={root}: no such folder; give the folder of the notes: --data.path DIR")
    return root
