"""System 001: a variational autoencoder of whole spectrograms, conditioned on the labels of the data.

    features [batch, frames, bins] -> principal coordinates [batch, coordinates] -> encoder -> mean, deviation
      -> latent [batch, latent] ~ mean + deviation * noise -> decoder -> coordinates -> features

The original (whose text names no layer: these are of our design) found all of its training clips in every output, laid
over each other. That is what a decoder gives that is asked for latents which no clip was encoded to: the mean over
clips that might have been. Three things keep it from there, each a field: the decoder's own noise is estimated and not
assumed, so that `beta` 1 is the bound itself; the divergence counts little at first (`warmup`) and nothing of a
dimension below `free_bits`, so that no dimension is given up before the decoder has learnt to use it; and new
latents come from a mixture fitted to those of training (`prior="mixture"`), not from where the bound says that they
should be.

Reference: Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014; Higgins et al., "beta-VAE", ICLR 2017; Bowman
  et al., "Generating sentences from a continuous space", CoNLL 2016 (warm-up); Kingma et al., "Improved variational
  inference with inverse autoregressive flow", NeurIPS 2016 (free bits); Rybkin, Daniilidis & Levine, "Simple and
  effective VAE training with calibrated decoders", ICML 2021 (the decoder's noise); Ghosh et al., "From variational to
  deterministic autoencoders", ICLR 2020 (a density fitted afterwards).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, latents, principal
from mgen.arrays import EPSILON
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import Perceptron

_LOUD = 3.0  # of a condition, beside latents of spread 1
_USED = 0.1  # nats of divergence from which a dimension counts as used
_DEVIATION = 0.1  # of a latent before training: less than 1, or nothing would get through at first


class Encoder(nn.Module):
    """Whitened coordinates and conditions to mean and log deviation of the latents: 2 x [batch, latent]."""

    latent: int
    width: int
    depth: int
    dropout: float

    @nn.compact
    def __call__(self, white: Array, scale: Array, conditions: Array, *, train: bool) -> tuple[Array, Array]:
        """Encodes coordinates; the means are at first the first of them."""
        balanced = white * jnp.sqrt(scale / jnp.mean(scale))
        balanced = nn.Dropout(self.dropout, deterministic=not train)(balanced)
        inputs = jnp.concatenate([balanced, _LOUD * conditions], axis=-1)
        made = Perceptron(2 * self.latent, self.width, self.depth, spread=0.03)(inputs)
        return white[:, : self.latent] + made[:, : self.latent], np.log(_DEVIATION) + made[:, self.latent :]


class Decoder(nn.Module):
    """Latents and conditions to whitened coordinates: [batch, latent], [batch, conditions] to [batch, coordinates]."""

    coordinates: int
    width: int
    depth: int

    @nn.compact
    def __call__(self, latent: Array, conditions: Array) -> Array:
        """Decodes latents; at first they are the first coordinates, and the others 0."""
        first = jnp.pad(latent, ((0, 0), (0, self.coordinates - latent.shape[1])))
        inputs = jnp.concatenate([latent, _LOUD * conditions], axis=-1)
        return first + Perceptron(self.coordinates, self.width, self.depth, spread=0.03)(inputs)


@dataclasses.dataclass(frozen=True)
class Vae:
    """Variational autoencoder of one clip (system 001)."""

    latent: int = 64
    """Numbers that a clip is told by."""
    coordinates: int = 512
    """Principal components between the features and the networks."""
    within: tuple[int, int] = (128, 80)
    """Axes of frames, and of bins, that the components are made of."""
    examples: int = 4096
    """Training clips that the components are taken from."""
    width: int = 512
    """Channels of encoder and decoder."""
    depth: int = 2
    """Blocks in each of them."""
    dropout: float = 0.1
    """Share of the encoder's coordinates that are left out in training, so that it does not learn clips by heart."""
    beta: float = 1.0
    """What the divergence counts; 1 is the evidence lower bound."""
    warmup: int = 500
    """Steps over which it comes to count that much."""
    free_bits: float = 0.25
    """Nats of each dimension, mean over clips, that cost nothing."""
    prior: Literal["normal", "mixture"] = "mixture"
    """What new latents are drawn from: the bound's own normal distribution, or Gaussians fitted to the training's."""
    components: int = 8
    """Gaussians in the mixture."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {"latent": 1, "coordinates": 1, "examples": 2, "width": 1, "components": 1}
        for name, value in (least | dict.fromkeys(("depth", "beta", "warmup", "free_bits"), 0)).items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        if self.latent > self.coordinates:
            raise ValueError(f"model.latent: {self.latent} is more than the {self.coordinates} model.coordinates")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout: expected 0 <= dropout < 1, got {self.dropout}")
        if self.prior not in ("normal", "mixture"):
            raise ValueError(f"model.prior: expected normal or mixture, got {self.prior!r}")

    def _networks(self, basis: principal.Basis) -> tuple[Encoder, Decoder]:
        encoder = Encoder(self.latent, self.width, self.depth, self.dropout)
        return encoder, Decoder(len(basis["scale"]), self.width, self.depth)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features have no frames, or fewer numbers than the latent."""
        basis = principal.fresh(spec.shape, self.coordinates, self.within)
        if self.latent > len(basis["scale"]):
            raise ValueError(
                f"model.latent: {self.latent} is more than the features' {len(basis['scale'])} coordinates"
            )
        encoder, decoder = self._networks(basis)
        first, second, third = jax.random.split(rng, 3)
        white = jnp.zeros((1, len(basis["scale"])))
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        params = {
            "encoder": encoder.init(first, white, basis["scale"], conditions, train=False)["params"],
            "decoder": decoder.init(second, white[:, : self.latent], conditions)["params"],
        }
        memory = latents.fresh(third, self.latent, self.components)
        return {"vae": {"params": params, "basis": basis, "memory": memory}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes the principal components from the features of training clips, float32 [clips, *spec.shape]."""
        own = variables["vae"]
        return {"vae": {**own, "basis": principal.fit(own["basis"], examples)}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the negative bound for each coordinate, in nats."""
        return {"vae": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        own = variables["vae"]
        basis, conditions = own["basis"], controls.encode(spec.labels, batch["labels"])
        coordinates = principal.project(basis, batch["features"])
        drop, draw = jax.random.split(rng)
        mean, deviation = self._encoded(variables, coordinates, conditions, drop if train else None)
        code = mean + jnp.exp(deviation) * jax.random.normal(draw, mean.shape)
        apart = self._decoded(variables, code, conditions) * basis["scale"] - coordinates
        # Of a Gaussian decoder whose one variance is always the best one: the mean square itself.
        error = jnp.mean(jnp.square(apart)) / jnp.mean(jnp.square(basis["scale"]))
        likelihood = jnp.log(error + EPSILON) / 2
        divergence = (jnp.square(mean) + jnp.exp(2 * deviation) - 1) / 2 - deviation  # [batch, latent]
        of_each = jnp.mean(divergence, axis=0)
        counted = jnp.sum(jnp.maximum(of_each, self.free_bits) if train else of_each) / coordinates.shape[1]
        risen = jnp.minimum(1.0, own["memory"]["step"] / max(self.warmup, 1)) if train and self.warmup else 1.0
        metrics = {
            "error": error,
            "divergence": jnp.sum(of_each),
            "used": jnp.mean(of_each > _USED),
        }
        updates = {"memory": latents.seen(own["memory"], code)} if train else {}
        return LossOutput(likelihood + self.beta * risen * counted, metrics, updates)

    def _encoded(
        self, variables: Variables, coordinates: Array, conditions: Array, key: Array | None = None
    ) -> tuple[Array, Array]:
        """Mean and log deviation of the latents; with a key for dropout they are those of training."""
        own = variables["vae"]
        scale, rngs = own["basis"]["scale"], None if key is None else {"dropout": key}
        encoder, _ = self._networks(own["basis"])
        params = {"params": own["params"]["encoder"]}
        return encoder.apply(params, coordinates / scale, scale, conditions, train=key is not None, rngs=rngs)

    def _decoded(self, variables: Variables, code: Array, conditions: Array) -> Array:
        own = variables["vae"]
        _, decoder = self._networks(own["basis"])
        return decoder.apply({"params": own["params"]["decoder"]}, code, conditions)

    def encode(self, variables: Variables, features: Array, conditions: Array) -> tuple[Array, Array]:
        """The posterior of clips: features float32 [batch, *spec.shape], conditions as `controls.encode` gives them.

        Returns:
          mean and standard deviation of each latent, float32 [batch, latent].
        """
        coordinates = principal.project(variables["vae"]["basis"], features)
        mean, deviation = self._encoded(variables, coordinates, conditions)
        return mean, jnp.exp(deviation)

    def decode(self, variables: Variables, code: Array, conditions: Array) -> Array:
        """Latents, float32 [batch, latent], and conditions to features, float32 [batch, *spec.shape]."""
        basis = variables["vae"]["basis"]
        features = principal.rebuild(basis, self._decoded(variables, code, conditions) * basis["scale"])
        return principal.silence_floor(basis, features)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, how far a sound may be from the middle of all, and clips to begin from."""
        return (
            *spec.labels,
            controls.variety("0 is the middle of all clips, 1 any that may be drawn"),
            *controls.two_clips(),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: decodes a draw from the prior, the posterior mean of a clip, or between two."""
        memory = variables["vae"]["memory"]
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety = jnp.asarray(settings["variety"], jnp.float32)[:, None]
        if self.prior == "mixture":
            code = memory["mean"] + variety * (latents.draw(memory, rng, len(variety)) - memory["mean"])
        else:
            code = variety * jax.random.normal(rng, (len(variety), self.latent))
        code = controls.between_clips(settings, code, lambda heard: self.encode(variables, heard, conditions)[0])
        return self.decode(variables, code, conditions)
