"""Optimisers as configuration: a frozen dataclass that builds an optax transformation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax


class Optimiser(Protocol):
    """What an experiment asks of an optimiser; a new one is another frozen dataclass here."""

    def schedule(self, steps: int) -> optax.Schedule:
        """The learning rate at each of `steps` steps."""
        ...

    def build(self, steps: int) -> optax.GradientTransformation:
        """The transformation for a run of `steps` steps."""
        ...


@runtime_checkable
class Told(Optimiser, Protocol):
    """An optimiser that goes by what validations find. It is told between two steps, and the step knows nothing of it.

    What it was told is in its state, so a run that is stopped and goes on trains the same.
    """

    def told(self, state: Any, numbers: Mapping[str, float]) -> Any:
        """The state of its `build` after a validation. Raises ValueError where the numbers lack what it goes by."""
        ...

    def scale(self, state: Any) -> float:
        """What the rates of its `schedule` are multiplied with now."""
        ...


@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101), warm-up, decay and clipping."""

    rate: float = 1e-3
    """Peak learning rate."""
    decay: Literal["cosine", "linear", "none"] = "cosine"
    """How the rate falls from its peak to the end of the run."""
    final: float = 0.01
    """Rate at the last step, as a fraction of the peak."""
    warmup: int = 100
    """Steps over which the rate rises to its peak; at most a tenth of the run is used."""
    b1: float = 0.9
    """Decay of the gradient's running mean."""
    b2: float = 0.999
    """Decay of its running square."""
    weight_decay: float = 0.0
    """Decoupled decay of the parameters, in units of the rate."""
    clip: float = 1.0
    """Largest global norm of a gradient; 0 clips nothing."""

    def __post_init__(self):
        """Refuses what would not descend."""
        for name in ("rate", "final", "warmup", "weight_decay", "clip"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"optimisers.*.{name}: expected 0 or more, got {getattr(self, name)}")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"optimisers.*.{name}: expected 0 <= {name} < 1, got {getattr(self, name)}")

    def schedule(self, steps: int) -> optax.Schedule:
        """Learning rate of each update, counted from 0, of a run of `steps`."""
        warmup = min(self.warmup, steps // 10)
        rest = max(steps - warmup, 1)
        after = {
            "cosine": optax.cosine_decay_schedule(self.rate, rest, alpha=self.final),
            "linear": optax.linear_schedule(self.rate, self.rate * self.final, rest),
            "none": optax.constant_schedule(self.rate),
        }[self.decay]
        if not warmup:
            return after
        return optax.join_schedules([optax.linear_schedule(self.rate / warmup, self.rate, warmup), after], [warmup])

    def build(self, steps: int) -> optax.GradientTransformation:
        """Clipping, then Adam."""
        adam = optax.adamw(self.schedule(steps), b1=self.b1, b2=self.b2, weight_decay=self.weight_decay)
        return optax.chain(optax.clip_by_global_norm(self.clip), adam) if self.clip else adam


@dataclasses.dataclass(frozen=True)
class Sgd:
    """Gradient descent with momentum (Polyak, 1964) at one rate; with half of Adam's memory."""

    rate: float = 0.05
    """Learning rate."""
    momentum: float = 0.9
    """Share of the last update that is kept."""

    def __post_init__(self):
        """Refuses what would not descend."""
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"optimisers.*.rate: expected 0 or more, got {self.rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"optimisers.*.momentum: expected 0 <= momentum < 1, got {self.momentum}")

    def schedule(self, steps: int) -> optax.Schedule:
        """The same rate at each of `steps` updates."""
        return optax.constant_schedule(self.rate)

    def build(self, steps: int) -> optax.GradientTransformation:
        """Momentum, then the step down."""
        return optax.sgd(self.schedule(steps), momentum=self.momentum)


@dataclasses.dataclass(frozen=True)
class RmsProp:
    """Gradient over the root of its running mean square (Tieleman & Hinton, 2012), at one rate, as Keras 0.1 has it."""

    rate: float = 1e-3
    """Learning rate."""
    decay: float = 0.9
    """Of the running mean square."""

    def __post_init__(self):
        """Refuses what would not descend."""
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"optimisers.*.rate: expected 0 or more, got {self.rate}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"optimisers.*.decay: expected 0 <= decay < 1, got {self.decay}")

    def schedule(self, steps: int) -> optax.Schedule:
        """The same rate at each of `steps` updates."""
        return optax.constant_schedule(self.rate)

    def build(self, steps: int) -> optax.GradientTransformation:
        """The step down, scaled."""
        return optax.rmsprop(self.schedule(steps), decay=self.decay, eps=1e-6, eps_in_sqrt=True)


class PlateauState(NamedTuple):
    """What `Plateau` remembers of the validations so far."""

    scale: jax.Array  # float32: of the learning rate
    best: jax.Array  # float32: the largest value so far, or minus the smallest
    waited: jax.Array  # int32: validations since it was found, or since the rate last fell


@dataclasses.dataclass(frozen=True)
class Plateau(Adam):
    """Adam whose rate falls each time that validations have stopped getting better (system 004).

    Equal to Keras's ReduceLROnPlateau, told every `validate_every` steps in place of every epoch.
    """

    decay: Literal["cosine", "linear", "none"] = "none"
    """How the rate falls all the same."""
    warmup: int = 0
    """Steps over which the rate rises to its peak."""
    watch: str = "validation/genre/accuracy"
    """Number of the validations that should get better."""
    falls: bool = False
    """Whether less is better, as of a loss."""
    factor: float = 0.5
    """What the rate is multiplied with."""
    patience: int = 2
    """Validations without a gain after which it falls."""
    least_gain: float = 0.005
    """By which the number must be better than the best so far to count as a gain."""

    def __post_init__(self):
        """Refuses what `Adam` does, a rate that would rise, and no patience."""
        super().__post_init__()
        for name, good, expected in (
            ("factor", 0 < self.factor < 1, "more than 0 and less than 1"),
            ("patience", self.patience >= 1, "1 or more"),
            ("least_gain", 0 <= self.least_gain < math.inf, "0 or more"),
        ):
            if not good:
                raise ValueError(f"optimisers.*.{name}: expected {expected}, got {getattr(self, name)}")

    def build(self, steps: int) -> optax.GradientTransformation:
        """Clipping, Adam, then the scale of what was told."""

        def init(params: Any) -> PlateauState:
            return PlateauState(jnp.float32(1), jnp.float32(-jnp.inf), jnp.int32(0))

        def update(updates: Any, state: PlateauState, params: Any = None) -> tuple[Any, PlateauState]:
            return jax.tree.map(lambda update: state.scale * update, updates), state

        return optax.chain(super().build(steps), optax.GradientTransformation(init, update))

    def told(self, state: Any, numbers: Mapping[str, float]) -> Any:
        """The state after a validation.

        A number that is NaN is no gain.

        Raises:
          ValueError: there is no number called `watch`; the message lists those that there are.
        """
        if self.watch not in numbers:
            raise ValueError(f"optimisers.*.watch={self.watch}: expected one of {', '.join(sorted(numbers))}")
        *rest, own = state
        value = jnp.float32(-numbers[self.watch] if self.falls else numbers[self.watch])
        better = value > own.best + self.least_gain
        waited = jnp.where(better, 0, own.waited + 1)
        out = waited >= self.patience
        told = PlateauState(
            scale=jnp.where(out, own.scale * self.factor, own.scale),
            best=jnp.where(better, value, own.best),
            waited=jnp.where(out, 0, waited),
        )
        return (*rest, told)

    def scale(self, state: Any) -> float:
        """What is left of the rate."""
        return float(state[-1].scale)
