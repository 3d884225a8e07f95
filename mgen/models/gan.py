"""System 003: a GAN of notes, with conditions or without.

    noise [batch, latent] and conditions -> generator -> principal coordinates [batch, coordinates]
      -> features [batch, frames, bins(, parts)]
    coordinates -> discriminator -> a logit, by how likely they are of a real sound and fit their conditions

The game is played in principal coordinates (`mgen.principal`), which neither player has to find. Of several candidates
for each sound that is asked for, the discriminator chooses.

The conditions are the data's labels, all of them, each its own number or numbers (`controls.encode`): of a pitch one
for each semitone, shared between two where it lies between them, so that it can also be turned in fractions; of a
choice one for each option; of a quality one. (The original took each combination of qualities that occurs for a class
of its own, which can be neither mixed nor met anew.) Data without labels makes a plain GAN.

What was mended of the original: logits are logits (its tanh under a cross-entropy from logits left the generator no
gradient: both of its "decent" losses are values of a saturated tanh), the discriminator's gradient is held down at real
sounds (R1), conditions enter by a projection and not as planes, and a running mean of the generator is what plays.

Reference: Goodfellow et al., "Generative adversarial nets", NeurIPS 2014; Mescheder, Geiger & Nowozin, "Which training
  methods for GANs do actually converge?", ICML 2018 (R1); Miyato & Koyama, "cGANs with projection discriminator",
  ICLR 2018; Azadi et al., "Discriminator rejection sampling", ICLR 2019; Karras et al., "Progressive growing of GANs",
  ICLR 2018 (deviation over the batch).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, principal
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import Perceptron

_LOUD = 3.0  # of a condition, beside noise of spread 1
# Share of the range above the floor that is taken for the floor: a sum of axes is never silent between the partials.
_HAZE = 1 / 12


class Generator(nn.Module):
    """Noise and conditions to balanced coordinates: [batch, latent], [batch, conditions] to [batch, coordinates]."""

    width: int
    depth: int

    @nn.compact
    def __call__(self, noise: Array, conditions: Array, spread: Array) -> Array:
        """Makes coordinates whose spread is at first about that of real ones."""
        inputs = jnp.concatenate([noise, _LOUD * conditions], axis=-1)  # [batch, latent + conditions]
        return Perceptron(len(spread), self.width, self.depth)(inputs) * spread


class Discriminator(nn.Module):
    """Balanced coordinates and conditions to logits: [batch, coordinates], [batch, conditions] to [batch]."""

    width: int
    depth: int
    dropout: float

    @nn.compact
    def __call__(self, coordinates: Array, conditions: Array, *, train: bool) -> Array:
        """Judges clips; the logit of one also depends, by one number, on the others of its batch."""
        x = nn.Dense(self.width)(coordinates)  # [batch, width]
        for _ in range(self.depth):
            branch = nn.Dropout(self.dropout, deterministic=not train)(nn.gelu(nn.Dense(self.width)(x)))
            x = x + nn.Dense(self.width, kernel_init=nn.initializers.normal(0.02))(branch)
        x = nn.Dropout(self.dropout, deterministic=not train)(nn.gelu(x))
        deviation = jnp.sqrt(jnp.var(x, axis=0) + 1e-6).mean()
        x = jnp.concatenate([x, jnp.full((len(x), 1), deviation)], axis=-1)
        x = nn.gelu(nn.Dense(self.width)(x))
        fits = jnp.sum(nn.Dense(self.width, use_bias=False)(_LOUD * conditions) * x, axis=-1)
        return nn.Dense(1)(x)[:, 0] + fits / np.sqrt(self.width)


@dataclasses.dataclass(frozen=True)
class Gan:
    """Generative adversarial network of one clip, conditioned on the labels of the data (system 003)."""

    latent: int = 64
    """Numbers drawn for each sound."""
    coordinates: int = 1024
    """Principal components in which the game is played."""
    within: tuple[int, int] = (64, 320)
    """Axes of frames, and of bins, that the components are made of."""
    examples: int = 4096
    """Training clips that the components are taken from."""
    width: int = 768
    """Channels of both networks."""
    depth: int = 3
    """Blocks in each of them."""
    candidates: int = 4
    """Sounds made for each that is asked for, of which the discriminator chooses."""
    dropout: float = 0.1
    """Share of the discriminator's units that are left out in training, so that it does not learn notes by heart."""
    loss: Literal["logistic", "hinge"] = "logistic"
    """Logistic is the game of Goodfellow et al. with the loss that does not saturate."""
    r1: float = 5.0
    """Weight of the squared gradient of the logit at real coordinates; 0 leaves it out."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {"latent": 1, "coordinates": 1, "examples": 2, "width": 1, "candidates": 1, "depth": 0, "r1": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout: expected 0 <= dropout < 1, got {self.dropout}")
        if self.loss not in ("logistic", "hinge"):
            raise ValueError(f"model.loss: expected logistic or hinge, got {self.loss!r}")

    def _networks(self) -> tuple[Generator, Discriminator]:
        return Generator(self.width, self.depth), Discriminator(self.width, self.depth, self.dropout)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features have no frames."""
        generator, discriminator = self._networks()
        basis = principal.fresh(spec.shape, self.coordinates, self.within)
        first, second = jax.random.split(rng)
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        coordinates = jnp.zeros((1, len(basis["scale"])))
        made = generator.init(second, jnp.zeros((1, self.latent)), conditions, coordinates[0])
        return {
            "discriminator": {"params": discriminator.init(first, coordinates, conditions, train=False)["params"]},
            "generator": {"params": made["params"], "basis": basis},
        }

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes the principal components from the features of training clips, float32 [clips, *spec.shape]."""
        own = variables["generator"]
        return {**variables, "generator": {**own, "basis": principal.fit(own["basis"], examples)}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """Two players: the discriminator, and then the generator against it."""
        return {
            "discriminator": functools.partial(self._discriminator_loss, spec),
            "generator": functools.partial(self._generator_loss, spec),
        }

    def _discriminator_loss(
        self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool
    ) -> LossOutput:
        conditions = controls.encode(spec.labels, batch["labels"])
        basis = variables["generator"]["basis"]
        real = principal.project(basis, batch["features"]) / _balance(basis)
        made = jax.lax.stop_gradient(self._made(variables, rng, conditions))
        first, second = jax.random.split(jax.random.fold_in(rng, 1))
        real_key, made_key = (first, second) if train else (None, None)
        real_logits = self._judged(variables, real, conditions, real_key)
        made_logits = self._judged(variables, made, conditions, made_key)
        if self.loss == "hinge":
            value = jnp.mean(nn.relu(1 - real_logits)) + jnp.mean(nn.relu(1 + made_logits))
        else:
            value = jnp.mean(nn.softplus(-real_logits)) + jnp.mean(nn.softplus(made_logits))
        metrics = {
            "real_right": jnp.mean(real_logits > 0),
            "made_right": jnp.mean(made_logits < 0),
            "game": value,
        }
        if self.r1:
            slope = jax.grad(lambda coordinates: jnp.sum(self._judged(variables, coordinates, conditions)))(real)
            penalty = jnp.mean(jnp.sum(jnp.square(slope), axis=1))
            metrics["r1"] = penalty
            value = value + self.r1 / 2 * penalty
        return LossOutput(value, metrics)

    def _generator_loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        conditions = controls.encode(spec.labels, batch["labels"])
        key = jax.random.fold_in(rng, 1) if train else None
        logits = self._judged(variables, self._made(variables, rng, conditions), conditions, key)
        value = -jnp.mean(logits) if self.loss == "hinge" else jnp.mean(nn.softplus(-logits))
        return LossOutput(value, {})

    def _made(self, variables: Variables, rng: Array, conditions: Array, variety: Array | float = 1.0) -> Array:
        """Balanced coordinates of new clips."""
        own = variables["generator"]
        noise = variety * jax.random.normal(rng, (len(conditions), self.latent))
        spread = own["basis"]["scale"] / _balance(own["basis"])
        return self._networks()[0].apply({"params": own["params"]}, noise, conditions, spread)

    def _judged(self, variables: Variables, coordinates: Array, conditions: Array, key: Array | None = None) -> Array:
        """Logits [batch]; with a key for dropout they are those of training."""
        params = variables["discriminator"]["params"]
        rngs = None if key is None else {"dropout": key}
        return self._networks()[1].apply({"params": params}, coordinates, conditions, train=key is not None, rngs=rngs)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, a second option for each choice and how far towards it, and the spread of the noise."""
        between = []
        for label in spec.labels:
            if isinstance(label, controls.Choice):
                to, mix = f"{label.name}_to", f"{label.name}_mix"
                between += [
                    controls.AsideChoice(to, ("none", *label.options), help=f"where {mix} leads"),
                    controls.AsideSlider(mix, 0.0, 1.0, 0.5, help=f"how far from {label.name} to {to}, if that is any"),
                ]
        variety = controls.variety("0 is always the same sound, 1 any of the model's")
        return (*spec.labels, *between, variety)

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]."""
        variety = jnp.asarray(settings["variety"], jnp.float32)
        conditions = _between(spec, settings)
        every = jnp.tile(conditions, (self.candidates, 1))
        made = self._made(variables, rng, every, jnp.tile(variety, self.candidates)[:, None])
        logits = self._judged(variables, made, every).reshape(self.candidates, -1)
        best = jnp.argmax(logits, axis=0)
        made = made.reshape(self.candidates, *conditions.shape[:1], -1)[best, jnp.arange(len(best))]
        basis = variables["generator"]["basis"]
        features = jnp.clip(principal.unproject(basis, made * _balance(basis)), basis["low"], basis["high"])
        return principal.silence_floor(basis, features, share=_HAZE)


def _balance(basis: principal.Basis) -> Array:
    """What coordinates are divided by for the networks: the root of their spread, so that small ones count, but less.

    Divided by the spread itself, the noise in the last components would be most of what there is to judge.
    """
    scale = basis["scale"]
    return jnp.sqrt(scale * jnp.mean(scale))


def _between(spec: Spec, settings: controls.Settings) -> Array:
    """Conditions float32 [count, conditions], of each choice part of the way from one option to another."""
    conditions = first = controls.encode(spec.labels, controls.columns(spec.labels, settings))
    for label in spec.labels:
        if isinstance(label, controls.Choice):
            to = jnp.asarray(settings[f"{label.name}_to"], jnp.float32)  # 0 is none
            other = {**settings, label.name: jnp.maximum(to - 1, 0)}
            step = controls.encode(spec.labels, controls.columns(spec.labels, other)) - first
            part = jnp.where(to > 0, jnp.asarray(settings[f"{label.name}_mix"], jnp.float32), 0.0)
            conditions = conditions + part[:, None] * step
    return conditions
