"""What a model remembers of latents of thousands of numbers, and draws new ones from.

All of their covariance has the square of as many numbers: to move it took as long as a training step. So latents are
seen along some random directions, in which `mgen.latents` keeps a mixture of Gaussians, and how all of their numbers go
with these is a sketch of the covariance. What is drawn along the directions is then brought to the widest axes of all
latents: narrower ones are of too few clips to be known.

Reference: Tropp, Yurtsever, Udell & Cevher, "Fixed-rank approximation of a positive-semidefinite matrix from streaming
  data", NeurIPS 2017 (Nystrom's method).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mgen import latents

Array = jax.Array

_ROUNDING = 1e-6  # of the widest


def fresh(rng: Array, size: int, directions: int, components: int) -> latents.Memory:
    """A memory that has seen nothing.

    Args:
      rng: see `latents.fresh`.
      size: numbers of a latent.
      directions: that they are seen along, at most `size`; several times as many as axes are wanted.
      components: of the mixture.

    Returns:
      what `latents.fresh` gives, of latents along the directions; middle [size], the mean of the latents themselves;
      and sketch [size, directions], of their covariance.
    """
    along = latents.fresh(rng, directions, components)
    return along | {"middle": jnp.zeros(size), "sketch": _directions(size, directions)}


def fitted(memory: latents.Memory, rows: np.ndarray) -> latents.Memory:
    """The memory of many latents at once, float32 [clips, size]; of the one that is given only the sizes are kept."""
    middle = rows.mean(axis=0)
    along = rows @ np.asarray(_directions(*memory["sketch"].shape))
    sketch = (rows - middle).T @ (along - along.mean(axis=0)) / len(rows)
    own = latents.fitted(along, len(memory["share"]))
    return own | {"middle": jnp.asarray(middle), "sketch": jnp.asarray(sketch)}


def seen(memory: latents.Memory, rows: Array, *, clips: int) -> latents.Memory:
    """The memory after one more batch.

    Args:
      memory: of `fresh` or `fitted`.
      rows: latents, float32 [batch, size]; constant to differentiation.
      clips: how many of each device the memory is of in time; those before are forgotten.
    """
    rows = jax.lax.stop_gradient(rows)
    directions, decay = _directions(*memory["sketch"].shape), max(0.0, 1 - len(rows) / clips)
    along = {name: value for name, value in memory.items() if name not in ("middle", "sketch")}
    rate = latents.rate(memory, decay)
    mean = jnp.mean(rows, axis=0)
    # Of batches apart and between them, as Chan, Golub & LeVeque, 1983: nothing large is taken from anything large.
    apart, between = rows - mean, mean - memory["middle"]
    sketch = apart.T @ (apart @ directions) / len(rows) + (1 - rate) * jnp.outer(between, between @ directions)
    return latents.seen(along, rows @ directions, decay=decay, hard=True) | {
        "middle": memory["middle"] + rate * between,
        "sketch": memory["sketch"] + rate * (sketch - memory["sketch"]),
    }


def draw(memory: latents.Memory, rng: Array, count: int, wanted: int) -> Array:
    """How far `count` draws are from the middle, along the `wanted` widest axes: float32 [count, size]."""
    found, to_axes = axes(memory, wanted)
    return (latents.draw(memory, rng, count) - memory["mean"]) @ to_axes @ found


def axes(memory: latents.Memory, count: int) -> tuple[Array, Array]:
    """The widest axes of all latents.

    Returns:
      the axes, each a standard deviation long, float32 [count, size], or fewer; and what gives coordinates on them of
      what is along the directions, float32 [directions, count].
    """
    sketch = memory["sketch"]
    core = _directions(*sketch.shape).T @ sketch
    values, vectors = jnp.linalg.eigh((core + core.T) / 2)
    # What rounding alone has left has no axis.
    kept = values > _ROUNDING * jnp.max(values).clip(1e-20)
    white = vectors * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, values, 1)), 0)
    root = sketch @ white  # root @ root.T: the covariance
    _, mixed = jnp.linalg.eigh(root.T @ root)  # ascending
    mixed = mixed[:, ::-1][:, :count]
    return (root @ mixed).T, white @ mixed


def _directions(size: int, count: int) -> Array:
    """Random directions, the same ones always: float32 [size, count]."""
    return jax.random.normal(jax.random.key(0), (size, count)) / np.sqrt(size)
