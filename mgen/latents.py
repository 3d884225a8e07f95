"""What a model remembers of the latents it has seen: their mean, their axes, and a mixture of Gaussians to draw from.

All of it is learnt while the model is trained, one batch at a time, and carried with its variables.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from scipy.cluster.vq import kmeans2

from mgen.arrays import EPSILON

Array = jax.Array
#: What is carried: see `fresh`.
Memory = dict[str, Any]

_RIDGE = 1e-3  # of the mean variance, added to every axis of every component
_LEAST = 1e-4  # share of a component


def fresh(rng: Array, latent: int, components: int) -> Memory:
    """A memory that has seen nothing.

    Returns:
      step; count, how many latents the statistics are of; mean [latent] and covariance [latent, latent] of all; and the
      sufficient statistics of the mixture, each per latent: share [components], sums [components, latent], products
      [components, latent, latent].
    """
    places = jax.random.normal(rng, (components, latent))
    share = jnp.full(components, 1 / components)
    products = places[:, :, None] * places[:, None, :] + jnp.eye(latent)
    return {
        "step": jnp.zeros(()),  # a float, so that it may be averaged over devices like the rest
        "count": jnp.zeros(()),
        "mean": jnp.zeros(latent),
        "covariance": jnp.eye(latent),
        "share": share,
        "sums": share[:, None] * places,
        "products": share[:, None, None] * products,
    }


def fitted(latents: np.ndarray, components: int) -> Memory:
    """A memory of many latents at once, float32 [clips, latent]: each component of those nearest to one mean.

    It has seen them one by one: of the next batch it takes as much as `seen` does in time, or one over the clips. For
    models that learn from so few clips at once that the first batch would tell no components apart.

    Reference: Arthur & Vassilvitskii, "k-means++", SODA 2007 (where the means begin).
    """
    count, latent = latents.shape
    # Of fewer different latents than components some have none, and a share of 0.
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        _, nearest = kmeans2(latents.astype(np.float64), components, minit="++", rng=np.random.default_rng(0))
    share = np.eye(components, dtype=np.float32)[nearest]
    mean = latents.mean(axis=0)
    found = {
        "step": np.float32(count),
        "count": np.float32(count),
        "mean": mean,
        "covariance": (latents - mean).T @ (latents - mean) / count,
        "share": share.mean(axis=0),
        "sums": share.T @ latents / count,
        "products": np.einsum("bk,bi,bj->kij", share, latents, latents, optimize=True) / count,
    }
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def rate(memory: Memory, decay: float) -> Array:
    """How much of the memory the next batch replaces: all of a fresh one, in time 1 - `decay`."""
    return jnp.maximum(1 - decay, 1 / (1 + memory["step"]))


def seen(memory: Memory, latents: Array, *, decay: float = 0.99, hard: bool = False) -> Memory:
    """The memory after one more batch, by one step of stepwise expectation maximisation.

    Args:
      memory: of `fresh`.
      latents: float32 [batch, latent]; constant to differentiation.
      decay: what is kept of the old statistics; it warms up, and so the first batch replaces what was guessed.
      hard: whether a latent is of the component with the nearest mean alone. No matrix is factored then: of many
        dimensions that is slow, and on several CPU devices it has hung beside transforms of frames.

    Reference: Cappe & Moulines, "On-line expectation-maximization algorithm for latent data models", JRSS B 71, 2009.
    """
    latents = lax.stop_gradient(latents)
    part = rate(memory, decay)
    mean = jnp.mean(latents, axis=0)
    # About the old mean: the spread between batches belongs to the covariance too.
    apart = latents - jnp.where(memory["step"] == 0, mean, memory["mean"])
    covariance = apart.T @ apart / len(latents)
    # At first no component lies where latents do: each then takes those nearest to one of the batch.
    components = len(memory["share"])
    chosen = latents[np.arange(components) % len(latents)]
    apart_from = jnp.sum(jnp.square(latents[:, None] - chosen), axis=-1)
    nearest = jax.nn.one_hot(jnp.argmin(apart_from, axis=1), components)
    if hard:
        means = memory["sums"] / jnp.maximum(memory["share"], _LEAST)[:, None]
        own = jax.nn.one_hot(jnp.argmin(jnp.sum(jnp.square(latents[:, None] - means), axis=-1), axis=1), components)
    else:
        own = responsibilities(memory, latents)
    share = jnp.where(memory["step"] == 0, nearest, own)  # [batch, components]
    statistics = {
        "mean": mean,
        "covariance": covariance,
        "share": jnp.mean(share, axis=0),
        "sums": share.T @ latents / len(latents),
        "products": jnp.einsum("bk,bi,bj->kij", share, latents, latents) / len(latents),
    }
    moved = {name: memory[name] + part * (value - memory[name]) for name, value in statistics.items()}
    count = (1 - part) * memory["count"] + len(latents)
    return {"step": memory["step"] + 1.0, "count": count, **moved}


def mixture(memory: Memory) -> tuple[Array, Array, Array]:
    """Shares [components], means [components, latent] and Cholesky factors of the covariances of the mixture."""
    share = jnp.maximum(memory["share"], _LEAST)
    means = memory["sums"] / share[:, None]
    latent = means.shape[1]
    own = memory["products"] / share[:, None, None] - means[:, :, None] * means[:, None, :]
    # A component of few latents knows little of its shape: it leans on the shape that all have within themselves.
    common = jnp.einsum("k,kij->ij", share, own)
    many = share * memory["count"]
    weight = (many / (many + latent))[:, None, None]
    ridge = _RIDGE * jnp.maximum(jnp.trace(memory["covariance"]) / latent, EPSILON) * jnp.eye(latent)
    roots = jnp.linalg.cholesky(weight * own + (1 - weight) * common + ridge)
    # Of rounding alone a shape may have no root: then it is round.
    usable = jnp.all(jnp.isfinite(roots), axis=(-2, -1), keepdims=True)
    return share / jnp.sum(share), means, jnp.where(usable, roots, jnp.sqrt(ridge))


def responsibilities(memory: Memory, latents: Array) -> Array:
    """How likely each latent is to be of each component: [batch, components], rows that sum to 1."""
    share, means, roots = mixture(memory)
    white = jax.vmap(functools.partial(solve_triangular, lower=True))(
        roots, jnp.moveaxis(latents[:, None] - means, 0, 2)
    )  # [components, latent, batch]
    deviations = jnp.sum(jnp.log(jnp.diagonal(roots, axis1=1, axis2=2)), axis=1)
    logs = jnp.log(share) - deviations - jnp.sum(jnp.square(white), axis=1).T / 2
    return jax.nn.softmax(logs, axis=-1)


def draw(memory: Memory, rng: Array, count: int) -> Array:
    """Latents of the mixture, float32 [count, latent]."""
    share, means, roots = mixture(memory)
    which, noise = jax.random.split(rng)
    chosen = jax.random.categorical(which, jnp.log(share), shape=(count,))
    normal = jax.random.normal(noise, (count, means.shape[1]))
    return means[chosen] + jnp.einsum("bij,bj->bi", roots[chosen], normal)


def axes(memory: Memory, count: int) -> Array:
    """The first principal axes of all latents, each a standard deviation long: float32 [count, latent].

    An axis and its opposite say the same: the one whose largest entry is positive is given, so that a slider does not
    turn round from one checkpoint to the next.
    """
    values, vectors = jnp.linalg.eigh(memory["covariance"])  # ascending
    found = vectors.T[::-1][:count]
    largest = jnp.take_along_axis(found, jnp.argmax(jnp.abs(found), axis=1)[:, None], axis=1)
    return found * jnp.sign(largest) * jnp.sqrt(jnp.maximum(values[::-1][:count], 0))[:, None]
