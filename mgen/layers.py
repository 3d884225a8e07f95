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


def sub_pixel_init(upscale: int, base: Callable | None = None) -> Callable:
    """Kernel initialiser under which a convolution and a pixel shuffle begin as a nearest-neighbour enlargement.

    All upscale**2 kernels that feed one cell start equal, so that no checkerboard is there to be unlearned.

    Reference: Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, arXiv:1707.02937.
    """
    base = base or nn.initializers.lecun_normal()

    def init(rng: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        *kernel, features = shape
        return jnp.tile(base(rng, (*kernel, features // upscale**2), dtype), upscale**2)

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


# Networks over time, whose channels are a frame's bins. A partial has its place in frequency and leaves it only with
# the pitch; its neighbours in frequency say little of it, and the bins an octave above much. So convolution runs over
# time alone, which also costs a tenth of one over both axes.

_KERNEL = (5,)


class FrameBlock(nn.Module):
    """x + conv(gelu(conv(norm(x)))) over time: [batch, frames, width] to the same shape."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Refines x."""
        width = x.shape[-1]
        branch = nn.gelu(nn.Conv(width, _KERNEL)(nn.LayerNorm()(x)))
        return x + nn.Conv(width, _KERNEL, kernel_init=nn.initializers.normal(1e-3))(branch)


class FrameEncoder(nn.Module):
    """Features to a vector: [batch, frames, bins(, parts)] to [batch, outputs]."""

    outputs: int
    width: int
    stages: int

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """Encodes features."""
        x = features.reshape(*features.shape[:2], -1)  # [batch, frames, bins * parts]
        x = nn.Dense(self.width)(x)  # [batch, frames, width]
        for _ in range(self.stages):
            x = FrameBlock()(nn.Conv(self.width, _KERNEL, strides=(2,))(x))  # [batch, frames / 2, width], ...
        x = nn.LayerNorm()(x).reshape(len(x), -1)  # [batch, frames / 2**stages * width]
        return nn.Dense(self.outputs)(x)


class FrameDecoder(nn.Module):
    """A vector to features: [batch, inputs] to [batch, *shape], shape [frames, bins(, parts)]."""

    shape: tuple[int, ...]
    width: int
    stages: int

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """Decodes vectors."""
        frames, points = self.shape[0], math.prod(self.shape[1:])
        least = frames // 2**self.stages
        x = nn.gelu(nn.Dense(4 * self.width)(inputs))  # [batch, 4 * width]
        x = nn.Dense(least * self.width)(x).reshape(-1, least, self.width)  # [batch, frames / 2**stages, width]
        for _ in range(self.stages):
            x = nn.Dense(2 * self.width)(FrameBlock()(x)).reshape(len(x), -1, self.width)  # twice the frames
        x = nn.LayerNorm()(FrameBlock()(x))  # [batch, frames, width]
        return nn.Dense(points)(x).reshape(-1, *self.shape)


def check_halvings(shape: tuple[int, ...], stages: int) -> None:
    """Refuses features that have no frames, or frames that cannot be halved so often. Raises ValueError."""
    if len(shape) < 2 or shape[0] % 2**stages:
        raise ValueError(
            f"model.stages: {stages} halvings need features of frames that divide by {2**stages}, such as LogStft's; "
            f"they are {shape}"
        )
