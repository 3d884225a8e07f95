"""What a person can turn: typed descriptions that `sample.py` and the studio draw with no code per model.

A control is also the description of a label: one column of `batch["labels"]`, in the control's own unit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
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
        return min(max(few_digits(rng.uniform(self.low, self.high)), self.low), self.high)

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


_MOST_SECONDS = 600.0


def few_digits(value: float) -> float:
    """A number as a person would type it, to four digits."""
    return float(f"{value:.4g}")


class Aside:
    """Mixed into a control of how a model is played and not of what: nothing at random moves it."""

    def draw(self, rng: np.random.Generator) -> float | str:
        """The default."""
        return self.default


@dataclasses.dataclass(frozen=True)
class AsideSlider(Aside, Slider):
    """A slider that nothing at random moves."""

    draft: float | None = None
    """The most that it is where a sound has to be quick, such as in the studio while a slider is held."""


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
    needed: bool = False
    """Whether there is nothing to be made without one; `sampling` then refuses, and the model need not ask."""
    levelled: bool = True
    """Whether it is brought to the level of `Levelled` data; not where it is a sound that the model has made."""

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


MOST_VARIETY = 1.5


def variety(help: str, default: float = 1.0) -> AsideSlider:
    """How far from the middle a model draws what it is not told: not at all at 0, as in training at 1."""
    return AsideSlider("variety", 0.0, MOST_VARIETY, default, help=help)


def seconds() -> AsideSlider:
    """How long a sound is to be, of a model that can make any length."""
    return AsideSlider("seconds", 0.0, _MOST_SECONDS, 0.0, "s", help="of sound; 0 is as long as a clip")


def two_clips() -> tuple[Control, ...]:
    """Sounds that a model of latents starts from, and leads to; `between_clips` does it."""
    return (
        Clip("clip", "starts from this sound instead of from a random one"),
        Clip("clip_to", "where mix leads, instead of to a random one"),
        AsideSlider("mix", 0.0, 1.0, 0.0, help="how far from clip to clip_to, where either is given"),
    )


def between_clips(settings: Settings, drawn: Array, latent_of: Callable[[Array], Array] = lambda heard: heard) -> Array:
    """Latents of the sounds that `two_clips` ask for: from the one, part of the way to the other in a straight line.

    Args:
      settings: of the model; of a clip, `Clips`, or nothing where no sound is given one.
      drawn: float32 [count, ...], latents that stand where a sound is given no clip.
      latent_of: from `Clips.features` to latents; they are latents already where the model is `Listening`.
    """
    ends, count = [], len(drawn)
    for name in ("clip", "clip_to"):
        clips: Clips | None = settings.get(name)
        if clips is None:
            ends.append(drawn)
        else:
            given = clips.given.reshape(count, *[1] * (drawn.ndim - 1))
            ends.append(jax.numpy.where(given, latent_of(clips.features), drawn))
    if ends[0] is drawn and ends[1] is drawn:
        return drawn
    mix = jax.numpy.asarray(settings["mix"], jax.numpy.float32).reshape(count, *[1] * (drawn.ndim - 1))
    return ends[0] + mix * (ends[1] - ends[0])


def axis_sliders(count: int, of: str) -> tuple[Slider, ...]:
    """A slider along each of the first principal axes of what a model remembers, in standard deviations."""
    return tuple(
        Slider(f"axis_{i + 1}", -4.0, 4.0, 0.0, "sigma", f"principal axis {i + 1} of the {of}") for i in range(count)
    )


def turned_axes(settings: Settings, count: int) -> Array:
    """How far each of `axis_sliders` is turned, float32 [sounds, count]; count is 1 or more."""
    names = [f"axis_{i + 1}" for i in range(count)]
    return jax.numpy.stack([jax.numpy.asarray(settings[name], jax.numpy.float32) for name in names], axis=1)


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
