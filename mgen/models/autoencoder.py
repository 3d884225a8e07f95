"""System 003: a deep autoencoder of notes, whose decoder alone is the generator.

    features [batch, frames, bins(, parts)] -> principal coordinates [batch, coordinates]
      -> encoder -> latent [batch, latent] -> decoder -> coordinates -> features

The outer layers are principal components of some of the training clips (`mgen.principal`) and stay as they are; both
networks begin as the linear autoencoder of that size, which is the PCA, and learn how to be better. (The original's
convolutions over time and frequency had to find all this from noise.) Of features in decibels the lowest value is a
floor, at which most of a spectrogram lies, and what is high may count more; real and imaginary parts have neither
(`floor=False`, `loudness=0`).

The latents of training are remembered (`mgen.latents`), so that the decoder can be asked for new notes: `sample` draws
from a mixture of Gaussians fitted to them, and the first principal axes are sliders, in standard deviations. (The
original's random latents were drawn where no note had ever been encoded.)

Reference: Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006, who
  too began each layer from what the layers before it have to say.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mgen import controls, latents, principal
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import Perceptron

_REFINE_RATE = 0.1  # of latents, whose spread is about 1


class Encoder(nn.Module):
    """Whitened coordinates to latents: [batch, coordinates] to [batch, latent]."""

    latent: int
    width: int
    depth: int

    @nn.compact
    def __call__(self, white: Array, scale: Array) -> Array:
        """Encodes coordinates; the first of them are the latents at first."""
        # Between what is likely (the scale) and what can be told apart (none): both alone learn more slowly.
        balanced = white * jnp.sqrt(scale / jnp.mean(scale))
        return white[:, : self.latent] + Perceptron(self.latent, self.width, self.depth, spread=0.03)(balanced)


class Decoder(nn.Module):
    """Latents to whitened coordinates: [batch, latent] to [batch, coordinates]."""

    coordinates: int
    width: int
    depth: int

    @nn.compact
    def __call__(self, latent: Array) -> Array:
        """Decodes latents; at first they are the first coordinates, and the others 0."""
        first = jnp.pad(latent, ((0, 0), (0, self.coordinates - latent.shape[1])))
        return first + Perceptron(self.coordinates, self.width, self.depth, spread=0.03)(latent)


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Deep autoencoder of one clip (system 003), with sliders along the principal axes of its latents."""

    latent: int = 128
    """Numbers that a clip is told by; the original's are 64, 128, 256 and 384."""
    coordinates: int = 1024
    """Principal components between the features and the networks."""
    within: tuple[int, int] = (64, 320)
    """Axes of frames, and of bins, that the components are made of."""
    examples: int = 4096
    """Training clips that the components are taken from."""
    width: int = 1024
    """Channels of encoder and decoder."""
    depth: int = 2
    """Blocks in each of them."""
    sliders: int = 8
    """Principal axes of the latents that can be turned."""
    components: int = 8
    """Gaussians in the mixture that new latents are drawn from."""
    noise: float = 0.0
    """Of each latent in training, in its standard deviations: the decoder then bears latents that are a little off."""

    refine: int = 30
    """Steps by which `encode` moves a latent to where it is decoded best; 0 takes the encoder's word."""

    floor: bool = True
    """Whether the features have one, as decibels do."""

    loudness: float = 0.0
    """How much more an error counts there the louder a point is, as exp(loudness * feature); 0 for no decibels."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {
            "refine": 0,
            "latent": 1,
            "coordinates": 1,
            "examples": 2,
            "width": 1,
            "depth": 0,
            "sliders": 0,
            "components": 1,
        }
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        if self.latent > self.coordinates:
            raise ValueError(f"model.latent: {self.latent} is more than the {self.coordinates} model.coordinates")
        if self.noise < 0:
            raise ValueError(f"model.noise: expected 0 or more, got {self.noise}")

    def _networks(self, basis: principal.Basis) -> tuple[Encoder, Decoder]:
        coordinates = len(basis["scale"])
        return Encoder(self.latent, self.width, self.depth), Decoder(coordinates, self.width, self.depth)

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
        params = {
            "encoder": encoder.init(first, white, basis["scale"])["params"],
            "decoder": decoder.init(second, white[:, : self.latent])["params"],
        }
        memory = latents.fresh(third, self.latent, self.components)
        return {"autoencoder": {"params": params, "basis": basis, "memory": memory}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes the principal components from the features of training clips, float32 [clips, *spec.shape]."""
        own = variables["autoencoder"]
        return {"autoencoder": {**own, "basis": principal.fit(own["basis"], examples)}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the squared error of the features as a share of their variance."""
        return {"autoencoder": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        own = variables["autoencoder"]
        basis, features = own["basis"], batch["features"]
        encoder, decoder = self._networks(basis)
        white = principal.project(basis, features) / basis["scale"]
        code = encoder.apply({"params": own["params"]["encoder"]}, white, basis["scale"])
        updates = {"memory": latents.seen(own["memory"], code)} if train else {}
        if train and self.noise:
            spread = jnp.sqrt(jnp.diagonal(own["memory"]["covariance"]))
            code = code + self.noise * spread * jax.random.normal(rng, code.shape)
        rebuilt = self._decoded(variables, code)
        error = jnp.mean(jnp.square(rebuilt - features))
        return LossOutput(error / basis["variance"], {"error": error}, updates)

    def encode(self, variables: Variables, features: Array, spec: Spec) -> Array:
        """float32 [batch, *spec.shape] to latents, float32 [batch, latent].

        The encoder guesses at once what is right for the notes it was trained on; of others the guess is mended by
        `refine` steps down the decoder's own error. There loud points may count more (`loudness`): a decibel of a
        partial is more sound than a decibel of its decay.

        Reference: Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders", ICML 2018.
        """
        own = variables["autoencoder"]
        white = principal.project(own["basis"], features) / own["basis"]["scale"]
        encoder, _ = self._networks(own["basis"])
        code = encoder.apply({"params": own["params"]["encoder"]}, white, own["basis"]["scale"])
        weight = jnp.exp(self.loudness * features)
        weight = weight / jnp.mean(weight, axis=tuple(range(1, weight.ndim)), keepdims=True)
        optimiser = optax.adam(optax.cosine_decay_schedule(_REFINE_RATE, max(self.refine, 1)))

        def error(code: Array) -> Array:
            apart = self._decoded(variables, code) - features
            return jnp.sum(weight * jnp.square(apart)) / own["basis"]["variance"]

        def step(carried: tuple, _: None) -> tuple[tuple, None]:
            code, state = carried
            updates, state = optimiser.update(jax.grad(error)(code), state)
            return (code + updates, state), None

        (code, _), _ = jax.lax.scan(step, (code, optimiser.init(code)), None, length=self.refine)
        return code

    listen = encode  # a clip that a person gives is its latent

    def decode(self, variables: Variables, code: Array, spec: Spec) -> Array:
        """Latents, float32 [batch, latent], to features, float32 [batch, *spec.shape]."""
        features = self._decoded(variables, code)
        return principal.silence_floor(variables["autoencoder"]["basis"], features) if self.floor else features

    def _decoded(self, variables: Variables, code: Array) -> Array:
        own = variables["autoencoder"]
        white = self._networks(own["basis"])[1].apply({"params": own["params"]["decoder"]}, code)
        coordinates = white * own["basis"]["scale"]
        make = principal.rebuild if self.floor else principal.unproject
        return make(own["basis"], coordinates)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """How far a new note may be from the middle of all, the principal axes, and notes to start from."""
        variety = controls.variety("0 is the mean of all notes, 1 any that may be drawn")
        axes = min(self.sliders, self.latent)
        return (
            variety,
            *controls.axis_sliders(axes, "latents"),
            *controls.two_clips(),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: the mean, a draw from the mixture times `variety`, and the sliders' axes.

        Where a clip is given its latent takes the place of what was drawn, and between two there is a straight line.
        """
        memory = variables["autoencoder"]["memory"]
        variety = jnp.asarray(settings["variety"], jnp.float32)
        code = memory["mean"] + variety[:, None] * (latents.draw(memory, rng, len(variety)) - memory["mean"])
        code = controls.between_clips(settings, code)
        count = min(self.sliders, self.latent)
        if count:
            code = code + controls.turned_axes(settings, count) @ latents.axes(memory, count)
        return self.decode(variables, code, spec)
