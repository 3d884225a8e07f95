"""System 000: a vector of switches or sliders to one log-mel spectrogram, by a dense layer and a pixel shuffle.

Every training song is a switch. Turned on alone it gives the song back; several at once, also part of the way, give
their mixture. The original (waveform) network "accurately returned the original clip for a single switch but only
noise for several non-zero inputs", because it had never seen two switches at once. Two things mend that here:

1. It is trained on mixtures of the songs' waveforms with the matching vector of switches (`mgen.data.mixtures`).
2. The `energy` head. Sounds add up in amplitude, not in decibels: the last layer is a handful of signed amplitudes for
   each point, as the bins of a mel band are, and their summed squares become decibels at the very end. An exponential
   gate that sees only the direction of the hidden vector, not its length, gives each point its level. Where all inputs
   are switches nothing before the gate has a bias, so the amplitude f obeys f(a x) = a f(x) for a >= 0: half a switch
   is 6 dB less and no switch is silence by construction. How two songs share a point is learnt, and only from mixtures:
   trained on single songs alone this head mixes worse than the plain one (`benchmarks/switches.py`).
   `head="decibel"` is the plain way, kept as the comparison.

With `codes`, and where all labels are switches, every switch has a learnt code of a few numbers, which the first layer
makes of it. The codes' principal axes are sliders too: what lies along them is no song, and no mixture of songs in
equal parts.

Upscale factor r: the dense layer makes a grid of (frames / r, bins / r) points, and the last convolution has r * r
channels for each output channel. For one 512 x 128 output: r = 2, 4, 8, 16, 32, 64 have 4, 16, 64, 256, 1024, 4096
channels before the shuffle (the original's table lists r itself, which is wrong).

Reference: Shi et al., 2016, arXiv:1609.05158 (pixel shuffle).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, losses
from mgen.arrays import EPSILON
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import SubPixelConv, shuffle_sizes

_CODES = "codes"  # the layer whose rows are the switches' codes


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))): keeps the superposition in the sum and the corrections in the branch."""

    use_bias: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, frames, bins, channels] to the same shape."""
        branch = nn.Conv(x.shape[-1], (3, 3), use_bias=self.use_bias)(nn.relu(x))
        # Zero: the block starts as the identity, so depth costs nothing at the beginning of training.
        return x + nn.Conv(x.shape[-1], (3, 3), use_bias=self.use_bias, kernel_init=nn.initializers.zeros_init())(
            nn.relu(branch)
        )


class Decoder(nn.Module):
    """Switches float32 [batch, inputs] to log-mel features float32 [batch, frames, bins]."""

    shape: tuple[int, int]
    upscale: int
    width: int
    depth: int
    head: str
    components: int
    codes: int
    homogeneous: bool

    @nn.compact
    def __call__(self, switches: Array, moved: Array | float = 0.0) -> Array:
        """Turns the switches on; their code, float32 [batch, codes], is then moved by `moved`."""
        frames, bins = shuffle_sizes(self.shape, self.upscale)
        if self.codes:
            own = nn.Dense(self.codes, use_bias=False, kernel_init=nn.initializers.normal(1.0), name=_CODES)
            switches = (own(switches) + moved) / np.sqrt(self.codes)
        # Sliders such as a filter's brightness are not gains: 0 is a setting, not silence, so they come with biases.
        bias = not self.homogeneous
        energy = self.head == "energy"
        # Codes are small numbers times a large constant, because Adam moves every parameter by about the learning rate
        # whatever its scale: this way a song is learnt in hundreds of steps and not in tens of thousands.
        std, gain = (0.03, 1000.0) if energy else (0.1, 10.0)
        codes = nn.Dense(frames * bins * self.width, use_bias=bias, kernel_init=nn.initializers.normal(std))
        x = gain * codes(switches).reshape(-1, frames, bins, self.width)  # [batch, frames/r, bins/r, width]
        for _ in range(self.depth):
            x = Residual(use_bias=bias)(x)
        if not energy:
            return SubPixelConv(1, self.upscale)(x)[..., 0]  # [batch, frames, bins]
        amplitudes = SubPixelConv(self.components, self.upscale, use_bias=bias)(x)  # [batch, frames, bins, components]
        direction = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + EPSILON)
        gate = jnp.exp(2 * SubPixelConv(1, self.upscale)(direction))  # [batch, frames, bins, 1]
        energies = jnp.sum(jnp.square(gate * amplitudes), axis=-1)
        # Features are decibels scaled by their range: -1 is the floor, and `slope` the features per factor e in energy.
        slope = jnp.exp(self.param("log_slope", nn.initializers.constant(-2.2), ()))
        return slope * jnp.log1p(energies) - 1


@dataclasses.dataclass(frozen=True)
class SwitchDecoder:
    """Pixel-shuffle decoder from switches or sliders to one spectrogram (system 000)."""

    upscale: int = 4
    """Pixel-shuffle factor r; divides the frames and the bins of the features."""
    width: int = 64
    """Channels at the low resolution."""
    depth: int = 1
    """Residual blocks at the low resolution."""
    head: Literal["energy", "decibel"] = "energy"
    """The last layer: summed squares of amplitudes, in which sounds superpose, or decibels directly."""
    components: int = 2
    """Amplitudes summed at each point by the energy head."""
    codes: int = 0
    """Numbers of a learnt code of each switch, whose principal axes are sliders; 0 has none."""
    sliders: int = 8
    """Axes of the codes that can be turned."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        least_of = {"upscale": 1, "width": 1, "depth": 0, "components": 1, "codes": 0, "sliders": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"model.{name}: expected at least {least}, got {getattr(self, name)}")

    def _decoder(self, spec: Spec) -> Decoder:
        sizes = {name: getattr(self, name) for name in ("upscale", "width", "depth", "head", "components", "codes")}
        gains = all(isinstance(label, controls.Switch) for label in spec.labels)
        return Decoder(shape=spec.shape, homogeneous=gains and self.head == "energy", **sizes)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the data has no labels to switch or the features are not 2-D."""
        if not spec.labels:
            raise ValueError("model: SwitchDecoder needs data with labels (Mixtures, Tones); this data has none")
        if len(spec.shape) != 2:
            raise ValueError(
                f"model: SwitchDecoder makes [frames, bins], such as LogMel's; the features are {spec.shape}"
            )
        if self.codes:
            if not all(isinstance(label, controls.Switch) for label in spec.labels):
                raise ValueError("model.codes: only switches have codes; this data has other labels too")
            taken = {knob.name for knob in self.controls(spec)[len(spec.labels) :]} & {own.name for own in spec.labels}
            if taken:
                raise ValueError(f"model.codes: a switch is named like one of its sliders: {', '.join(sorted(taken))}")
        inputs = _inputs(spec, jnp.zeros((1, len(spec.labels))))
        variables = {"params": self._decoder(spec).init(rng, inputs)["params"]}
        if self.codes:
            variables["memory"] = {"axes": _axes(variables["params"], self._axes(spec))}
        return {"decoder": variables}

    def _axes(self, spec: Spec) -> int:
        """How many axes the codes have, at most `sliders`."""
        return min(self.sliders, self.codes, len(spec.labels) - 1)

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the L1 distance of log-mel features."""
        return {"decoder": functools.partial(self._loss, self._decoder(spec), spec)}

    def _loss(
        self, decoder: Decoder, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool
    ) -> LossOutput:
        own = variables["decoder"]
        rebuilt = decoder.apply({"params": own["params"]}, _inputs(spec, batch["labels"]))
        value = losses.l1(rebuilt, batch["features"])
        updates = {}
        if train and self.codes:  # so that a slider does not turn round between checkpoints
            updates = {"memory": {"axes": _axes(own["params"], self._axes(spec), like=own["memory"]["axes"])}}
        return LossOutput(value, {"l1": value}, updates)

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The switches, named after the songs, or the sliders of the data; then the codes' mean and axes."""
        if not self.codes:
            return spec.labels
        mean = controls.Slider("mean", 0.0, 1.0, 0.0, help="the mean of all codes, beside the switches that are on")
        return (*spec.labels, mean, *controls.axis_sliders(self._axes(spec), "codes"))

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, frames, bins]; the same settings give the same spectrogram, so `rng` is not used."""
        own, moved = variables["decoder"], 0.0
        if self.codes:
            count = self._axes(spec)
            mean = jnp.mean(own["params"][_CODES]["kernel"], axis=0)
            moved = jnp.asarray(settings["mean"], jnp.float32)[:, None] * mean
            if count:
                axes = _axes(own["params"], count, like=own["memory"]["axes"])
                moved = moved + controls.turned_axes(settings, count) @ axes
        switches = _inputs(spec, controls.columns(spec.labels, settings))
        features: Any = self._decoder(spec).apply({"params": own["params"]}, switches, moved)
        return features


def _axes(params: Any, count: int, like: Array | None = None) -> Array:
    """The first principal axes of the switches' codes, a standard deviation long: float32 [count, codes].

    An axis and its opposite say the same. The one that points as the most similar of `like` [count, codes] is given,
    whichever of them is the longer by now; at first that is the one whose largest entry is positive.
    """
    codes = jax.lax.stop_gradient(params[_CODES]["kernel"])  # [switches, codes]
    _, lengths, found = jnp.linalg.svd(codes - jnp.mean(codes, axis=0), full_matrices=False)
    found, lengths = found[:count], lengths[:count] / np.sqrt(len(codes))
    largest = jnp.take_along_axis(found, jnp.argmax(jnp.abs(found), axis=1)[:, None], axis=1)[:, 0]
    toward = largest
    if like is not None:
        along = found @ (like / (jnp.linalg.norm(like, axis=1, keepdims=True) + EPSILON)).T
        toward = jnp.take_along_axis(along, jnp.argmax(jnp.abs(along), axis=1)[:, None], axis=1)[:, 0]
    return found * jnp.where(toward < 0, -lengths, lengths)[:, None]


def _inputs(spec: Spec, columns: Array) -> Array:
    """Labels [batch, labels] as the decoder takes them, [batch, inputs].

    At another tempo or pitch every part is elsewhere, which no sum can say: each of their steps has the other inputs to
    itself (not those of the other, where there are both), and as many weights more.
    """
    stepped = [index for index, label in enumerate(spec.labels) if len(getattr(label, "steps", ()))]
    if not stepped:
        return controls.encode(spec.labels, columns)
    others = [index for index in range(len(spec.labels)) if index not in stepped]
    rest = jnp.concatenate(
        [
            jnp.ones((len(columns), 1)),
            controls.encode([spec.labels[i] for i in others], columns[:, np.array(others, int)]),
        ],
        axis=1,
    )
    steps = controls.encode([spec.labels[i] for i in stepped], columns[:, np.array(stepped)])
    return (steps[:, :, None] * rest[:, None, :]).reshape(len(columns), -1)
