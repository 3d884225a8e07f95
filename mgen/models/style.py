"""Style transfer by descent (system 004): a sound as one is, whose statistics in time are those of another.

    content, style, target [frames, bins] of decibels -> layers [positions, channels]
    loss = content_weight * how far the target's layers are from the content's, position by position
         + style_weight * how far the target's Gram matrices are from the style's, wherever things happen

The original took sums for Gram matrices, which grow with the length of a clip, and descended mel power, which has no
bound: its only saved run diverges (4.9e10 to 7.2e24). Here Gram matrices are means over positions and every loss is
relative to the size of what it is compared with, so that no weight depends on length, level or layer; what is descended
is decibels, and an update that is not finite is refused.

Besides those of a network there are four layers that nothing was trained for:

    bands    the decibels themselves, a channel a band: which bands sound how loud, and together
    detail   what is left of them when their mean over neighbouring bands is taken away: partials and hits, not colour
    timbre   their first cepstral coefficients (MFCC), which are colour and not pitch
    texture  a convolution of random weights over a tenth of a second and all bands: what follows what

Reference: Gatys, Ecker & Bethge, "Image style transfer using convolutional neural networks", CVPR 2016; Ulyanov &
  Lebedev, "Audio texture synthesis and style transfer", 2016 (random weights, bands as channels); Grinstein et al.,
  "Audio style transfer", ICASSP 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import EPSILON

Array = jax.Array
#: From one clip, float32 [frames, bins], to its layers by name, each [..., channels].
Layers = Callable[[Array], Mapping[str, Array]]

#: Layers that nothing was trained for, see above.
FIXED = ("bands", "detail", "timbre", "texture")
STARTS = ("content", "style", "random", "zeros")

_CEPSTRAL = 20  # coefficients of `timbre`
_NEIGHBOURS = 1 / 10  # of all bands, whose mean `detail` takes away
_REACH, _FILTERS = 9, 192  # frames and channels of `texture`
_B1, _B2, _SMALL = 0.9, 0.999, 1e-8  # of Adam


class Transferred(NamedTuple):
    """What `transfer` made of one pair."""

    features: Array  # float32 [frames, bins]
    before: Array  # float32: the loss at the start
    after: Array  # float32: the loss at the end


def cosine_basis(bins: int, count: int) -> np.ndarray:
    """The first `count` vectors of the orthonormal DCT-II, float32 [bins, count]: decibels times it are MFCCs."""
    angle = np.pi / bins * (np.arange(bins) + 0.5)[:, None] * np.arange(count)
    basis = np.sqrt(2 / bins) * np.cos(angle)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)


def fixed_layers(features: Array) -> dict[str, Array]:
    """The layers of `FIXED`: float32 [frames, bins] from -1 to 1, to [frames, channels] each.

    Linear but for `texture`, so that every gradient is a true one.
    """
    bins = features.shape[-1]
    levels = (features + 1) / 2
    width = max(3, round(bins * _NEIGHBOURS) | 1)
    near = jnp.pad(levels, ((0, 0), (width // 2, width // 2)), mode="edge")
    sums = jnp.cumsum(jnp.pad(near, ((0, 0), (1, 0))), axis=-1)
    smooth = (sums[:, width:] - sums[:, :-width]) / width
    timbre = jnp.matmul(levels, cosine_basis(bins, min(_CEPSTRAL, bins)), precision=lax.Precision.HIGHEST)
    kernel = np.random.default_rng(0).normal(size=(_REACH, bins, _FILTERS)).astype(np.float32)
    kernel = kernel / np.sqrt(_REACH * bins)
    heard = lax.conv_general_dilated(levels[None], kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))[0]
    return {"bands": levels, "detail": levels - smooth, "timbre": timbre, "texture": jnp.maximum(heard, 0)}


def gram(layer: Array) -> Array:
    """Mean over positions of the products of channels: float32 [..., channels] to [channels, channels].

    It does not depend on how long a clip is.
    """
    flat = layer.reshape(-1, layer.shape[-1])
    return jnp.matmul(flat.T, flat, precision=lax.Precision.HIGHEST) / len(flat)


def content_loss(own: Array, content: Array) -> Array:
    """Mean square difference of two layers of one shape, relative to the variance of the content's; a scalar."""
    spread = jnp.mean(jnp.square(content - jnp.mean(content)))
    return jnp.mean(jnp.square(own - content)) / (spread + EPSILON)


def style_loss(own: Array, wanted: Array) -> Array:
    """Square distance of the Gram matrix of a layer, [..., channels], to a wanted one, relative to that; a scalar."""
    return jnp.sum(jnp.square(gram(own) - wanted)) / (jnp.sum(jnp.square(wanted)) + EPSILON)


def whole(features: Array) -> Array:
    """A clip that was filled up with silence, float32 [frames, bins], repeated instead: silence is nobody's style."""
    heard = jnp.any(features > -1 + 1e-3, axis=-1)
    frames = len(features)
    length = jnp.max(jnp.where(heard, jnp.arange(frames) + 1, 0))
    return features[jnp.arange(frames) % jnp.where(length > 0, length, frames)]


def transfer(
    layers: Layers,
    content: Array,
    wanted: Mapping[str, Array],
    start: Array,
    *,
    content_weights: Mapping[str, Array],
    style_weights: Mapping[str, Array],
    content_weight: Array,
    style_weight: Array,
    iterations: Array,
    rate: Array,
) -> Transferred:
    """Descends the loss by Adam, whose rate falls to nothing as half a cosine.

    Args:
      layers: of a clip.
      content: float32 [frames, bins], -1 to 1.
      wanted: Gram matrix of each layer of `style_weights`, of the style or a mean of several.
      start: float32 [frames, bins].
      content_weights: of layers, scalars; only their proportion counts.
      style_weights: the same of the style.
      content_weight: of all of the content.
      style_weight: of all of the style.
      iterations: whole number, 0 or more, which may be traced.
      rate: features that the first steps move by, at most.

    Returns:
      `Transferred`, whose features are -1 or more. Where a gradient is not finite nothing moves.

    Reference: that of this file; Kingma & Ba, "Adam", ICLR 2015.
    """
    kept = {name: lax.stop_gradient(layer) for name, layer in layers(content).items() if name in content_weights}

    def loss(target: Array) -> Array:
        own = layers(target)
        near = sum(content_weights[name] * content_loss(own[name], kept[name]) for name in content_weights)
        like = sum(style_weights[name] * style_loss(own[name], wanted[name]) for name in style_weights)
        totals = [jnp.maximum(sum(weights.values()), EPSILON) for weights in (content_weights, style_weights)]
        return content_weight * near / totals[0] + style_weight * like / totals[1]

    def step(number: Array, carried: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        target, mean, square = carried
        slope = jax.grad(loss)(target)
        fine = jnp.all(jnp.isfinite(slope))
        slope = jnp.where(fine, slope, 0)
        mean, square = _B1 * mean + (1 - _B1) * slope, _B2 * square + (1 - _B2) * jnp.square(slope)
        done = number + 1
        even = (mean / (1 - _B1**done)) / (jnp.sqrt(square / (1 - _B2**done)) + _SMALL)
        now = rate * 0.5 * (1 + jnp.cos(jnp.pi * number / iterations))
        return jnp.where(fine, jnp.clip(target - now * even, -1, 1.5), target), mean, square

    nothing = jnp.zeros_like(start)
    target, _, _ = lax.fori_loop(0, iterations, step, (start, nothing, nothing))
    return Transferred(target, loss(start), loss(target))
