"""Optimisers as configuration: a frozen dataclass that builds an optax transformation."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, Protocol

import optax


class Optimiser(Protocol):
    """What an experiment asks of an optimiser; a new one is another frozen dataclass here."""

    def schedule(self, steps: int) -> optax.Schedule:
        """The learning rate at each of `steps` steps."""
        ...

    def build(self, steps: int) -> optax.GradientTransformation:
        """The transformation for a run of `steps` steps."""
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
    """Gradient over the root of its running mean square (Tieleman & Hinton, 2012), at one rate, as Keras has it."""

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
        return optax.rmsprop(self.schedule(steps), decay=self.decay, eps=1e-6)
