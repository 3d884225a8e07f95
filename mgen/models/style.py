"""Style transfer by descent (system 004): a sound that has the notes and hits of one, with the statistics of another.

    content, style, target [frames, bins] of decibels -> layers [positions, channels]
    loss = content_weight * how far the target's layers are from the content's, position by position
         + style_weight * how far the target's means and Gram matrices are from the style's, wherever things happen

The original took sums for Gram matrices, which grow with the length of a clip, and descended mel power, which has no
bound: its only saved run diverges (4.9e10 to 7.2e24). Here they are means over positions, and every loss is a share of
how far content and style are apart, so that no weight depends on length, level or layer. What is descended is decibels,
within the range that the style has; an update that is not finite is refused.

Besides those of a network there are five layers that nothing was trained for:

    bands    the decibels themselves, a channel a band: which bands sound how loud, and together
    detail   what is left of them without their mean over neighbouring bands: partials and hits, whatever the colour
    partials the same of a scale between decibels and amplitude, on which what is loud counts more
    timbre   their first cepstral coefficients (MFCC), which are colour and not pitch
    texture  a convolution of random weights over a tenth of a second and all bands: what follows what

The timbre alone can be moved without any descent (`transport`): each frame keeps its detail, and its cepstral
coefficients go by the one affine map that takes the content's mean and covariance to the style's and moves them least.
It is where a descent begins by default, and with no iterations all that is done.

Reference: Gatys, Ecker & Bethge, "Image style transfer using convolutional neural networks", CVPR 2016; Ulyanov &
  Lebedev, "Audio texture synthesis and style transfer", 2016 (random weights, bands as channels); Grinstein et al.,
  "Audio style transfer", ICASSP 2018; Lu et al., "A closed-form solution to universal style transfer", ICCV 2019 (the
  map, of a network's layers).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from mgen.arrays import EPSILON

Array = jax.Array
#: From one clip, float32 [frames, bins], to its layers by name, each [..., channels].
Layers = Callable[[Array], Mapping[str, Array]]

#: Layers that nothing was trained for, see above; all but the last cost next to nothing.
FIXED = ("bands", "detail", "partials", "timbre", "texture")
CHEAP = FIXED[:-1]
STARTS = ("transport", "content", "style", "random", "zeros")

_CEPSTRAL = 20  # coefficients of `timbre`
_NEIGHBOURS = 1 / 10  # of all bands, whose mean `detail` and `partials` take away
_LOUD = 2.0  # `partials` are exp(2 * features): by a factor e in 20 of 80 dB
_LEAST = 0.01  # of the size of what is wanted: nearer to it the content is taken for the same
_REACH, _FILTERS = 9, 192  # frames and channels of `texture`
_RIDGE = 1e-3  # of the mean variance of both, added to that of each cepstral coefficient
_SILENT = 0.2  # above the floor, a tenth of the range: frames that are pale there are heard as a plateau of noise


#: Statistics of decibels are differences of much larger numbers.
_product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class Transferred(NamedTuple):
    """What `transfer` made of one pair."""

    features: Array  # float32 [frames, bins]
    before: Array  # float32: the loss at the start
    after: Array  # float32: the loss at the end, before what is hardly above the floor is silenced


def cosine_basis(bins: int, count: int) -> np.ndarray:
    """The first `count` vectors of the orthonormal DCT-II, float32 [bins, count]: decibels times it are MFCCs."""
    angle = np.pi / bins * (np.arange(bins) + 0.5)[:, None] * np.arange(count)
    basis = np.sqrt(2 / bins) * np.cos(angle)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)


def fixed_layers(features: Array, *, texture: bool = True) -> dict[str, Array]:
    """The layers of `FIXED`, or of `CHEAP`: float32 [frames, bins] from -1 to 1, to [frames, channels] each.

    All are smooth or linear pieces of the features, so that every gradient is a true one.
    """
    bins = features.shape[-1]
    levels = (features + 1) / 2
    width = max(3, round(bins * _NEIGHBOURS) | 1)

    def without_neighbours(values: Array) -> Array:
        near = jnp.pad(values, ((0, 0), (width // 2, width // 2)), mode="edge")
        sums = jnp.cumsum(jnp.pad(near, ((0, 0), (1, 0))), axis=-1)
        return values - (sums[:, width:] - sums[:, :-width]) / width

    timbre = _product(levels, cosine_basis(bins, min(_CEPSTRAL, bins)))
    detail, partials = without_neighbours(levels), without_neighbours(jnp.exp(_LOUD * features))
    layers = {"bands": levels, "detail": detail, "partials": partials, "timbre": timbre}
    if texture:
        kernel = np.random.default_rng(0).normal(size=(_REACH, bins, _FILTERS)).astype(np.float32)
        kernel = kernel / np.sqrt(_REACH * bins)
        names = ("NWC", "WIO", "NWC")
        heard = lax.conv_general_dilated(levels[None], kernel, (1,), "SAME", dimension_numbers=names)[0]
        layers["texture"] = jnp.maximum(heard, 0)
    return layers


class Statistics(NamedTuple):
    """What a style is to a layer: the mean over positions, and the Gram matrix of what is left without it."""

    mean: Array  # float32 [channels]
    gram: Array  # float32 [channels, channels]


def statistics(layer: Array) -> Statistics:
    """Of a layer, float32 [..., channels]: means over positions of channels, and of their products around those.

    They do not depend on how long a clip is. Products of what is not centred, as the original had them, say hardly
    anything of channels that are quiet.
    """
    flat = layer.reshape(-1, layer.shape[-1])
    mean = jnp.mean(flat, axis=0)
    around = flat - mean
    return Statistics(mean, _product(around.T, around) / len(flat))


def transport(content: Array, wanted: Statistics) -> Array:
    """The content with the timbre of the style: frames keep their detail, and their cepstral coefficients are moved.

    Of all maps that give Gaussians of the content's mean and covariance those of the style it is the one that moves
    them least.

    Args:
      content: float32 [frames, bins].
      wanted: statistics of the style's layer "timbre".

    Returns:
      float32 [frames, bins], not clipped.

    Reference: Olkin & Pukelsheim, "The distance between two random vectors with given dispersion matrices", Linear
      Algebra Appl. 48, 1982; Lu et al., ICCV 2019.
    """
    basis = cosine_basis(content.shape[-1], len(wanted.mean))
    timbre = _product((content + 1) / 2, basis)
    own = statistics(timbre)
    count = len(own.mean)
    # One ridge for both, so that what hardly moves in the content is not stretched without limit.
    ridge = (_RIDGE * (jnp.trace(own.gram) + jnp.trace(wanted.gram)) / (2 * count) + EPSILON) * jnp.eye(count)
    ours, theirs = own.gram + ridge, wanted.gram + ridge
    root, inverse = _root(ours)
    between = _product(_product(inverse, _root(_product(_product(root, theirs), root))[0]), inverse)
    moved = wanted.mean + _product(timbre - own.mean, between)
    return content + 2 * _product(moved - timbre, basis.T)


def _root(symmetric: Array) -> tuple[Array, Array]:
    """The root of a symmetric matrix without negative values, and its inverse."""
    values, vectors = jnp.linalg.eigh((symmetric + symmetric.T) / 2)
    roots = jnp.sqrt(jnp.maximum(values, EPSILON))
    return _product(vectors * roots, vectors.T), _product(vectors / roots, vectors.T)


def beginnings(rng: Array, content: Array, own: Array, wanted: Statistics, ceiling: Array) -> Array:
    """What a descent may begin from, in the order of `STARTS`, float32 [starts, frames, bins].

    Args:
      rng: of the random one.
      content: float32 [frames, bins].
      own: the style's features, float32 [frames, bins].
      wanted: statistics of the style's layer "timbre".
      ceiling: see `transfer`.
    """
    found = {
        "transport": jnp.clip(transport(content, wanted), -1, ceiling),
        "content": content,
        "style": own,
        "random": jnp.clip(0.3 * jax.random.normal(rng, content.shape) - 0.3, -1, 1),
        "zeros": jnp.full_like(content, -1.0),
    }
    return jnp.stack([found[name] for name in STARTS])


def content_loss(own: Array, content: Array) -> Array:
    """Mean square difference of two layers of one shape, relative to the variance of the content's; a scalar."""
    spread = jnp.mean(jnp.square(content - jnp.mean(content)))
    return jnp.mean(jnp.square(own - content)) / (spread + EPSILON)


def style_distances(own: Statistics, wanted: Statistics) -> Statistics:
    """Square distances of two means and of two Gram matrices; scalars."""
    return jax.tree.map(lambda a, b: jnp.sum(jnp.square(a - b)), own, wanted)


def style_loss(own: Statistics, wanted: Statistics, content: Statistics) -> Array:
    """How far the statistics of a layer are from those that are wanted: 1 where they are still those of the content.

    The mean of two shares, of means and of Gram matrices, each of which the content's own distance divides: the same
    for a drone, in which nothing moves, and for a crowd. Where content and style sound the same it stays small.
    """
    ours, whole = style_distances(own, wanted), style_distances(content, wanted)
    least = jax.tree.map(lambda value: _LEAST * jnp.sum(jnp.square(value)) + EPSILON, wanted)
    shares = jax.tree.map(lambda value, all, small: value / (all + small), ours, whole, least)
    return (shares.mean + shares.gram) / 2


def length(features: Array) -> Array:
    """How many frames of a clip, float32 [frames, bins], there are before the silence that it was filled up with."""
    heard = jnp.any(features > -1 + 1e-3, axis=-1)
    last = jnp.max(jnp.where(heard, jnp.arange(len(features)) + 1, 0))
    return jnp.where(last > 0, last, len(features))


def whole(features: Array, count: Array | None = None) -> Array:
    """A clip, float32 [frames, bins], of which the first `count` frames, or its `length`, are repeated.

    What a clip was filled up with is nobody's style. Silence in front and inside is a part of it.
    """
    return features[jnp.arange(len(features)) % (length(features) if count is None else count)]


def transfer(
    layers: Layers,
    content: Array,
    wanted: Mapping[str, Statistics],
    start: Array,
    ceiling: Array,
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
      wanted: statistics of each layer of `style_weights`, of the style or a mean of several.
      start: float32 [frames, bins].
      ceiling: scalar that no step goes above, the loudest that the style has. Statistics alone are met by a few points
        that are far too loud.
      content_weights: of layers, scalars; only their proportion counts.
      style_weights: the same of the style.
      content_weight: of all of the content.
      style_weight: of all of the style.
      iterations: whole number, 0 or more, which may be traced.
      rate: features that the first steps move by, at most.

    Returns:
      `Transferred`, whose features are -1 or more, and -1 wherever they are hardly above. Where a gradient is not
      finite nothing moves.

    Reference: that of this file; Kingma & Ba, "Adam", ICLR 2015.
    """
    kept = layers(content)
    before = jax.tree.map(statistics, {name: kept[name] for name in style_weights})

    def loss(target: Array) -> Array:
        own = layers(target)
        near = sum(content_weights[name] * content_loss(own[name], kept[name]) for name in content_weights)
        like = sum(
            style_weights[name] * style_loss(statistics(own[name]), wanted[name], before[name])
            for name in style_weights
        )
        totals = [jnp.maximum(sum(weights.values()), EPSILON) for weights in (content_weights, style_weights)]
        return content_weight * near / totals[0] + style_weight * like / totals[1]

    adam = optax.adam(lambda number: rate * 0.5 * (1 + jnp.cos(jnp.pi * number / iterations)))

    def step(_: Array, carried: tuple[Array, optax.OptState]) -> tuple[Array, optax.OptState]:
        target, state = carried
        slope = jax.grad(loss)(target)
        move, moved = adam.update(slope, state)
        new = jnp.clip(target + move, -1, ceiling), moved
        fine = jnp.all(jnp.isfinite(slope))
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, carried)

    target, _ = lax.fori_loop(0, iterations, step, (start, adam.init(start)))
    return Transferred(jnp.where(target < -1 + _SILENT, -1.0, target), loss(start), loss(target))
