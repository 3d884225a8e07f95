"""System 003's conditional GAN as it was published: its layers, its sizes, and only what could not work mended.

    noise [batch, 100] and conditions -> 5 x 5 x 64 -> 10 -> 20 -> 40 -> 127 x 127 x 2, real and imaginary STFT
    STFT and conditions as planes -> two convolutions -> a logit

With its 24 conditions (the combinations of qualities that occur) these are 537,218 and 118,017 numbers, batch
statistics included; with other labels the first and the last layer are as wide as these ask for. Mended: the
discriminator's output is a logit (a tanh under a cross-entropy from logits leaves the generator no gradient), real and
generated clips are normalised apart, planes are constant and the parts of the spectrum are not shuffled. It stays what
the default, `mgen.models.gan`, is compared with.

Reference: Radford, Metz & Chintala, "Unsupervised representation learning with deep convolutional generative
  adversarial networks", ICLR 2016; Mirza & Osindero, "Conditional generative adversarial nets", 2014, arXiv:1411.1784.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from mgen import controls
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_SHAPE = (127, 127, 2)
_LEAST = 5
_leaky = functools.partial(nn.leaky_relu, negative_slope=0.2)


def _doubled(x: Array) -> Array:
    """Nearest-neighbour enlargement by two: [batch, n, n, c] to [batch, 2n, 2n, c]."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class Generator(nn.Module):
    """Noise and conditions to spectra: [batch, latent + conditions] to [batch, 127, 127, 2], here 64 wide."""

    width: int

    @nn.compact
    def __call__(self, inputs: Array, *, train: bool) -> Array:
        """Makes spectra; needs a key `dropout` in training."""
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.99, epsilon=1e-3)
        x = nn.Dropout(0.2, deterministic=not train)(inputs)
        x = _leaky(nn.Dense(_LEAST * _LEAST * self.width)(x)).reshape(-1, _LEAST, _LEAST, self.width)
        x = _doubled(norm()(x))  # [batch, 10, 10, 64]
        x = norm()(_leaky(nn.Conv(self.width, (3, 3))(x)))
        x = _leaky(nn.ConvTranspose(self.width, (3, 3), strides=(2, 2))(x))  # [batch, 20, 20, 64]
        x = _doubled(norm()(x))  # [batch, 40, 40, 64]
        x = nn.ConvTranspose(self.width, (8, 8), strides=(3, 3), padding="VALID")(x)  # [batch, 125, 125, 64]
        x = norm()(_leaky(jnp.pad(x, [(0, 0), (0, 2), (0, 2), (0, 0)])))  # [batch, 127, 127, 64]
        return nn.ConvTranspose(_SHAPE[2], (1, 1))(x)


class Discriminator(nn.Module):
    """Spectra and planes to logits: [batch, 127, 127, 2 + conditions] to [batch]."""

    width: int

    @nn.compact
    def __call__(self, planes: Array, *, train: bool) -> Array:
        """Judges spectra; needs a key `dropout` in training."""
        x = planes
        for _ in range(2):  # [batch, 64, 64, 64], [batch, 32, 32, 64]
            x = _leaky(nn.Conv(self.width, (3, 3), strides=(2, 2))(x))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.8, epsilon=1e-3)(x)
            x = nn.Dropout(0.4, deterministic=not train)(x)
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]


@dataclasses.dataclass(frozen=True)
class OriginalNoteGan:
    """Conditional GAN of complex spectra, 127 frames of 127 bins, in the published sizes (system 003)."""

    latent: int = 100
    """Numbers drawn for each sound."""
    width: int = 64
    """Channels of both networks; 64 are the published sizes."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        for name in ("latent", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name}: expected at least 1, got {getattr(self, name)}")

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are not of 127 frames, 127 bins and 2 parts."""
        if tuple(spec.shape) != _SHAPE:
            raise ValueError(
                f"model: OriginalNoteGan makes {_SHAPE}, as ComplexStft(frames=127, bins=127) does; "
                f"the features are {tuple(spec.shape)}"
            )
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        first, second = jax.random.split(rng)
        planes = jnp.zeros((1, *_SHAPE[:2], _SHAPE[2] + conditions.shape[1]))
        inputs = jnp.zeros((1, self.latent + conditions.shape[1]))
        return {
            "discriminator": dict(Discriminator(self.width).init(first, planes, train=False)),
            "generator": dict(Generator(self.width).init(second, inputs, train=False)),
        }

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """Two players: the discriminator, and then the generator against it; cross-entropies of logits."""
        return {
            "discriminator": functools.partial(self._discriminator_loss, spec),
            "generator": functools.partial(self._generator_loss, spec),
        }

    def _discriminator_loss(
        self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool
    ) -> LossOutput:
        conditions = controls.encode(spec.labels, batch["labels"])
        made, _ = self._made(variables["generator"], rng, conditions, train)
        made = jax.lax.stop_gradient(made)
        real_logits, statistics = self._judged(variables, batch["features"], conditions, rng, train)
        made_logits, _ = self._judged(variables, made, conditions, jax.random.fold_in(rng, 1), train)
        value = jnp.mean(nn.softplus(-real_logits)) + jnp.mean(nn.softplus(made_logits))
        metrics = {"real_right": jnp.mean(real_logits > 0), "made_right": jnp.mean(made_logits < 0)}
        return LossOutput(value, metrics, statistics)

    def _generator_loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        conditions = controls.encode(spec.labels, batch["labels"])
        made, statistics = self._made(variables["generator"], rng, conditions, train)
        logits, _ = self._judged(variables, made, conditions, jax.random.fold_in(rng, 1), train)
        return LossOutput(jnp.mean(nn.softplus(-logits)), {}, statistics)

    def _made(self, own: dict, rng: Array, conditions: Array, train: bool) -> tuple[Array, dict]:
        noise_key, dropout_key = jax.random.split(rng)
        inputs = jnp.concatenate([jax.random.normal(noise_key, (len(conditions), self.latent)), conditions], axis=1)
        return _played(Generator(self.width), own, inputs, dropout_key, train)

    def _judged(
        self, variables: Variables, features: Array, conditions: Array, rng: Array, train: bool
    ) -> tuple[Array, dict]:
        planes = jnp.broadcast_to(conditions[:, None, None], (*features.shape[:3], conditions.shape[1]))
        own = variables["discriminator"]
        return _played(Discriminator(self.width), own, jnp.concatenate([features, planes], axis=-1), rng, train)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, and how far from the middle the noise is drawn."""
        return (*spec.labels, controls.variety("0 is always the same sound"))

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, 127, 127, 2]."""
        variety = jnp.asarray(settings["variety"], jnp.float32)
        noise = variety[:, None] * jax.random.normal(rng, (len(variety), self.latent))
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        inputs = jnp.concatenate([noise, conditions], axis=1)
        return Generator(self.width).apply(variables["generator"], inputs, train=False)


def _played(network: nn.Module, own: dict, inputs: Array, rng: Array, train: bool) -> tuple[Array, dict]:
    """What a network makes of its inputs, and in training its new batch statistics."""
    if not train:
        return network.apply(own, inputs, train=False), {}
    return network.apply(own, inputs, train=True, mutable=["batch_stats"], rngs={"dropout": rng})
