"""System 001, beyond the original: a rectified flow of whole clips, conditioned on tempo, switches and the like.

    noise -> (time, conditions) -> velocity -> ... -> features [batch, frames, bins]

A point that goes in a straight line from noise to a clip has one velocity all the way; the network learns the mean of
it over all lines that pass through a point, and following that mean takes noise to new clips in a few steps. What the
original's GAN and VAE missed it has: no game to be lost, and no average of clips for an answer, since where two clips
disagree the flow goes to either.

The velocity that leads noise to the Gaussian of the training clips, by their principal components, is known in closed
form. A transformer over the frames, which at first adds nothing to it, learns what clips are beyond their Gaussian: its
tokens are a few frames with all their bins, as they are and as the Gaussian would have them without the noise. Its
layers are modulated by time and conditions; the conditions are left out of some training clips, so that sampling can be
guided: away from what a clip is without them.

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
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, principal
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_FREQUENCIES = 64  # of the code of time
# Mean and spread of the logit of the times trained at: large components are decided early, and the ends are easy.
_TIMES = (-1.0, 1.5)
_MOST_STEPS, _MOST_GUIDANCE = 64.0, 6.0  # that a person may ask for
_SLOWER = 2  # power by which the first steps are shorter: what is large comes out of the noise at once
_LEAST = 1e-4  # variance of a feature beyond the components, beside a mean of 1: a flow must arrive somewhere
_HAZE = 1 / 24  # of the features' range: what is that near to the floor is at it, see `principal.silence_floor`


class Block(nn.Module):
    """Attention over tokens and a perceptron at each, both modulated: [batch, tokens, width] to the same shape."""

    heads: int

    @nn.compact
    def __call__(self, x: Array, condition: Array) -> Array:
        """Refines x by a condition [batch, width]; at first it is left as it is."""
        width = x.shape[-1]
        modulation = nn.Dense(6 * width, kernel_init=nn.initializers.zeros)(nn.silu(condition))[:, None]
        shift, scale, gate, shift_2, scale_2, gate_2 = jnp.split(modulation, 6, axis=-1)
        y = nn.LayerNorm(use_bias=False, use_scale=False)(x) * (1 + scale) + shift
        x = x + gate * nn.MultiHeadDotProductAttention(self.heads)(y, y)
        y = nn.LayerNorm(use_bias=False, use_scale=False)(x) * (1 + scale_2) + shift_2
        return x + gate_2 * nn.Dense(width)(nn.gelu(nn.Dense(4 * width)(y)))


class Beyond(nn.Module):
    """What a noisy clip is going to beyond its Gaussian: [batch, frames, bins, 2] at times [batch] to [..., bins]."""

    patch: int
    width: int
    depth: int
    heads: int

    @nn.compact
    def __call__(self, seen: Array, time: Array, conditions: Array, known: Array) -> Array:
        """Where `known` [batch] is 0 the conditions [batch, conditions] are not looked at; at first all is 0."""
        batch, frames, bins, views = seen.shape
        tokens = frames // self.patch
        angles = 1000 * time[:, None] * jnp.exp(-math.log(10_000) * jnp.arange(_FREQUENCIES) / _FREQUENCIES)
        code = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)  # [batch, 2 * frequencies]
        told = nn.Dense(self.width)(conditions) * known[:, None]
        told = told + nn.Dense(self.width, use_bias=False)(1 - known[:, None])
        condition = nn.Dense(self.width)(nn.silu(nn.Dense(self.width)(code))) + told  # [batch, width]
        h = nn.Dense(self.width)(seen.reshape(batch, tokens, self.patch * bins * views))  # [batch, tokens, width]
        h = h + self.param("place", nn.initializers.normal(0.02), (tokens, self.width))
        for _ in range(self.depth):
            h = Block(self.heads)(h, condition)
        modulation = nn.Dense(2 * self.width, kernel_init=nn.initializers.zeros)(nn.silu(condition))[:, None]
        shift, scale = jnp.split(modulation, 2, axis=-1)
        h = nn.LayerNorm(use_bias=False, use_scale=False)(h) * (1 + scale) + shift
        return nn.Dense(self.patch * bins, kernel_init=nn.initializers.zeros)(h).reshape(batch, frames, bins)


@dataclasses.dataclass(frozen=True)
class Flow:
    """Rectified flow of one clip's spectrogram (system 001)."""

    patch: int = 4
    """Frames in a token."""
    width: int = 256
    """Channels of a token."""
    depth: int = 4
    """Blocks."""
    heads: int = 4
    """Of the attention."""
    coordinates: int = 512
    """Principal components of the Gaussian that it begins with."""
    within: tuple[int, int] = (128, 80)
    """Axes of frames, and of bins, that the components are made of."""
    examples: int = 4096
    """Training clips that the components are taken from."""
    unconditioned: float = 0.1
    """Share of training clips whose labels are not told, which guidance needs."""
    steps: int = 8
    """Steps from noise to sound, two looks at the network each and four where a clip is guided, unless the control says
    another number."""
    guidance: float = 1.0
    """How far past what it knows to be asked for a clip is led, unless the control says otherwise; 1 is not at all."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {"patch": 1, "width": 1, "depth": 1, "heads": 1, "coordinates": 1, "examples": 2, "steps": 1}
        for name, value in (least | {"guidance": 0}).items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        for name, most in (("steps", _MOST_STEPS), ("guidance", _MOST_GUIDANCE)):
            if getattr(self, name) > most:
                raise ValueError(f"model.{name}: expected at most {most:g}, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"model.heads: {self.heads} does not divide model.width={self.width}")
        if not 0 <= self.unconditioned < 1:
            raise ValueError(f"model.unconditioned: expected 0 <= unconditioned < 1, got {self.unconditioned}")

    @property
    def _network(self) -> Beyond:
        return Beyond(self.patch, self.width, self.depth, self.heads)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the features are no frames of bins, or these no whole tokens."""
        if len(spec.shape) != 2:
            raise ValueError(f"model: expected features of frames and bins, such as LogMel's; they are {spec.shape}")
        if spec.shape[0] % self.patch:
            raise ValueError(f"model.patch: {self.patch} does not divide the features' {spec.shape[0]} frames")
        basis = principal.fresh(spec.shape, self.coordinates, self.within)
        conditions = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        made = self._network.init(rng, jnp.zeros((1, *spec.shape, 2)), jnp.zeros(1), conditions, jnp.ones(1))
        return {"flow": {"params": made["params"], "basis": basis}}

    def fit(self, variables: Variables, examples: np.ndarray, spec: Spec) -> Variables:
        """Takes the principal components from the features of training clips, float32 [clips, *spec.shape]."""
        own = variables["flow"]
        return {"flow": {**own, "basis": principal.fit(own["basis"], examples)}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the squared error of the velocity, as a share of what the Gaussian leaves."""
        return {"flow": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        basis = variables["flow"]["basis"]
        clip = (batch["features"] - basis["mean"]) / jnp.sqrt(basis["variance"])
        at, noisy, told = jax.random.split(rng, 3)
        time = nn.sigmoid(_TIMES[0] + _TIMES[1] * jax.random.normal(at, (len(clip),)))
        noise = jax.random.normal(noisy, clip.shape)
        known = (jax.random.uniform(told, (len(clip),)) >= (self.unconditioned if train else 0)).astype(jnp.float32)
        part = time[:, None, None]
        conditions = controls.encode(spec.labels, batch["labels"])
        found = self._velocity(variables, (1 - part) * noise + part * clip, time, conditions, known)
        return LossOutput(jnp.mean(jnp.square((found - (clip - noise)) / _left(basis, time)[:, None, None])), {})

    def _velocity(self, variables: Variables, x: Array, time: Array, conditions: Array, known: Array) -> Array:
        """The mean of clip - noise where (1 - time) * noise + time * clip is x, float32 [batch, frames, bins]."""
        own = variables["flow"]
        basis, part = own["basis"], time[:, None]
        spread, rest = _spreads(basis)

        def of_gaussian(gain: Callable[[Array], Array]) -> Array:
            """A linear map of x that the components are the eigenvectors of, from variance to eigenvalue."""
            root = jnp.sqrt(basis["variance"])
            coordinates = principal.project(basis, x * root + basis["mean"])
            others = gain(jnp.square(rest))
            inside = principal.unproject(basis, (gain(jnp.square(spread)) - others) * coordinates) - basis["mean"]
            return others[..., None] * x + inside / root

        def variance(own: Array) -> Array:
            return jnp.square(part) * own + jnp.square(1 - part)

        velocity = of_gaussian(lambda own: (part * own - (1 - part)) / variance(own))
        without_noise = of_gaussian(lambda own: part * own / variance(own))
        scaled = x / jnp.sqrt(variance(jnp.ones(1)))[..., None]
        seen = jnp.stack([scaled, without_noise], axis=-1)
        beyond = self._network.apply({"params": own["params"]}, seen, time, conditions, known)
        return velocity + _left(basis, time)[:, None, None] * beyond

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, how a sound is found, and a clip to begin from."""
        strictly = "how strictly it is what is asked for; 1 is as in training, and half the work"
        guidance = controls.AsideSlider("guidance", 0.0, _MOST_GUIDANCE, self.guidance, help=strictly)
        quick = "from noise to sound; fewer are quicker"
        return (
            *spec.labels,
            controls.variety("0 is one sound for each setting, 1 any of the model's"),
            *((guidance,) if spec.labels else ()),
            controls.AsideSlider("steps", 1.0, _MOST_STEPS, float(self.steps), help=quick),
            controls.Clip("clip", "begins from this sound instead of from noise"),
            controls.AsideSlider("change", 0.0, 1.0, 0.6, help="how far from clip it may go, where one is given"),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: follows the velocity from noise, or from a clip with noise over it, to a sound.

        Steps are of the midpoint method, as many as each sound asks for.
        """
        basis = variables["flow"]["basis"]
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety, steps = (jnp.asarray(settings[name], jnp.float32)[:, None, None] for name in ("variety", "steps"))
        steps, count = jnp.round(steps), len(variety)
        guidance = jnp.asarray(settings["guidance"], jnp.float32)[:, None, None] if spec.labels else jnp.ones(1)
        x = variety * jax.random.normal(rng, (count, *spec.shape))
        start = jnp.zeros((count, 1, 1))
        if "clip" in settings:
            clips: controls.Clips = settings["clip"]
            start = jnp.where(clips.given, 1 - jnp.asarray(settings["change"], jnp.float32), 0.0)[:, None, None]
            x = (1 - start) * x + start * (clips.features - basis["mean"]) / jnp.sqrt(basis["variance"])

        def velocity(x: Array, time: Array) -> Array:
            told = self._velocity(variables, x, time[:, 0, 0], conditions, jnp.ones(count))

            def guided() -> Array:
                free = self._velocity(variables, x, time[:, 0, 0], conditions, jnp.zeros(count))
                return free + guidance * (told - free)

            return jax.lax.cond(jnp.all(guidance == 1), lambda: told, guided)

        def time_of(number: Array) -> Array:
            return start + (1 - start) * (number / steps) ** _SLOWER

        def step(number: Array, x: Array) -> Array:
            time = time_of(number)
            length = time_of(number + 1) - time
            middle = x + length / 2 * velocity(x, time)
            return jnp.where(number < steps, x + length * velocity(middle, time + length / 2), x)

        x = jax.lax.fori_loop(0, jnp.max(steps).astype(jnp.int32), step, x)
        features = jnp.clip(x * jnp.sqrt(basis["variance"]) + basis["mean"], basis["low"], basis["high"])
        return principal.silence_floor(basis, features, share=_HAZE)


def _spreads(basis: principal.Basis) -> tuple[Array, Array]:
    """Standard deviations beside noise of 1, of features whose mean variance is 1: along each component, and elsewhere.

    Returns:
      float32 [coordinates], and [1].
    """
    inside = jnp.square(basis["scale"]) / basis["variance"]
    there = jnp.any(basis["axes"] != 0, axis=(1, 2))  # of few clips there are not as many components as were asked for
    size = math.prod(basis["mean"].shape)
    rest = (size - jnp.sum(jnp.where(there, inside, 0))) / jnp.maximum(size - jnp.sum(there), 1)
    rest = jnp.maximum(rest, _LEAST)
    return jnp.sqrt(jnp.where(there, inside, rest)), jnp.sqrt(rest)[None]


def _left(basis: principal.Basis, time: Array) -> Array:
    """Root mean square of what a Gaussian leaves unknown of the velocity at times [batch]: float32 [batch]."""
    spread, rest = _spreads(basis)
    part, size = time[:, None], math.prod(basis["mean"].shape)

    def unknown(own: Array) -> Array:
        return own / (jnp.square(part) * own + jnp.square(1 - part))

    inside = jnp.sum(unknown(jnp.square(spread)), axis=1)
    return jnp.sqrt((inside + (size - len(spread)) * unknown(jnp.square(rest))[:, 0]) / size)
