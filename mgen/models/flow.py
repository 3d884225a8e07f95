"""System 001, beyond the original: a rectified flow of whole clips, conditioned on tempo, switches and the like.

    noise -> (time, conditions) -> velocity -> ... -> features [batch, frames, bins]

What the original's GAN and VAE missed it has: no game to be lost, and no average of clips for an answer. It begins as
the flow to the Gaussian of the training clips, by their principal components (`mgen/rectified.py` says what a flow is).
A transformer over the frames learns what clips are beyond their Gaussian: its tokens are a few frames with all their
bins, as they are and as the Gaussian would have them without the noise. The conditions are left out of some training
clips, so that sampling can be guided: away from what a clip is without them.

Reference: those of `mgen/rectified.py`; Meng et al., "SDEdit", ICLR 2022 (beginning from a given clip).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, principal, rectified
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables

_LEAST = 1e-4  # variance of a feature beyond the components, beside a mean of 1: a flow must arrive somewhere
_HAZE = 1 / 24  # of the features' range: what is that near to the floor is at it, see `principal.silence_floor`


@dataclasses.dataclass(frozen=True)
class Flow:
    """Rectified flow of one clip's frames, of decibels or of what an autoencoder makes of them (system 001)."""

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
    variety: float = 1.0
    """Of the noise that sounds begin from, beside that of training, unless the control says otherwise: with less a flow
    that has not learnt all there is comes nearer to clips, and to fewer of them."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least = {"patch": 1, "width": 1, "depth": 1, "heads": 1, "coordinates": 1, "examples": 2, "steps": 1}
        for name, value in (least | {"guidance": 0, "variety": 0}).items():
            if getattr(self, name) < value:
                raise ValueError(f"model.{name}: expected at least {value}, got {getattr(self, name)}")
        mosts = {"steps": rectified.MOST_STEPS, "guidance": rectified.MOST_GUIDANCE, "variety": controls.MOST_VARIETY}
        for name, most in mosts.items():
            if getattr(self, name) > most:
                raise ValueError(f"model.{name}: expected at most {most:g}, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"model.heads: {self.heads} does not divide model.width={self.width}")
        if not 0 <= self.unconditioned < 1:
            raise ValueError(f"model.unconditioned: expected 0 <= unconditioned < 1, got {self.unconditioned}")

    @property
    def _network(self) -> rectified.Beyond:
        return rectified.Beyond(self.patch, self.width, self.depth, self.heads)

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
        clips = (batch["features"] - basis["mean"]) / jnp.sqrt(basis["variance"])
        conditions, untold = controls.encode(spec.labels, batch["labels"]), self.unconditioned if train else 0.0
        network = self._beyond(variables)
        return LossOutput(rectified.error(network, _gaussian(basis), clips, rng, conditions, untold=untold), {})

    def _beyond(self, variables: Variables) -> Callable[..., Array]:
        return functools.partial(self._network.apply, {"params": variables["flow"]["params"]})

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The data's labels, how a sound is found, and a clip to begin from."""
        strictly = "how strictly it is what is asked for; 1 is as in training, and half the work"
        guidance = controls.AsideSlider("guidance", 0.0, rectified.MOST_GUIDANCE, self.guidance, help=strictly)
        quick = "from noise to sound; fewer are quicker"
        return (
            *spec.labels,
            controls.variety("0 is one sound for each setting, 1 any of the model's", self.variety),
            *((guidance,) if spec.labels else ()),
            controls.AsideSlider("steps", 1.0, rectified.MOST_STEPS, float(self.steps), help=quick),
            controls.Clip("clip", "begins from this sound instead of from noise"),
            controls.AsideSlider("change", 0.0, 1.0, 0.6, help="how far from clip it may go, where one is given"),
        )

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: where the flow arrives, silent where that is nearly so."""
        return principal.silence_floor(
            variables["flow"]["basis"], self.arrived(variables, rng, settings, spec), share=_HAZE
        )

    def arrived(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: follows the velocity from noise, or from a clip with noise over it.

        Steps are of the midpoint method, as many as each sound asks for.
        """
        basis = variables["flow"]["basis"]
        conditions = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        variety, steps = (jnp.asarray(settings[name], jnp.float32) for name in ("variety", "steps"))
        guidance = jnp.asarray(settings["guidance"] if spec.labels else jnp.ones(len(variety)), jnp.float32)
        x, start = variety[:, None, None] * jax.random.normal(rng, (len(variety), *spec.shape)), jnp.zeros(len(variety))
        if "clip" in settings:
            clips: controls.Clips = settings["clip"]
            start = jnp.where(clips.given, 1 - jnp.asarray(settings["change"], jnp.float32), 0.0)
            part = start[:, None, None]
            x = (1 - part) * x + part * (clips.features - basis["mean"]) / jnp.sqrt(basis["variance"])
        velocity = rectified.guided(self._beyond(variables), _gaussian(basis), conditions, guidance)
        x = rectified.follow(velocity, x, jnp.round(steps), start)
        return jnp.clip(x * jnp.sqrt(basis["variance"]) + basis["mean"], basis["low"], basis["high"])


def _gaussian(basis: principal.Basis) -> rectified.Gaussian:
    """That of the training clips, of features whose mean variance is 1: by their principal components."""
    inside = jnp.square(basis["scale"]) / basis["variance"]
    there = jnp.any(basis["axes"] != 0, axis=(1, 2))  # of few clips there are not as many components as were asked for
    size = math.prod(basis["mean"].shape)
    rest = (size - jnp.sum(jnp.where(there, inside, 0))) / jnp.maximum(size - jnp.sum(there), 1)
    rest = jnp.maximum(rest, _LEAST)
    root = jnp.sqrt(basis["variance"])

    def mapped(x: Array, gains: Array, others: Array) -> Array:
        coordinates = principal.project(basis, x * root + basis["mean"])
        inside = principal.unproject(basis, (gains - others) * coordinates) - basis["mean"]
        return others[..., None] * x + inside / root

    return rectified.Gaussian(jnp.sqrt(jnp.where(there, inside, rest)), jnp.sqrt(rest)[None], mapped)
