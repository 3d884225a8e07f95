"""Mixtures of a few densities for every number by itself: how likely it is, what is expected, and a draw.

    logits, means, log_scales [..., components] and a value [...]

Reference: Bishop, "Mixture density networks", Aston University NCRG/94/004, 1994.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Kind = Literal["laplace", "normal"]


class Mixture(NamedTuple):
    """A density of each of many numbers."""

    logits: Array  # float32 [..., components], of the shares
    means: Array  # float32 [..., components]
    log_scales: Array  # float32 [..., components]: of a Laplace density its mean deviation, else its standard one


def log_density(mixture: Mixture, value: Array, kind: Kind) -> Array:
    """Natural logarithm of the density at a value: float32 [...]."""
    apart = (value[..., None] - mixture.means) * jnp.exp(-mixture.log_scales)
    normal = -jnp.square(apart) / 2 - math.log(2 * math.pi) / 2
    own = -jnp.abs(apart) - math.log(2) if kind == "laplace" else normal
    return jax.nn.logsumexp(jax.nn.log_softmax(mixture.logits) + own - mixture.log_scales, axis=-1)


def expected(mixture: Mixture) -> Array:
    """The mean: float32 [...]."""
    return jnp.sum(jax.nn.softmax(mixture.logits) * mixture.means, axis=-1)


def draw(mixture: Mixture, rng: Array, kind: Kind, temperature: Array | float = 1.0) -> Array:
    """A draw, float32 [...]: at temperature 1 from the density, at 0 the expected value, between them nearer to that.

    Args:
      mixture: of which one component is drawn for each number.
      rng: key.
      kind: of density.
      temperature: 0 or more, of a shape that broadcasts with the numbers.
    """
    which, how = jax.random.split(rng)
    chosen = jax.random.categorical(which, mixture.logits)[..., None]
    mean, log_scale = (jnp.take_along_axis(part, chosen, axis=-1)[..., 0] for part in mixture[1:])
    noise = (jax.random.laplace if kind == "laplace" else jax.random.normal)(how, mean.shape)
    middle = expected(mixture)
    return middle + temperature * (mean - middle + jnp.exp(log_scale) * noise)
