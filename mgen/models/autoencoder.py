"""System 003: a deep autoencoder of notes, whose decoder alone is the generator.

    features [batch, frames, bins(, parts)] -> encoder -> latent [batch, latent] -> decoder -> features

The original convolved over time and frequency alike; here convolution runs over time and a frame's bins are its
channels (`mgen.layers.FrameEncoder`).

The latents of training are remembered (`mgen.latents`), so that the decoder can be asked for new notes: `sample` draws
from a mixture of Gaussians fitted to them, and the first principal axes are sliders, in standard deviations. (The
original's random latents were drawn where no note had ever been encoded.)

Reference: Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from mgen import controls, latents
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import FrameDecoder, FrameEncoder, check_halvings


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Deep autoencoder of one clip (system 003), with sliders along the principal axes of its latents."""

    latent: int = 128
    """Numbers that a clip is told by; the original's are 64, 128, 256 and 384."""
    width: int = 256
    """Channels between the frames of the features and the latent."""
    stages: int = 4
    """Halvings of the frames on the way to the latent."""
    sliders: int = 8
    """Principal axes that can be turned."""
    components: int = 8
    """Gaussians in the mixture that new latents are drawn from."""
    noise: float = 0.0
    """Of each latent in training, in its standard deviations: the decoder then bears latents that are a little off."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        for name, least in (("latent", 1), ("width", 1), ("stages", 0), ("sliders", 0), ("components", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"model.{name}: expected at least {least}, got {getattr(self, name)}")
        if self.noise < 0:
            raise ValueError(f"model.noise: expected 0 or more, got {self.noise}")

    def _networks(self, spec: Spec) -> tuple[FrameEncoder, FrameDecoder]:
        decoder = FrameDecoder(spec.shape, self.width, self.stages)
        return FrameEncoder(self.latent, self.width, self.stages), decoder

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no frames, or these cannot be halved so often."""
        check_halvings(spec.shape, self.stages)
        encoder, decoder = self._networks(spec)
        rngs = jax.random.split(rng, 3)
        params = {
            "encoder": encoder.init(rngs[0], jnp.zeros((1, *spec.shape)))["params"],
            "decoder": decoder.init(rngs[1], jnp.zeros((1, self.latent)))["params"],
        }
        return {"autoencoder": {"params": params, "memory": latents.fresh(rngs[2], self.latent, self.components)}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the mean squared error of the features."""
        return {"autoencoder": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        encoder, decoder = self._networks(spec)
        own = variables["autoencoder"]
        code = encoder.apply({"params": own["params"]["encoder"]}, batch["features"])
        updates = {"memory": latents.seen(own["memory"], code)} if train else {}
        if train and self.noise:
            spread = jnp.sqrt(jnp.diagonal(own["memory"]["covariance"]))
            code = code + self.noise * spread * jax.random.normal(rng, code.shape)
        rebuilt = decoder.apply({"params": own["params"]["decoder"]}, code)
        value = jnp.mean(jnp.square(rebuilt - batch["features"]))
        return LossOutput(value, {"error": value}, updates)

    def encode(self, variables: Variables, features: Array, spec: Spec) -> Array:
        """float32 [batch, *spec.shape] to latents, float32 [batch, latent]."""
        return self._networks(spec)[0].apply({"params": variables["autoencoder"]["params"]["encoder"]}, features)

    def decode(self, variables: Variables, code: Array, spec: Spec) -> Array:
        """Latents, float32 [batch, latent], to features, float32 [batch, *spec.shape]."""
        return self._networks(spec)[1].apply({"params": variables["autoencoder"]["params"]["decoder"]}, code)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """How far a new note may be from the middle of all, and the principal axes."""
        variety = controls.Slider("variety", 0.0, 1.5, 1.0, help="0 is the mean of all notes, 1 any that may be drawn")
        axes = min(self.sliders, self.latent)
        return (
            variety,
            *(
                controls.Slider(f"axis_{i + 1}", -4.0, 4.0, 0.0, "sigma", f"principal axis {i + 1} of the latents")
                for i in range(axes)
            ),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: the mean, a draw from the mixture times `variety`, and the sliders' axes."""
        memory = variables["autoencoder"]["memory"]
        variety = jnp.asarray(settings["variety"], jnp.float32)
        code = memory["mean"] + variety[:, None] * (latents.draw(memory, rng, len(variety)) - memory["mean"])
        count = min(self.sliders, self.latent)
        if count:
            turned = jnp.stack([jnp.asarray(settings[f"axis_{i + 1}"], jnp.float32) for i in range(count)], axis=1)
            code = code + turned @ latents.axes(memory, count)
        return self.decode(variables, code, spec)
