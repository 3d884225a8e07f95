"""System 001, beyond the original: a rectified flow of whole spectrograms, conditioned on tempo, switches and the like.

    noise -> (time, conditions) -> transformer over frames -> velocity -> ... -> features [batch, frames, bins]

A point that goes in a straight line from noise to a clip has one velocity all the way; the network learns the mean of
it over all lines that pass through a point, and following that mean takes noise to new clips in a few steps. What the
original's GAN and VAE missed it has: no game to be lost, and no average of clips for an answer, since where two clips
disagree the flow goes to either.

Tokens are a few frames with all their bins, so a transformer over time sees each beat's place in the bar. The layers
are modulated by time and conditions and begin as the identity; the conditions are left out of some training clips, so
that sampling can be guided: away from what a clip is without them.

Reference: Liu, Gong & Liu, "Flow straight and fast: learning to generate and transfer data with rectified flow",
  ICLR 2023; Lipman et al., "Flow matching for generative modeling", ICLR 2023; Esser et al., "Scaling rectified flow
  transformers for high-resolution image synthesis", ICML 2024 (times that are drawn more often from the middle);
  Peebles & Xie, "Scalable diffusion models with transformers", ICCV 2023; Ho & Salimans, "Classifier-free diffusion
  guidance", 2022, arXiv:2207.12598; Meng et al., "SDEdit", ICLR 2022 (beginning from a given clip).
"""

from __future__ import annotations

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_FREQUENCIES = 64  # of the code of time
_LEAST_SPREAD = 1e-3  # of a bin, in the features' own unit: one that never moves is not blown up
_HAZE = 1 / 48  # of the features' range above -1: what is that near to the floor is at it


class Block(nn.Module):
    """Attention over tokens and a perceptron at each, both modulated: [batch, tokens, width] to the same shape."""

    heads: int

    @nn.compact
    def __call__(self, x: Array, condition: Array) -> Array:
        """Refines x; at first it is left as it is."""
        width = x.shape[-1]
        modulation = nn.Dense(6 * width, kernel_init=nn.initializers.zeros)(nn.silu(condition))[:, None]
        shift, scale, gate, shift_2, scale_2, gate_2 = jnp.split(modulation, 6, axis=-1)
        y = nn.LayerNorm(use_bias=False, use_scale=False)(x) * (1 + scale) + shift
        x = x + gate * nn.MultiHeadDotProductAttention(self.heads)(y, y)
        y = nn.LayerNorm(use_bias=False, use_scale=False)(x) * (1 + scale_2) + shift_2
        return x + gate_2 * nn.Dense(width)(nn.gelu(nn.Dense(4 * width)(y)))


class Velocity(nn.Module):
    """Where a noisy clip is going: features [batch, frames, bins] at times [batch], conditions, to the same shape."""

    patch: int
    width: int
    depth: int
    heads: int

    @nn.compact
    def __call__(self, x: Array, time: Array, conditions: Array, known: Array) -> Array:
        """The velocity; where `known` [batch] is 0 the conditions [batch, conditions] are not looked at."""
        batch, frames, bins = x.shape
        tokens = frames // self.patch
        angles = 1000 * time[:, None] * jnp.exp(-math.log(10_000) * jnp.arange(_FREQUENCIES) / _FREQUENCIES)
        code = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)  # [batch, 2 * frequencies]
        told = nn.Dense(self.width)(conditions) * known[:, None]
        told = told + nn.Dense(self.width, use_bias=False)(1 - known[:, None])
        condition = nn.Dense(self.width)(nn.silu(nn.Dense(self.width)(code))) + told  # [batch, width]
        h = nn.Dense(self.width)(x.reshape(batch, tokens, self.patch * bins))  # [batch, tokens, width]
        h = h + self.param("place", nn.initializers.normal(0.02), (tokens, self.width))
        for _ in range(self.depth):
            h = Block(self.heads)(h, condition)
        shift, scale = jnp.split(
            nn.Dense(2 * self.width, kernel_init=nn.initializers.zeros)(nn.silu(condition))[:, None], 2, axis=-1
        )
        h = nn.LayerNorm(use_bias=False, use_scale=False)(h) * (1 + scale) + shift
        h = nn.Dense(self.patch * bins, kernel_init=nn.initializers.zeros)(h)
        return h.reshape(batch, frames, bins)


@dataclasses.dataclass(frozen=True)
class Flow:
    """Rectified flow of one clip's spectrogram (system 001)."""

    patch: int = 2
    """Frames in a token."""
    width: int = 256
    """Channels of a token."""
    depth: int = 6
    """Blocks."""
    heads: int = 4
    """Of the attention."""
    unconditioned: float = 0.1
    """Share of training clips whose labels are not told, which guidance needs."""
    examples: int = 512
    """Training clips that mean and spread of each bin are taken from."""
    steps: int = 16
    """Steps from noise to sound, two looks at the network each, unless the control says another number."""
    guidance: float = 1.5
    """How far past what it knows to be asked for a clip is led, unless the control says otherwise; 1 is not at all."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {"patch": 1, "width": 1, "depth": 1, "heads": 1, "examples": 2, "steps": 1, "guidance": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"model.heads: {self.heads} does not divide model.width={self.width}")
        if not 0 <= self.unconditioned < 1:
            raise ValueError(f"model.unconditioned: expected 0 <= unconditioned < 1, got {self.unconditioned}")

    @property
    def _network(self) -> Velocity:
        return Velocity(self.patch, self.width, self.depth, self.heads)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no frames of bins, or frames are no whole tokens."""
        if len(spec.shape) != 2:
            raise ValueError(f"model: expected features of frames and bins, such as LogMel's; they are {spec.shape}")
        if spec.shape[0] % self.patch:
            raise ValueError(f"model.patch: {self.patch} does not divide the features' {spec.shape[0]} frames")
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        made = self._network.init(rng, jnp.zeros((1, *spec.shape)), jnp.zeros(1), conditions, jnp.ones(1))
        bins = {"mean": jnp.zeros(spec.shape[1]), "spread": jnp.ones(spec.shape[1])}
        return {"flow": {"params": made["params"], "bins": bins}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes mean and spread of each bin from the features of training clips, float32 [clips, *spec.shape]."""
        spread = np.maximum(examples.std(axis=(0, 1)), _LEAST_SPREAD)
        bins = {"mean": jnp.asarray(examples.mean(axis=(0, 1))), "spread": jnp.asarray(spread)}
        return {"flow": {**variables["flow"], "bins": bins}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the squared error of the velocity."""
        return {"flow": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        own = variables["flow"]
        clip = (batch["features"] - own["bins"]["mean"]) / own["bins"]["spread"]
        at, noisy, told = jax.random.split(rng, 3)
        time = nn.sigmoid(jax.random.normal(at, (len(clip),)))  # the ends are easy, the middle is not
        noise = jax.random.normal(noisy, clip.shape)
        known = (jax.random.uniform(told, (len(clip),)) >= (self.unconditioned if train else 0)).astype(jnp.float32)
        part = time[:, None, None]
        conditions = controls.encode(spec.labels, batch["labels"])
        found = self._velocity(variables, (1 - part) * noise + part * clip, time, conditions, known)
        return LossOutput(jnp.mean(jnp.square(found - (clip - noise))), {})

    def _velocity(self, variables: Variables, x: Array, time: Array, conditions: Array, known: Array) -> Array:
        return self._network.apply({"params": variables["flow"]["params"]}, x, time, conditions, known)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, how a sound is found, and a clip to begin from."""
        return (
            *spec.labels,
            controls.variety("0 is one sound for each setting, 1 any of the model's"),
            controls.AsideSlider("guidance", 0.0, 6.0, self.guidance, help="how strictly it is what is asked for"),
            controls.AsideSlider("steps", 1.0, 64.0, float(self.steps), help="from noise to sound; fewer are quicker"),
            controls.Clip("clip", "begins from this sound instead of from noise"),
            controls.AsideSlider(
                "change", 0.0, 1.0, 0.6, help="how far from clip it may go, where one is given"
            ),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: follows the velocity from noise, or from a clip with noise over it, to a sound.

        Steps are of the midpoint method, as many as each sound asks for.
        """
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety, guidance, steps = (
            jnp.asarray(settings[name], jnp.float32)[:, None, None] for name in ("variety", "guidance", "steps")
        )
        steps, bins = jnp.round(steps), variables["flow"]["bins"]
        count = len(steps)
        x = variety * jax.random.normal(rng, (count, *spec.shape))
        start = jnp.zeros((count, 1, 1))
        if "clip" in settings:
            clips: controls.Clips = settings["clip"]
            start = jnp.where(clips.given, 1 - jnp.asarray(settings["change"], jnp.float32), 0.0)[:, None, None]
            x = (1 - start) * x + start * (clips.features - bins["mean"]) / bins["spread"]

        def velocity(x: Array, time: Array) -> Array:
            time = time[:, 0, 0]
            told = self._velocity(variables, x, time, conditions, jnp.ones(count))
            if not spec.labels:
                return told
            free = self._velocity(variables, x, time, conditions, jnp.zeros(count))
            return free + guidance * (told - free)

        def step(number: Array, x: Array) -> Array:
            length = (1 - start) / steps
            time = start + number * length
            middle = x + length / 2 * velocity(x, time)
            return jnp.where(number < steps, x + length * velocity(middle, time + length / 2), x)

        x = jax.lax.fori_loop(0, jnp.max(steps).astype(jnp.int32), step, x)
        features = jnp.clip(x * bins["spread"] + bins["mean"], -1, 1)
        return jnp.where(features < -1 + 2 * _HAZE, -1.0, features)
