"""System 004: which genre a clip is of, and by the same network the style of one sound on the music of another.

    features [batch, frames, bins], decibels -> what the network sees of them -> batch norm
      -> per block: convolution, relu, max pool -> batch norm -> dropout -> dense -> dense -> genres

With the sizes of configs/genre_original.py it is the published network, 62,670 numbers of which 62,604 are trained:

    input       431 x 384 x 1        conv1 430 x 383, pool 215 x 192      conv5 25 x 23, pool 13 x 12
    channels    32 everywhere        conv2 214 x 191, pool 107 x  96      conv6 12 x 11, pool  6 x  6
    kernels     2 x 2, no padding    conv3 106 x  95, pool  53 x  48      conv7  5 x  5, pool  5 x  5 (stride 1)
    pools       2 x 2, padded        conv4  52 x  47, pool  26 x  24      conv8  4 x  4, pool  4 x  4 (stride 1), 512

and with those of configs/genre_mfcc.py its twin of 49,422 (conv 3, 3, 2, 2, 2 on 431 x 40 MFCCs). The text says that
all pools have stride 2; then 32 numbers would be left and 31,950 in all. It saw magnitudes when it was trained, and
power when styles were transferred; here both see the same. configs/genre.py is a stronger one of our own: decibels,
padded convolutions with batch norm, means and maxima over time in place of places in it, and masks in training.

What it plays is a transfer (`mgen.models.style`): `content` in the style of `style`, two sounds that a person gives.

Reference: pranigopu, "Ambience to music neural style transfer", 2024; Ioffe & Szegedy, "Batch normalization", ICML
  2015; Park et al., "SpecAugment", Interspeech 2019 (masks).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from mgen import controls
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables
from mgen.layers import hide_stripes
from mgen.models import style

_FLOOR_DB = 80.0  # of the features, `floor_db`
_MASKED = 1 / 6  # of frames and of bins, which a mask takes at most
#: Default weights of layers; all others are 0.
_CONTENT = {"detail": 0.5, "partials": 1.0}
_STYLE = {"bands": 1.0, "timbre": 1.0}


class Body(nn.Module):
    """What a clip is to the network, layer by layer: [batch, frames, bins] to {"conv1": [batch, f, b, channels], ...}.

    The last entry, "out", is the last block's after its pool. `kernels`, `strides` and `widths` have an entry a block.
    """

    sees: str
    cepstral: int
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    padded: bool
    momentum: float

    @nn.compact
    def __call__(self, features: Array, *, train: bool) -> dict[str, Array]:
        """Every convolution after its relu, before its pool."""
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=self.momentum, epsilon=1e-3)
        if self.sees == "amplitude":
            features = 10 ** ((features - 1) * (_FLOOR_DB / 40)) * (features > -1)
        elif self.sees == "mfcc":
            features = jnp.matmul(features, style.cosine_basis(features.shape[-1], self.cepstral))
        x, layers = norm(name="norm")(features[..., None]), {}
        for number, (width, kernel, stride) in enumerate(zip(self.widths, self.kernels, self.strides, strict=True), 1):
            x = nn.Conv(
                width,
                (kernel, kernel),
                padding="SAME" if self.padded else "VALID",
                use_bias=not self.padded,
                kernel_init=nn.initializers.glorot_uniform(),
                name=f"conv{number}",
            )(x)
            if self.padded:
                x = norm(name=f"norm{number}")(x)
            x = layers[f"conv{number}"] = nn.relu(x)
            x = nn.max_pool(x, (2, 2), (stride, stride), padding="SAME")
        return layers | {"out": x}


class Head(nn.Module):
    """From the last block to how likely each genre is, before the softmax: [batch, f, b, width] to [batch, genres]."""

    genres: int
    hidden: int
    dropout: float
    over_time: bool
    momentum: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """All places, or mean and maximum over time of each bin."""
        dense = functools.partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())
        x = nn.BatchNorm(use_running_average=not train, momentum=self.momentum, epsilon=1e-3, name="norm")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if self.over_time:
            x = jnp.concatenate([jnp.mean(x, axis=1), jnp.max(x, axis=1)], axis=-1)
        x = nn.relu(dense(self.hidden, name="hidden")(x.reshape(len(x), -1)))
        return dense(self.genres, name="genres")(x)


@dataclasses.dataclass(frozen=True)
class Genre:
    """Classifier of a clip's genre (system 004), whose layers say what a style is."""

    any_length = True  # of a transfer; a genre is told from whole clips

    label: str = ""
    """Label of the data that is learnt, a choice of several; the first one that it has if not given."""
    sees: Literal["decibels", "amplitude", "mfcc"] = "decibels"
    """What the network is given of the features, which are decibels from -80 on."""
    cepstral: int = 40
    """Coefficients that it is given where it sees MFCCs."""
    widths: tuple[int, ...] = (16, 32, 64, 96, 96)
    """Channels of each block."""
    kernels: tuple[int, ...] = (3, 3, 3, 3, 3)
    """Frames and bins of each convolution."""
    strides: tuple[int, ...] = (2, 2, 2, 2, 2)
    """Of the pool of each block."""
    padded: bool = True
    """Whether convolutions keep sizes and have a batch norm; the original's do not, and have a bias."""
    over_time: bool = True
    """Whether the dense layers are given means and maxima over time and not every place in it."""
    hidden: int = 64
    """Channels of the dense layer before the last."""
    dropout: float = 0.3
    """Share of what the dense layers are given that is left out in training."""
    masks: int = 2
    """Stripes of frames, and of bins, that are hidden from each clip in training."""
    momentum: float = 0.9
    """Of the running means of the batch norms."""

    def __post_init__(self):
        """Refuses sizes of which no network can be made."""
        if not len(self.widths) == len(self.kernels) == len(self.strides) >= 1:
            sizes = (len(self.widths), len(self.kernels), len(self.strides))
            raise ValueError(f"model.widths, model.kernels, model.strides: expected one for each block, got {sizes}")
        for name in ("widths", "kernels", "strides"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"model.{name}: expected 1 or more of each block, got {getattr(self, name)}")
        for name, least in (("hidden", 1), ("cepstral", 1), ("masks", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"model.{name}: expected at least {least}, got {getattr(self, name)}")
        for name in ("dropout", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"model.{name}: expected 0 <= {name} < 1, got {getattr(self, name)}")
        if self.sees not in ("decibels", "amplitude", "mfcc"):
            raise ValueError(f"model.sees: expected decibels, amplitude or mfcc, got {self.sees}")

    def _genre(self, spec: Spec) -> tuple[int, controls.Choice]:
        """Which column of the labels is learnt, and what it is. Raises ValueError where there is none."""
        for column, label in enumerate(spec.labels):
            if isinstance(label, controls.Choice) and self.label in ("", label.name):
                return column, label
        choices = ", ".join(label.name for label in spec.labels if isinstance(label, controls.Choice)) or "none"
        raise ValueError(f"model.label={self.label}: the data has no such choice to learn; its choices: {choices}")

    def _networks(self, spec: Spec) -> tuple[Body, Head]:
        if len(spec.shape) != 2:
            raise ValueError(f"features: a genre is told from [frames, bins], got the shape {spec.shape}")
        body = Body(self.sees, self.cepstral, self.widths, self.kernels, self.strides, self.padded, self.momentum)
        genres = len(self._genre(spec)[1].options)
        return body, Head(genres, self.hidden, self.dropout, self.over_time, self.momentum)

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the data has no such label, or a clip is too small."""
        body, head = self._networks(spec)
        first, second = jax.random.split(rng)
        clip = jnp.zeros((1, *spec.shape))
        try:
            own = body.init(first, clip, train=False)
            out = jax.eval_shape(lambda: body.apply(own, clip, train=False)["out"])
        except (ValueError, TypeError, ZeroDivisionError) as error:  # a convolution of nothing
            raise ValueError(f"model.kernels: nothing is left of {spec.shape}: {error}") from error
        if not out.size:
            raise ValueError(f"model.kernels: nothing is left of {spec.shape} after {len(self.widths)} blocks")
        last = head.init(second, jnp.zeros(out.shape), train=False)
        return {"genre": {name: {"body": own[name], "head": last[name]} for name in ("params", "batch_stats")}}

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the cross-entropy."""
        return {"genre": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        column, _ = self._genre(spec)
        truth = jnp.asarray(batch["labels"][:, column], jnp.int32)
        logits, seen = self._logits(variables, rng, batch["features"], spec, train=train)
        entropy = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, truth))
        accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == truth)
        return LossOutput(entropy, {"accuracy": accuracy}, {"batch_stats": seen} if train else {})

    def _logits(
        self, variables: Variables, rng: Array, features: Array, spec: Spec, *, train: bool
    ) -> tuple[Array, dict]:
        """[batch, genres], and the batch statistics as they are after it."""
        own, parts = variables["genre"], {}
        body, head = self._networks(spec)
        hide, drop = jax.random.split(rng)
        x = features
        if train and self.masks:
            x = hide_stripes(x, hide, count=self.masks, share=_MASKED)
        for name, network in (("body", body), ("head", head)):
            given = {"params": own["params"][name], "batch_stats": own["batch_stats"][name]}
            rngs = {"dropout": drop}
            x, changed = network.apply(given, x, train=train, mutable=["batch_stats"], rngs=rngs)
            x = x["out"] if name == "body" else x
            parts[name] = changed.get("batch_stats", given["batch_stats"])
        return x, parts

    def classify(self, variables: Variables, features: Array, spec: Spec) -> Array:
        """How likely each genre is: float32 [batch, *spec.shape] to [batch, genres], which add up to 1."""
        return jax.nn.softmax(self._logits(variables, jax.random.key(0), features, spec, train=False)[0])

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """Two sounds, how they are weighed as a whole and by layers, and how the descent goes."""
        layers = (*style.FIXED, *(f"conv{number}" for number in range(1, len(self.widths) + 1)))
        aside = controls.AsideSlider
        weights = [
            aside(f"{of}_{name}", 0.0, 10.0, default.get(name, 0.0), help=f"weight of the layer for the {of}")
            for of, default in (("content", _CONTENT), ("style", _STYLE))
            for name in layers
        ]
        return (
            controls.Clip("content", "the music that is kept", needed=True),
            controls.Clip("style", "the sound whose style it takes", needed=True),
            controls.Clip("style_to", "a second style, towards which mix leads"),
            controls.Clip("begin", "an earlier result, which the descent goes on from", levelled=False),
            aside("mix", 0.0, 1.0, 0.0, help="how far from style to style_to, where that is given"),
            aside("content_weight", 0.0, 100.0, 1.0, help="of all that is kept"),
            aside("style_weight", 0.0, 100.0, 20.0, help="of all that is taken"),
            aside("iterations", 0.0, 5000.0, 100.0, help="steps of the descent", draft=10.0),
            aside("rate", 0.0, 1.0, 0.02, help="how far the first steps go, of 40 dB; 0.05 where start is another"),
            controls.AsideChoice("start", style.STARTS, help="what the descent begins from"),
            controls.seconds(),
            *weights,
        )

    def layers(self, variables: Variables, features: Array, spec: Spec, *, cheap: bool = False) -> dict[str, Array]:
        """Layers of one clip, float32 [frames, bins] of any length: `style.CHEAP`, or `style.FIXED` and "conv1", ..."""
        fixed = style.fixed_layers(features, texture=not cheap)
        if cheap:
            return fixed
        own = {name: parts["body"] for name, parts in variables["genre"].items()}
        found = self._networks(spec)[0].apply(own, features[None], train=False)
        return fixed | {name: layer[0] for name, layer in found.items() if name != "out"}

    def transfer(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> style.Transferred:
        """A pair for each value in the settings: features [count, *spec.shape], and losses [count]."""
        count, second = len(settings["iterations"]), settings.get("style_to")
        numbers = {
            name: jnp.asarray(values, jnp.float32)
            for name, values in settings.items()
            if not isinstance(values, controls.Clips)
        }
        numbers["mix"] = 0 * numbers["mix"] if second is None else jnp.where(second.given, numbers["mix"], 0)
        clips = [jnp.asarray(clip.features) for clip in (settings["content"], settings["style"], second) if clip]
        begun = {"begin": jax.tree.map(jnp.asarray, settings["begin"])} if settings.get("begin") else {}
        rngs = jax.random.split(rng, count)

        def run(cheap: bool) -> style.Transferred:
            layers = functools.partial(self.layers, variables, spec=spec, cheap=cheap)
            return jax.vmap(functools.partial(_pair, layers))(rngs, numbers | begun, *clips)

        # Nobody waits for a network that nothing is asked of.
        dear = [values for name, values in numbers.items() if name.endswith("texture") or "_conv" in name]
        return jax.lax.cond(sum(map(jnp.sum, dear)) > 0, lambda: run(False), lambda: run(True))

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, *spec.shape]: `content` in the style of `style`, which both must be given."""
        return self.transfer(variables, rng, settings, spec).features


def _pair(layers: style.Layers, rng: Array, own: dict[str, Any], content: Array, *others: Array) -> style.Transferred:
    """One transfer, by the numbers of one sound; the clips are float32 [frames, bins], one or two of them styles."""
    # Silence that the content was filled up with is no part of it: it is repeated instead, and cut afterwards.
    length, content = style.length(content), style.whole(content)
    styles = [style.whole(clip) for clip in others]
    found = [(jax.tree.map(style.statistics, dict(layers(clip))), jnp.max(clip), clip) for clip in styles]
    # Of two styles the means, by the share of the second.
    wanted, ceiling, clip = jax.tree.map(lambda a, b: a + own["mix"] * (b - a), found[0], found[-1])
    start = style.beginnings(rng, content, clip, wanted["timbre"], ceiling)[jnp.round(own["start"]).astype(int)]
    if "begin" in own:
        start = jnp.where(own["begin"].given, style.whole(own["begin"].features, length), start)
    made = style.transfer(
        layers,
        content,
        wanted,
        start,
        ceiling,
        content_weights={name: own[f"content_{name}"] for name in wanted},
        style_weights={name: own[f"style_{name}"] for name in wanted},
        iterations=jnp.round(own["iterations"]).astype(int),
        **{name: own[name] for name in ("content_weight", "style_weight", "rate")},
    )
    return made._replace(features=jnp.where(jnp.arange(len(content))[:, None] < length, made.features, -1.0))
