"""A rectified flow, whatever it is of: its network, the lines from noise that it learns, and how they are followed.

A point that goes in a straight line from noise to a clip has one velocity all the way; the network learns the mean of
it over all lines that pass through a point, and following that mean takes noise to new clips in a few steps. Where two
clips disagree the flow goes to either: their average is no answer.

The velocity that leads noise to a Gaussian is known in closed form, and so the network, which at first adds nothing to
it, learns what clips are beyond the Gaussian that they are told to have.

Reference: Liu, Gong & Liu, "Flow straight and fast: learning to generate and transfer data with rectified flow",
  ICLR 2023; Lipman et al., "Flow matching for generative modeling", ICLR 2023; Esser et al., "Scaling rectified flow
  transformers for high-resolution image synthesis", ICML 2024 (times that are drawn more often from the middle);
  Peebles & Xie, "Scalable diffusion models with transformers", ICCV 2023 (modulation); Ho & Salimans, "Classifier-free
  diffusion guidance", 2022, arXiv:2207.12598.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array

MOST_STEPS, MOST_GUIDANCE = 64.0, 6.0  # that a person may ask for
_FREQUENCIES = 64  # of the code of time
# Mean and spread of the logit of the times trained at: large components are decided early, and the ends are easy.
_TIMES = (-1.0, 1.5)
_SLOWER = 2  # power by which the first steps are shorter: what is large comes out of the noise at once


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
    """What a noisy clip is going to beyond its Gaussian: [batch, frames, bins, views] to [batch, frames, bins].

    Its tokens are `patch` frames with all their bins.
    """

    patch: int
    width: int
    depth: int
    heads: int

    @nn.compact
    def __call__(self, seen: Array, time: Array, conditions: Array, known: Array) -> Array:
        """At times [batch]; where `known` [batch] is 0 the conditions [batch, conditions] are not looked at.

        At first all is 0.
        """
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


class Gaussian(NamedTuple):
    """What clips are told to have in common, of mean 0 and of mean variance 1."""

    spread: Array
    """Standard deviations along its axes, float32 [axes]."""
    rest: Array
    """The standard deviation of all that is on none of them, float32 [1]."""
    mapped: Callable[[Array, Array, Array], Array]
    """(x, gains [batch, axes], others [batch, 1]) to x with each axis times its gain, and the rest times the others."""


def velocity(network: Callable[..., Array], gaussian: Gaussian, x: Array, time: Array, *told: Array) -> Array:
    """The mean of clip - noise where (1 - time) * noise + time * clip is x.

    Args:
      network: `Beyond`, with its parameters: (seen, time, *told) to what is beyond the Gaussian.
      gaussian: of the clips.
      x: float32 [batch, frames, bins].
      time: float32 [batch], 0 at noise and 1 at clips.
      *told: what else the network is told, conditions and whether they are known.

    Returns:
      float32 [batch, frames, bins].
    """
    part = time[:, None]

    def of_gaussian(gain: Callable[[Array], Array]) -> Array:
        """A linear map of x that the axes are the eigenvectors of, from variance to eigenvalue."""
        return gaussian.mapped(x, *(gain(jnp.square(spread)) for spread in gaussian[:2]))

    def variance(own: Array) -> Array:
        return jnp.square(part) * own + jnp.square(1 - part)

    known = of_gaussian(lambda own: (part * own - (1 - part)) / variance(own))
    without_noise = of_gaussian(lambda own: part * own / variance(own))
    scaled = x / jnp.sqrt(variance(jnp.ones(1)))[..., None]
    beyond = network(jnp.stack([scaled, without_noise], axis=-1), time, *told)
    return known + left(gaussian, time, x[0].size)[:, None, None] * beyond


def left(gaussian: Gaussian, time: Array, size: int) -> Array:
    """Root mean square of what a Gaussian of `size` numbers leaves unknown of the velocity at times [batch]."""
    part = time[:, None]

    def unknown(own: Array) -> Array:
        return own / (jnp.square(part) * own + jnp.square(1 - part))

    inside = jnp.sum(unknown(jnp.square(gaussian.spread)), axis=1)
    return jnp.sqrt((inside + (size - len(gaussian.spread)) * unknown(jnp.square(gaussian.rest))[:, 0]) / size)


def error(
    network: Callable[..., Array], gaussian: Gaussian, clips: Array, rng: Array, conditions: Array, *, untold: float
) -> Array:
    """How wrong the velocity is on lines from noise to clips: its squared error beside what the Gaussian leaves of it.

    Args:
      network: see `velocity`.
      gaussian: of the clips.
      clips: float32 [batch, frames, bins].
      rng: of times, noise, and of whose conditions are told.
      conditions: float32 [batch, conditions].
      untold: share of the clips whose conditions are not told, which guidance needs.

    Returns:
      A scalar, 1 for a network that knows no more than the Gaussian.
    """
    at, noisy, told = jax.random.split(rng, 3)
    time = nn.sigmoid(_TIMES[0] + _TIMES[1] * jax.random.normal(at, (len(clips),)))
    noise = jax.random.normal(noisy, clips.shape)
    known = (jax.random.uniform(told, (len(clips),)) >= untold).astype(jnp.float32)
    part = time[:, None, None]
    found = velocity(network, gaussian, (1 - part) * noise + part * clips, time, conditions, known)
    scale = left(gaussian, time, clips[0].size)[:, None, None]
    return jnp.mean(jnp.square((found - (clips - noise)) / scale))


def guided(
    network: Callable[..., Array], gaussian: Gaussian, conditions: Array, guidance: Array
) -> Callable[[Array, Array], Array]:
    """The velocity, led away from what it is without conditions.

    Args:
      network: see `velocity`.
      gaussian: of the clips.
      conditions: float32 [batch, conditions].
      guidance: how far past what it knows to be asked for each is led, float32 [batch]; at 1 throughout the network is
        looked at once, and else twice.

    Returns:
      A function of x, float32 [batch, frames, bins], and times [batch].
    """
    known = jnp.ones(len(conditions))

    def found(x: Array, time: Array) -> Array:
        told = velocity(network, gaussian, x, time, conditions, known)

        def led() -> Array:
            free = velocity(network, gaussian, x, time, conditions, 1 - known)
            return free + guidance[:, None, None] * (told - free)

        return jax.lax.cond(jnp.all(guidance == 1), lambda: told, led)

    return found


def follow(velocity_at: Callable[[Array, Array], Array], x: Array, steps: Array, start: Array) -> Array:
    """Where points come to that follow a velocity up to time 1, by the midpoint method.

    Args:
      velocity_at: of x at times [batch].
      x: float32 [batch, frames, bins].
      steps: whole numbers, float32 [batch], of each.
      start: times at which they begin, float32 [batch].

    Returns:
      float32 [batch, frames, bins].
    """
    steps, start = steps[:, None, None], start[:, None, None]

    def time_of(number: Array) -> Array:
        return start + (1 - start) * (number / steps) ** _SLOWER

    def step(number: Array, x: Array) -> Array:
        time = time_of(number)
        length = time_of(number + 1) - time
        middle = x + length / 2 * velocity_at(x, time[:, 0, 0])
        return jnp.where(number < steps, x + length * velocity_at(middle, (time + length / 2)[:, 0, 0]), x)

    return jax.lax.fori_loop(0, jnp.max(steps).astype(jnp.int32), step, x)
