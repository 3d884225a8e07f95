"""System 001, beyond the original: a rectified flow of whole clips, conditioned on tempo, switches and the like.

    noise [batch, coordinates] -> (time, conditions) -> velocity -> ... -> principal coordinates
      -> features [batch, frames, bins(, parts)]

A point that goes in a straight line from noise to a clip has one velocity all the way; the network learns the mean of
it over all lines that pass through a point, and following that mean takes noise to new clips in a few steps. What the
original's GAN and VAE missed it has: no game to be lost, and no average of clips for an answer, since where two clips
disagree the flow goes to either.

It flows in whitened principal coordinates (`mgen.principal`). There the velocity that leads noise to the Gaussian of
the training clips is known in closed form, and the network, which at first adds nothing to it, learns what clips are
beyond their Gaussian. (A transformer over the frames of the spectrogram, which has to find the Gaussian too, was tried
first: docs/house.md.) The layers are modulated by time and conditions; the conditions are left out of some training
clips, so that sampling can be guided: away from what a clip is without them.

Reference: Liu, Gong & Liu, "Flow straight and fast: learning to generate and transfer data with rectified flow",
  ICLR 2023; Lipman et al., "Flow matching for generative modeling", ICLR 2023; Esser et al., "Scaling rectified flow
  transformers for high-resolution image synthesis", ICML 2024 (times that are drawn more often from the middle);
  Peebles & Xie, "Scalable diffusion models with transformers", ICCV 2023 (modulation); Ho & Salimans, "Classifier-free
  diffusion guidance", 2022, arXiv:2207.12598; Meng et al., "SDEdit", ICLR 2022 (beginning from a given clip).
"""

from __future__ import annotations

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, principal
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_FREQUENCIES = 64  # of the code of time
_HAZE = 1 / 48  # of the features' range: what is that near to the floor is at it, see `principal.silence_floor`


class Block(nn.Module):
    """A gated layer, modulated by a condition: twice [batch, width] to [batch, width]; it adds little at first.

    Reference: Peebles & Xie, ICCV 2023, for the modulation; Shazeer, "GLU variants improve Transformer", 2020.
    """

    @nn.compact
    def __call__(self, x: Array, condition: Array) -> Array:
        """Refines x."""
        width = x.shape[-1]
        modulation = nn.Dense(3 * width, kernel_init=nn.initializers.zeros)(condition)
        shift, scale, gate = jnp.split(modulation, 3, axis=-1)
        y = nn.LayerNorm(use_bias=False, use_scale=False)(x) * (1 + scale) + shift
        y = nn.Dense(width)(y) * nn.sigmoid(nn.Dense(width)(y))
        return x + (1 + gate) * nn.Dense(width, kernel_init=nn.initializers.normal(0.01))(y)


class Velocity(nn.Module):
    """Where noisy clips are going: whitened coordinates [batch, coordinates] at times [batch], to the same shape."""

    width: int
    depth: int

    @nn.compact
    def __call__(self, x: Array, time: Array, conditions: Array, known: Array, weight: Array) -> Array:
        """The velocity; where `known` [batch] is 0 the conditions [batch, conditions] are not looked at.

        At first it is that of the flow to a Gaussian of spread 1: the mean of clip - noise, where the coordinate is x.
        """
        angles = 1000 * time[:, None] * jnp.exp(-math.log(10_000) * jnp.arange(_FREQUENCIES) / _FREQUENCIES)
        code = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)  # [batch, 2 * frequencies]
        told = nn.Dense(self.width)(conditions) * known[:, None]
        told = told + nn.Dense(self.width, use_bias=False)(1 - known[:, None])
        condition = nn.silu(nn.Dense(self.width)(nn.silu(nn.Dense(self.width)(code))) + told)  # [batch, width]
        part = time[:, None]
        variance = jnp.square(part) + jnp.square(1 - part)  # of x
        h = nn.Dense(self.width)(x * weight / jnp.sqrt(variance))
        for _ in range(self.depth):
            h = Block()(h, condition)
        beyond = nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros)(nn.LayerNorm()(h))
        return (2 * part - 1) / variance * x + beyond / jnp.sqrt(variance)


@dataclasses.dataclass(frozen=True)
class Flow:
    """Rectified flow of one clip (system 001)."""

    coordinates: int = 512
    """Principal components that it flows in."""
    within: tuple[int, int] = (128, 80)
    """Axes of frames, and of bins, that the components are made of."""
    examples: int = 4096
    """Training clips that the components are taken from."""
    width: int = 768
    """Channels of the network."""
    depth: int = 3
    """Blocks in it."""
    unconditioned: float = 0.1
    """Share of training clips whose labels are not told, which guidance needs."""
    steps: int = 8
    """Steps from noise to sound, two looks at the network each, unless the control says another number."""
    guidance: float = 1.0
    """How far past what it knows to be asked for a clip is led, unless the control says otherwise; 1 is not at all."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {"coordinates": 1, "examples": 2, "width": 1, "depth": 0, "steps": 1, "guidance": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        if not 0 <= self.unconditioned < 1:
            raise ValueError(f"model.unconditioned: expected 0 <= unconditioned < 1, got {self.unconditioned}")

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features have no frames."""
        basis = principal.fresh(spec.shape, self.coordinates, self.within)
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        coordinates = jnp.zeros((1, len(basis["scale"])))
        network = Velocity(self.width, self.depth)
        made = network.init(rng, coordinates, jnp.zeros(1), conditions, jnp.ones(1), coordinates[0])
        return {"flow": {"params": made["params"], "basis": basis}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes the principal components from the features of training clips, float32 [clips, *spec.shape]."""
        own = variables["flow"]
        return {"flow": {**own, "basis": principal.fit(own["basis"], examples)}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the squared error of the velocity, each coordinate by the root of its share."""
        return {"flow": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        basis = variables["flow"]["basis"]
        clip = _white(basis, batch["features"])
        at, noisy, told = jax.random.split(rng, 3)
        time = nn.sigmoid(jax.random.normal(at, (len(clip),)))  # the ends are easy, the middle is not
        noise = jax.random.normal(noisy, clip.shape)
        known = (jax.random.uniform(told, (len(clip),)) >= (self.unconditioned if train else 0)).astype(jnp.float32)
        part = time[:, None]
        conditions = controls.encode(spec.labels, batch["labels"])
        found = self._velocity(variables, (1 - part) * noise + part * clip, time, conditions, known)
        return LossOutput(jnp.mean(_weight(basis) * jnp.square(found - (clip - noise))), {})

    def _velocity(self, variables: Variables, x: Array, time: Array, conditions: Array, known: Array) -> Array:
        own = variables["flow"]
        network = Velocity(self.width, self.depth)
        return network.apply({"params": own["params"]}, x, time, conditions, known, _weight(own["basis"]))

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, how a sound is found, and a clip to begin from."""
        return (
            *spec.labels,
            controls.variety("0 is one sound for each setting, 1 any of the model's"),
            controls.AsideSlider("guidance", 0.0, 6.0, self.guidance, help="how strictly it is what is asked for"),
            controls.AsideSlider("steps", 1.0, 64.0, float(self.steps), help="from noise to sound; fewer are quicker"),
            controls.Clip("clip", "begins from this sound instead of from noise"),
            controls.AsideSlider("change", 0.0, 1.0, 0.6, help="how far from clip it may go, where one is given"),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: follows the velocity from noise, or from a clip with noise over it, to a sound.

        Steps are of the midpoint method, as many as each sound asks for.
        """
        basis = variables["flow"]["basis"]
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety, guidance, steps = (
            jnp.asarray(settings[name], jnp.float32)[:, None] for name in ("variety", "guidance", "steps")
        )
        steps, count = jnp.round(steps), len(variety)
        x = variety * jax.random.normal(rng, (count, len(basis["scale"])))
        start = jnp.zeros((count, 1))
        if "clip" in settings:
            clips: controls.Clips = settings["clip"]
            start = jnp.where(clips.given, 1 - jnp.asarray(settings["change"], jnp.float32), 0.0)[:, None]
            x = (1 - start) * x + start * _white(basis, clips.features)

        def velocity(x: Array, time: Array) -> Array:
            told = self._velocity(variables, x, time[:, 0], conditions, jnp.ones(count))
            if not spec.labels:
                return told
            free = self._velocity(variables, x, time[:, 0], conditions, jnp.zeros(count))
            return free + guidance * (told - free)

        def step(number: Array, x: Array) -> Array:
            length = (1 - start) / steps
            time = start + number * length
            middle = x + length / 2 * velocity(x, time)
            return jnp.where(number < steps, x + length * velocity(middle, time + length / 2), x)

        x = jax.lax.fori_loop(0, jnp.max(steps).astype(jnp.int32), step, x)
        features = jnp.clip(principal.unproject(basis, x * basis["scale"]), basis["low"], basis["high"])
        return principal.silence_floor(basis, features, share=_HAZE)


def _white(basis: principal.Basis, features: Array) -> Array:
    """Features float32 [batch, *shape] to coordinates of spread 1, float32 [batch, coordinates]."""
    return principal.project(basis, features) / basis["scale"]


def _weight(basis: principal.Basis) -> Array:
    """What an error of each coordinate counts, float32 [coordinates]: between its share of the sound and all alike."""
    return jnp.sqrt(basis["scale"] / jnp.mean(basis["scale"]))
