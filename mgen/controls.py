"""What a person can turn: typed descriptions that `sample.py` and the studio draw with no code per model.

A control is also the description of a label: one column of `batch["labels"]`, in the control's own unit.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array

_STEPPED = ("MIDI", "bpm")  # units whose whole numbers are steps


@dataclasses.dataclass(frozen=True)
class Slider:
    """A number between `low` and `high`."""

    name: str
    low: float = 0.0
    high: float = 1.0
    default: float = 0.5
    unit: str = ""
    help: str = ""

    @property
    def steps(self) -> np.ndarray:
        """The values that are each another sound, of a pitch its semitones and of a tempo its beats a minute; or none.

        What lies between such steps is between their sounds, but a network cannot tell the sounds from the distance.
        """
        return np.arange(np.floor(self.low), np.ceil(self.high) + 1) if self.unit in _STEPPED else np.zeros(0)

    @property
    def width(self) -> int:
        """Columns of `encode`."""
        return max(1, len(self.steps))

    def parse(self, text: str) -> float:
        """Reads a value as a person types it. Raises ValueError naming the range."""
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{self.name}={text}: expected a number from {self.low:g} to {self.high:g}") from None
        if not self.low <= value <= self.high:
            span = f"{self.low:g} to {self.high:g} {self.unit}".rstrip()
            raise ValueError(f"{self.name}={text}: out of range, expected {span}")
        return value

    def show(self, value: float) -> float | str:
        """The value as a person would type it, whole: read again it is the same float32."""
        return min(max(float(str(np.float32(value))), self.low), self.high)  # 1/3 as float32 is more than 1/3

    def draw(self, rng: np.random.Generator) -> float:
        """A value at random, of few digits."""
        return min(max(_few_digits(rng.uniform(self.low, self.high)), self.low), self.high)

    def encode(self, column: Array) -> Array:
        """A column [batch] in the control's unit to network input [batch, width], 0 at `low` and 1 at `high`.

        Of a pitch or a tempo there is a number for each step, 1 at its own and shared between two where it is between.
        """
        if len(self.steps):
            return _hats(column, self.steps)
        return ((column - self.low) / (self.high - self.low))[:, None]


@dataclasses.dataclass(frozen=True)
class Switch:
    """Off at 0 and on at 1; a fraction is part of the way."""

    name: str
    default: float = 0.0
    help: str = ""

    width = 1
    steps = np.zeros(0)
    low, high, unit = 0.0, 1.0, ""
    parse = Slider.parse
    show = Slider.show
    draw = Slider.draw
    encode = Slider.encode


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several named options; the column in `labels` holds the option's index."""

    name: str
    options: tuple[str, ...]
    default: int = 0
    help: str = ""

    @property
    def width(self) -> int:
        """Columns of `encode`."""
        return len(self.options)

    def parse(self, text: str) -> float:
        """Reads an option by its name. Raises ValueError listing the options."""
        if text not in self.options:
            raise ValueError(f"{self.name}={text}: expected one of {', '.join(self.options)}")
        return float(self.options.index(text))

    def show(self, value: float) -> float | str:
        """The option's name."""
        return self.options[round(value)]

    def draw(self, rng: np.random.Generator) -> float:
        """The index of an option at random."""
        return float(rng.integers(len(self.options)))

    def encode(self, column: Array) -> Array:
        """A column [batch] of indices to [batch, options]: one-hot, and a blend of two neighbours between indices."""
        return _hats(column, np.arange(len(self.options)))


def _hats(column: Array, places: np.ndarray) -> Array:
    """[batch] to [batch, places]: 1 at each place, which are 1 apart, and falling to 0 at its neighbours."""
    return (1 - abs(column[:, None] - places.astype(np.float32))).clip(0)


def _few_digits(value: float) -> float:
    return float(f"{value:.4g}")


class Aside:
    """Mixed into a control of how a model is played and not of what: nothing at random moves it."""

    def draw(self, rng: np.random.Generator) -> float | str:
        """The default."""
        return self.default


class AsideSlider(Aside, Slider):
    """A slider that nothing at random moves."""


class AsideChoice(Aside, Choice):
    """A choice that nothing at random moves."""


@dataclasses.dataclass(frozen=True)
class Clip(Aside):
    """A sound file that a person gives; without one its text is empty.

    Nothing at random gives one, and it is no label: a corpus has sounds of its own. A model that has clips has another
    control too, whose values say how many sounds are to be made.
    """

    name: str
    help: str = ""

    default = ""

    def parse(self, text: str) -> str:
        """The path of a file, or a whole one as `data:audio/wav;base64,...`; whether it can be read is seen later."""
        return text

    def show(self, value: str) -> str:
        """The text."""
        return value


class Clips(NamedTuple):
    """What a model sees of a `Clip`: in its settings only where at least one sound is given a clip."""

    features: Array  # float32 [count, *spec.shape], or what its own `listen` made of that; 0 where none is given
    given: Array  # bool [count]


Control = Slider | Switch | Choice | Clip
#: Control name to its values in the control's unit, float32 [count]; of a Choice, the indices. Of a Clip, texts (object
#: [count], empty where there is none), or nothing where no sound has one; a model is given `Clips` in their place.
Settings = Mapping[str, Any]


def variety(help: str) -> AsideSlider:
    """How far from the middle a model draws what it is not told: not at all at 0, as in training at 1."""
    return AsideSlider("variety", 0.0, 1.5, 1.0, help=help)


def encode(labels: Sequence[Control], columns: Array) -> Array:
    """What a network is given of its labels: float32 [batch, labels] to [batch, sum of the labels' widths], in 0..1.

    Without labels there is one column, of zeros.
    """
    if not labels:
        return jax.numpy.zeros((len(columns), 1))
    return jax.numpy.concatenate([label.encode(columns[:, i]) for i, label in enumerate(labels)], axis=1)


def columns(labels: Sequence[Control], settings: Settings) -> Array:
    """Settings in the order of `labels`: {name: [count]} to float32 [count, labels], the layout of batch["labels"]."""
    if not labels:  # then there are as many sounds as values of any other control
        return jax.numpy.zeros((len(jax.tree.leaves(dict(settings))[0]), 0))
    return jax.numpy.stack([jax.numpy.asarray(settings[label.name], jax.numpy.float32) for label in labels], axis=1)


def parse(controls: Sequence[Control], assignments: Sequence[str]) -> dict[str, float | str]:
    """Reads `name=value` as a person types it.

    Raises:
      ValueError: a word has no `=`, a name is unknown (the nearest and all names are given), or a value is refused.
    """
    known, values = {control.name: control for control in controls}, {}
    for word in assignments:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word}: expected name=value, for example {next(iter(known), 'name')}=1")
        values[name] = _named(known, name).parse(text)
    return values


def _named(known: Mapping[str, Control], name: str) -> Control:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"no control is named '{name}'{guess} The controls are: {', '.join(known) or 'none'}")
    return known[name]


def settings_of(controls: Sequence[Control], rows: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """Settings from what `shown` gave, or a page: for each sound, controls with numbers, names of options or files.

    Returns:
      `Settings` of as many sounds as rows; what a row does not name is at its default.

    Raises:
      ValueError: as in `parse`.
    """
    known = {control.name: control for control in controls}
    settled = []
    for row in rows:
        values = {name: control.default for name, control in known.items()}
        for name, value in row.items():
            control = _named(known, name)
            if isinstance(control, Clip) and not isinstance(value, str):
                raise ValueError(f"{name}={value!r}: expected text, the path of a sound file, or '' for none")
            values[name] = control.parse(value if isinstance(value, str) else repr(value))
        settled.append(values)
    return _settings(controls, settled)


def _settings(controls: Sequence[Control], rows: Sequence[Mapping[str, float | str]]) -> dict[str, np.ndarray]:
    found = {}
    for control in controls:
        values = [row[control.name] for row in rows]
        if not isinstance(control, Clip):
            found[control.name] = np.asarray(values, np.float32)
        elif any(values):
            found[control.name] = np.asarray(values, object)
    return found


def settle(
    controls: Sequence[Control], fixed: Mapping[str, float | str], *, count: int, rng: np.random.Generator, vary: bool
) -> dict[str, np.ndarray]:
    """Settings for `count` sounds: what is fixed stays, the rest is at its default, or is drawn where `vary` is true.

    Of many switches two at most are drawn on, one fully and one part of the way: all at once would be a crowd.
    Fixing a switch turns the others off, so that one switch alone is heard alone.

    Returns:
      `Settings` of `count` sounds.
    """
    switches = [control.name for control in controls if isinstance(control, Switch)]
    default = {control.name: control.default for control in controls}
    if set(switches) & set(fixed):
        default |= dict.fromkeys(switches, 0.0)
    rows = []
    for _ in range(count):
        row = dict(default)
        if vary:
            row |= {control.name: control.draw(rng) for control in controls}
            row |= dict.fromkeys(switches, 0.0)
            on = rng.permutation(len(switches))[:2]
            row |= {switches[i]: level for i, level in zip(on, (1.0, _few_digits(rng.uniform(0.2, 1.0))), strict=False)}
        rows.append(row | dict(fixed))
    return _settings(controls, rows)


def caption(values: Mapping[str, float | str]) -> str:
    """Settings in one line, what is off or none left out: `pattern=house drums=1 bass=0.5`."""
    return " ".join(
        f"{name}={brief(value) if isinstance(value, str) else f'{value:g}'}"
        for name, value in values.items()
        if value and value != "none"
    )


def brief(text: str) -> str:
    """What a person types, short enough for a line: of a sound that is given whole, only its kind."""
    return text.partition(",")[0] if text.startswith("data:") else text


def shown(controls: Sequence[Control], settings: Settings, index: int) -> dict[str, float | str]:
    """The settings of sound number `index` as a person would type them."""
    return {
        control.name: control.show(settings[control.name][index] if control.name in settings else control.default)
        for control in controls
    }


def describe(control: Control) -> str:
    """One line for a person: name, range or options, default and meaning."""
    match control:
        case Slider() | Switch():
            span = f"{control.low:g} to {control.high:g} {control.unit}".rstrip()
            what = f"{span}, default {control.default:g}"
        case Choice():
            what = f"one of {', '.join(control.options)}, default {control.options[control.default]}"
        case Clip():
            what = "a sound file, default none"
    return f"{control.name}: {what}" + (f". {control.help}" if control.help else "")
