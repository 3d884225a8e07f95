"""The three contracts of mgen. Read this first: a system is data x features x model, and nothing else is polymorphic.

    audio file -> Data -> wave -> Features.encode -> Model.losses -> step -> checkpoint (state + config + spec)
    audio file <- audio.write <- Features.decode <- Model.sample(variables, rng, settings, spec) <-'

Each contract is a frozen dataclass whose fields are the configuration; it holds no arrays and no open files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from mgen.controls import Control, Settings

Array = jax.Array
#: One step's input: `wave` and `labels` from the data, `features` added by the step. Every leading axis is the batch.
Batch = Mapping[str, Any]
#: {player: {collection: tree}}; the collection `params` is trained, any other (batch statistics) is carried along.
Variables = dict[str, dict[str, Any]]


# --- Data -------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a model needs to know of its data and features; saved in the checkpoint, so sampling never needs them."""

    shape: tuple[int, ...]  # of one encoded item, without the batch
    labels: tuple[Control, ...] = ()  # one per column of batch["labels"]


class Corpus(Protocol):
    """Opened data: items by number. The loader shuffles, batches, shards and prefetches; a corpus only answers."""

    labels: tuple[Control, ...]
    """What is known of every clip, one control per column of `item(...)["labels"]`."""
    report: str
    """What was found: counts, durations, rates, channels, and every rejected file with its reason."""
    fingerprint: str
    """A digest of what the data is, wherever it lies: a resumed run refuses to go on with other data."""

    def size(self, split: str) -> int:
        """Distinct items in `split`, "train" or "validation"; 0 where the data has none to spare for validation."""
        ...

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Item `index` of `split`: {"wave": float32 [samples], "labels": float32 [labels]}.

        All randomness comes from `rng`, keyed by (seed, position) in the loader, so a resumed run sees the same items.
        """
        ...


@runtime_checkable
class Synthetic(Corpus, Protocol):
    """A corpus that plays its labels, and so knows what any setting should sound like: a model's sliders can be judged.

    Data of recordings has neither of these, and needs none.
    """

    levels: tuple[str, ...]
    """Labels that are the linear gain of one part of the sound; at 0 the part is silent."""

    def render(self, settings: Settings) -> np.ndarray:
        """float32 [count, samples] from settings of `count` values for each label."""
        ...


@runtime_checkable
class Processed(Corpus, Protocol):
    """A corpus whose waves are not done when they leave the host: the rest is done on the device, a batch at a time."""

    def process(self, wave: Array, labels: Array) -> Array:
        """The waves as they are to be heard, float32 [..., samples], by their labels [..., labels]; jit-able."""
        ...


class Data(Protocol):
    """Finds clips, says which file failed and why, and opens as a corpus."""

    def open(self, *, sample_rate: int, samples: int) -> Corpus:
        """Scans and opens the data as clips of `samples` mono samples at `sample_rate` Hz.

        Raises:
          mgen.data.DataError: nothing usable is left; the message says what was looked at and why it was refused.
        """
        ...


@runtime_checkable
class Levelled(Data, Protocol):
    """Data that brings its clips to one level, to which a clip that a person gives is brought too."""

    def level(self, wave: np.ndarray) -> np.ndarray:
        """One clip of any length, float32 [samples], at the level that the data's own have; silence stays silence."""
        ...


@runtime_checkable
class Windowed(Data, Protocol):
    """Data with clips that follow each other and overlap."""

    overlap: float
    """Share of a clip that it has in common with the next one."""


@runtime_checkable
class Warped(Data, Protocol):
    """Data whose clips are all brought to one tempo, so that a model sees every beat at the same place."""

    def warp(self, wave: np.ndarray, *, sample_rate: int, samples: int) -> np.ndarray:
        """The beginning of a sound that a person gives, of any tempo and length, as a clip: float32 [samples]."""
        ...

    def unwarp(self, wave: Array, labels: Array, *, sample_rate: int, samples: int) -> Array:
        """A sound at the tempo that its labels say and as long as before; jit-able.

        Args:
          wave: float32 [any length], a clip of the data, one that a model made, or several joined to one sound.
          labels: float32 [labels], in the order of the corpus's own.
          sample_rate: Hz.
          samples: of a clip.

        Returns:
          float32 of the wave's length: what is slower is cut, and what is faster goes round.
        """
        ...


# --- Features ---------------------------------------------------------------------------------------------------------


class Features(Protocol):
    """Both directions between sound and what a model sees, in one object, so that they cannot disagree."""

    sample_rate: int
    """Hz, of the waveforms that `encode` takes and `decode` gives."""

    @property
    def samples(self) -> int:
        """Samples of the clip that one item of `shape` stands for."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one encoded item."""
        ...

    def encode(self, wave: Array) -> Array:
        """float32 [..., samples] to float32 [..., *shape]; jit-able, runs on the device inside the training step."""
        ...

    def decode(self, features: Array, rng: Array) -> Array:
        """float32 [..., *shape] to float32 [..., samples]; `rng` feeds whatever has to be invented, such as phase."""
        ...


@runtime_checkable
class Lasting(Features, Protocol):
    """Features of which an item can be of any length: the first axis of `shape` is time."""

    def lasting(self, duration_s: float) -> Lasting:
        """The same representation of clips of `duration_s` seconds, and of what is needed to fill up the last step."""
        ...


@runtime_checkable
class Joinable(Features, Protocol):
    """Features of which one sound can be longer than an item: windows that overlap are joined, and decoded together."""

    frames: int
    """Frames of an item."""

    def joined(self, windows: Array, *, overlap: int) -> tuple[Features, Array]:
        """Features of longer items, and the windows, float32 [..., windows, *shape], as [..., *the longer shape]."""
        ...


# --- Model ------------------------------------------------------------------------------------------------------------


class LossOutput(NamedTuple):
    """What a player's loss returns."""

    value: Array  # scalar, to be descended
    metrics: dict[str, Array]  # scalars to be logged
    updates: dict[str, Any] = {}  # new values of the player's other collections, such as {"batch_stats": ...}


class Loss(Protocol):
    """A player's loss: a pure function of all variables, of which only the player's own `params` are differentiated."""

    def __call__(self, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        """Scalar loss, its parts, and updated collections. `train` turns dropout and batch statistics on."""
        ...


class Model(Protocol):
    """A family: sizes as fields, blocks above it in the file, and these four methods."""

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables of every player."""
        ...

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One loss per player, in order of play: a GAN has two, all else has one."""
        ...

    def controls(self, spec: Spec) -> tuple[Control, ...]:
        """What a person can turn when sampling."""
        ...

    def sample(self, variables: Variables, rng: Array, settings: Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape] from settings of `count` values each, clips as `controls.Clips`; jit-able."""
        ...


@runtime_checkable
class Listening(Model, Protocol):
    """A model that makes something of a clip, once and not again for every sound that starts from it."""

    def listen(self, variables: Variables, features: Array, spec: Spec) -> Array:
        """float32 [clips, *spec.shape] to float32 [clips, ...], which `sample` gets as `controls.Clips.features`."""
        ...


@runtime_checkable
class Continuing(Model, Protocol):
    """A model that makes sounds of any length. It has a control `seconds`, at 0 of which they are as long as a clip."""

    def go_on(self, variables: Variables, rng: Array, settings: Settings, spec: Spec, *, steps: int) -> Array:
        """As `sample`, but of `steps` steps: float32 [count, steps, *spec.shape[1:]]."""
        ...


@runtime_checkable
class Elastic(Model, Protocol):
    """A model of which a sound may have any length, made at once and so without seams, and clips that are given too.

    Its `sample` goes by the shape of the `Spec` that it is given, and not by the one that it was trained with. It has a
    control `seconds`, as models that are `Continuing` have.
    """

    any_length: bool
    """True."""


@runtime_checkable
class Fitted(Model, Protocol):
    """A model that looks at clips before the first step, to begin from what they have in common.

    Most models begin from random numbers alone and have none of this.
    """

    examples: int
    """Training clips that it wants to see; it is given fewer where there are fewer."""

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Fresh variables as the examples, float32 [clips, *spec.shape], would have them; shapes stay as they are."""
        ...


@runtime_checkable
class Based(Model, Protocol):
    """A model of which a part is trained in another run first (`Experiment.base`), and stays as it is.

    From a run of the same network a model, this or any other, begins with all of its variables instead.
    """

    def based(self, variables: Variables, base: Variables) -> Variables:
        """Fresh variables with what that run has learnt; shapes stay as they are.

        Raises:
          ValueError: it is no run of what this model needs; the message says of what.
        """
        ...
