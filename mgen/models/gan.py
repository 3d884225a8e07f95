"""System 003: a GAN of notes, with conditions or without.

    noise [batch, latent] and conditions -> generator -> features [batch, frames, bins(, parts)]
    features -> discriminator -> a logit, by how likely they are of a real sound and fit their conditions

The conditions are the data's labels, all of them, each its own number or numbers: of a pitch one for each semitone,
shared between two where it lies between them, so that it can also be turned in fractions; of a choice one for each
option; of a quality one. (The original took each combination of qualities that occurs for a class of its own, which
can be neither mixed nor met anew.) Data without labels makes a plain GAN.

What was mended of the original: logits are logits (its tanh under a cross-entropy from logits left the generator no
gradient: both of its "decent" losses are values of a saturated tanh), the discriminator's gradient is held down at real
sounds (R1), conditions enter by a projection and not as planes, and a running mean of the generator is what plays.

Reference: Goodfellow et al., "Generative adversarial nets", NeurIPS 2014; Mescheder, Geiger & Nowozin, "Which training
  methods for GANs do actually converge?", ICML 2018 (R1); Miyato & Koyama, "cGANs with projection discriminator",
  ICLR 2018; Karras et al., "Progressive growing of GANs", ICLR 2018 (deviation over the batch).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import FrameDecoder, FrameEncoder, check_halvings


class Generator(nn.Module):
    """Noise and conditions to features: [batch, latent], [batch, conditions] to [batch, *shape]."""

    shape: tuple[int, ...]
    width: int
    stages: int

    @nn.compact
    def __call__(self, noise: Array, conditions: Array) -> Array:
        """Makes features."""
        inputs = jnp.concatenate([noise, nn.Dense(self.width)(conditions)], axis=-1)  # [batch, latent + width]
        return FrameDecoder(self.shape, self.width, self.stages)(inputs)


class Discriminator(nn.Module):
    """Features and conditions to logits: [batch, *shape], [batch, conditions] to [batch]."""

    width: int
    stages: int

    @nn.compact
    def __call__(self, features: Array, conditions: Array) -> Array:
        """Judges features; the logit of one also depends, by one number, on the others of its batch."""
        x = nn.gelu(FrameEncoder(self.width, self.width, self.stages)(features))  # [batch, width]
        deviation = jnp.sqrt(jnp.var(x, axis=0) + 1e-6).mean()
        x = jnp.concatenate([x, jnp.full((len(x), 1), deviation)], axis=-1)
        x = nn.gelu(nn.Dense(self.width)(x))
        fits = jnp.sum(nn.Dense(self.width, use_bias=False)(conditions) * x, axis=-1)
        return nn.Dense(1)(x)[:, 0] + fits / np.sqrt(self.width)


@dataclasses.dataclass(frozen=True)
class Gan:
    """Generative adversarial network of one clip, conditioned on the labels of the data (system 003)."""

    latent: int = 64
    """Numbers drawn for each sound."""
    width: int = 256
    """Channels of both networks."""
    stages: int = 4
    """Halvings of the frames in the discriminator, doublings in the generator."""
    loss: Literal["logistic", "hinge"] = "logistic"
    """Logistic is the game of Goodfellow et al. with the loss that does not saturate."""
    r1: float = 1.0
    """Weight of the squared gradient of the logit at real features, per number of a feature; 0 leaves it out."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        for name, least in (("latent", 1), ("width", 1), ("stages", 0), ("r1", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"model.{name}: expected at least {least}, got {getattr(self, name)}")
        if self.loss not in ("logistic", "hinge"):
            raise ValueError(f"model.loss: expected logistic or hinge, got {self.loss!r}")

    def _networks(self, spec: Spec) -> tuple[Generator, Discriminator]:
        return Generator(spec.shape, self.width, self.stages), Discriminator(self.width, self.stages)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no frames, or these cannot be halved so often."""
        check_halvings(spec.shape, self.stages)
        generator, discriminator = self._networks(spec)
        first, second = jax.random.split(rng)
        conditions = encode_conditions(spec, jnp.zeros((1, len(spec.labels))))
        return {
            "discriminator": {"params": discriminator.init(first, jnp.zeros((1, *spec.shape)), conditions)["params"]},
            "generator": {"params": generator.init(second, jnp.zeros((1, self.latent)), conditions)["params"]},
        }

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """Two players: the discriminator, and then the generator against it."""
        return {
            "discriminator": functools.partial(self._discriminator_loss, spec),
            "generator": functools.partial(self._generator_loss, spec),
        }

    def _discriminator_loss(
        self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool
    ) -> LossOutput:
        real, conditions = batch["features"], encode_conditions(spec, batch["labels"])
        made = jax.lax.stop_gradient(self._made(variables, rng, conditions, spec))
        judge = functools.partial(self._judged, variables, spec=spec)
        real_logits, made_logits = judge(real, conditions), judge(made, conditions)
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
            slope = jax.grad(lambda features: jnp.sum(judge(features, conditions)))(real)
            penalty = jnp.mean(jnp.sum(jnp.square(slope), axis=tuple(range(1, slope.ndim))))
            metrics["r1"] = penalty
            value = value + self.r1 / 2 * penalty
        return LossOutput(value, metrics)

    def _generator_loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        conditions = encode_conditions(spec, batch["labels"])
        made = self._made(variables, rng, conditions, spec)
        logits = self._judged(variables, made, conditions, spec=spec)
        value = -jnp.mean(logits) if self.loss == "hinge" else jnp.mean(nn.softplus(-logits))
        return LossOutput(value, {})

    def _made(self, variables: Variables, rng: Array, conditions: Array, spec: Spec) -> Array:
        noise = jax.random.normal(rng, (len(conditions), self.latent))
        return self._networks(spec)[0].apply(variables["generator"], noise, conditions)

    def _judged(self, variables: Variables, features: Array, conditions: Array, *, spec: Spec) -> Array:
        return self._networks(spec)[1].apply(variables["discriminator"], features, conditions)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, and how far from the middle the noise is drawn."""
        variety = controls.Slider("variety", 0.0, 1.5, 1.0, help="0 is always the same sound, 1 any of the model's")
        return (*spec.labels, variety)

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]."""
        variety = jnp.asarray(settings["variety"], jnp.float32)
        columns = jnp.zeros((len(variety), 0))
        if spec.labels:
            columns = controls.columns(spec.labels, settings)
        noise = variety[:, None] * jax.random.normal(rng, (len(variety), self.latent))
        return self._networks(spec)[0].apply(variables["generator"], noise, encode_conditions(spec, columns))


def encode_conditions(spec: Spec, columns: Array) -> Array:
    """Labels float32 [batch, labels] as a network is given them, float32 [batch, conditions].

    A pitch is one number for each semitone of its range, 1 at its own and shared between two where it is between them.
    """
    encoded = [jnp.zeros((len(columns), 1))]  # so that there is something where the data says nothing
    for index, label in enumerate(spec.labels):
        column = columns[:, index]
        if getattr(label, "unit", "") == "MIDI":
            semitones = np.arange(np.floor(label.low), np.ceil(label.high) + 1, dtype=np.float32)
            encoded.append(jnp.maximum(1 - jnp.abs(column[:, None] - semitones), 0))
        else:
            encoded.append(label.encode(column))
    return jnp.concatenate(encoded, axis=1)
