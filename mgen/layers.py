"""Blocks that more than one family uses. Linen modules; `[batch, frames, bins, channels]`."""

from __future__ import annotations

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def pixel_shuffle(x: Array, upscale: int) -> Array:
    """Moves channels into space: [batch, frames, bins, upscale**2 * c] to [batch, frames*upscale, bins*upscale, c].

    Channel (i * upscale + j) * c + k becomes channel k of the point i frames and j bins into its cell.

    Raises:
      ValueError: the channels are not a multiple of upscale**2.

    Reference: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", 2016, arXiv:1609.05158.
    """
    batch, frames, bins, channels = x.shape
    if channels % upscale**2:
        raise ValueError(f"channels: {channels} is not a multiple of upscale**2 = {upscale**2}")
    x = x.reshape(batch, frames, bins, upscale, upscale, channels // upscale**2)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, frames * upscale, bins * upscale, channels // upscale**2)


def sub_pixel_init(upscale: int, base: Callable | None = None, *, power: int = 2) -> Callable:
    """Kernel initialiser under which a convolution and a pixel shuffle begin as a nearest-neighbour enlargement.

    All upscale**power kernels that feed one cell start equal, so that no checkerboard is there to be unlearned; `power`
    is how many dimensions are enlarged.

    Reference: Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, arXiv:1707.02937.
    """
    base = base or nn.initializers.lecun_normal()

    def init(rng: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        *kernel, features = shape
        return jnp.tile(base(rng, (*kernel, features // upscale**power), dtype), upscale**power)

    return init


class SubPixelConv(nn.Module):
    """Convolution followed by a pixel shuffle: [batch, f, b, c] to [batch, f*upscale, b*upscale, features]."""

    features: int
    upscale: int
    kernel: tuple[int, int] = (3, 3)
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Enlarges x."""
        x = nn.Conv(
            self.features * self.upscale**2,
            self.kernel,
            use_bias=self.use_bias,
            kernel_init=sub_pixel_init(self.upscale),
        )(x)
        return pixel_shuffle(x, self.upscale)


def shuffle_sizes(shape: tuple[int, int], upscale: int) -> tuple[int, int]:
    """The grid (frames, bins) that a pixel shuffle by `upscale` enlarges to `shape`.

    Raises:
      ValueError: `upscale` does not divide both; the message lists the factors that do.
    """
    if upscale < 1 or any(size % upscale for size in shape):
        common = int(np.gcd(*shape))
        factors = [str(r) for r in range(1, common + 1) if common % r == 0]
        raise ValueError(
            f"model.upscale: {upscale} does not divide {shape[0]} frames and {shape[1]} bins; "
            f"use one of {', '.join(factors)}"
        )
    return shape[0] // upscale, shape[1] // upscale


class GatedBlock(nn.Module):
    """x + Dense(Dense(norm(x)) * sigmoid(Dense(norm(x)))): [batch, width] to the same shape; at first it adds little.

    Reference: Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017; Shazeer, "GLU variants
    improve Transformer", 2020, arXiv:2002.05202.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Refines x."""
        width = x.shape[-1]
        normed = nn.LayerNorm()(x)
        gated = nn.Dense(width)(normed) * nn.sigmoid(nn.Dense(width)(normed))
        return x + nn.Dense(width, kernel_init=nn.initializers.normal(0.01))(gated)


class Perceptron(nn.Module):
    """Gated blocks between two layers: [batch, inputs] to [batch, outputs], whose spread at first is `spread`."""

    outputs: int
    width: int
    depth: int
    spread: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps vectors."""
        x = nn.Dense(self.width)(x)  # [batch, width]
        for _ in range(self.depth):
            x = GatedBlock()(x)
        kernel = nn.initializers.normal(self.spread / math.sqrt(self.width))
        return nn.Dense(self.outputs, kernel_init=kernel)(nn.LayerNorm()(x))


def hide_stripes(features: Array, rng: Array, *, count: int, share: float) -> Array:
    """Clips, float32 [batch, frames, bins], of which `count` stripes of frames and of bins are at the clip's mean.

    Args:
      features: clips; each is given stripes of its own.
      rng: draws where they are, and how wide.
      count: of each kind.
      share: of the frames, or bins, that one stripe hides at most.

    Reference: Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """
    hidden = jnp.zeros(features.shape, bool)
    for number in range(count):
        for axis in (1, 2):
            keys = jax.random.split(jax.random.fold_in(rng, 2 * number + axis), 2)
            size, each = features.shape[axis], (len(features), 1)
            width = jax.random.uniform(keys[0], each) * share * size
            first = jax.random.uniform(keys[1], each) * (size - width)
            place = jnp.arange(size)
            hidden |= jnp.expand_dims((place >= first) & (place < first + width), 3 - axis)
    return jnp.where(hidden, jnp.mean(features, axis=(1, 2), keepdims=True), features)
