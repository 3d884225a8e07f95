"""From blocks to the density of each next one: networks that say what may come, and how what they know is carried on.

    blocks [batch, steps, values], state -> Mixture [batch, steps, values, components], state after the last block

Both heads of `mgen.models.block_lstm` are here.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mgen.blocks import recall, recurrence
from mgen.blocks.history import SILENCE, State, history, pooled, untold
from mgen.blocks.mixture import Mixture
from mgen.blocks.recurrence import Cell, Stack

Array = jax.Array

_DOUBT = 0.03  # share of a steady tone's power that is still left to chance
_LEAST = -6.0  # log of a scale: no density is so sure of a number that one click costs more than all music
_SPREAD = 3.0  # of levels, about
_KEY = 32  # numbers by which moments are told to be alike


class Outlook(nn.Module):
    """From blocks [batch, steps, values] to the density of each next one: a `Mixture` [batch, steps, values, ...]."""

    cell: Cell
    width: int
    depth: int
    bands: int
    moments: int
    components: int

    def silent(self, count: int, values: int) -> State:
        """The state before anything was read: of each layer, what each value did lately, and moments to recall."""
        state = {"layers": recurrence.silent(self.cell, self.width, self.depth, count), **untold(count, values)}
        return state | ({"recalled": recall.nothing(count, self.moments, _KEY, values)} if self.moments else {})

    @nn.compact
    def __call__(self, blocks: Array, state: State, rng: Array | None = None) -> tuple[Mixture, State]:
        """The densities, and the state after the last block, see `silent`.

        With a key it plays: what is recalled is one moment and what came after it, and no more is remembered.
        """
        batch, steps, values = blocks.shape
        before = state["weight"][:, 0]  # more than 0 after the first sound
        state, past = history(blocks, state)
        levels = past.levels / _SPREAD  # [batch, steps, memories, values]
        x = jnp.concatenate([levels[:, :, 0], levels[:, :, -1]], axis=-1)
        x = nn.Dense(self.width, name="into")(x)
        x, layers = Stack(self.cell, self.width, self.depth, name="layers")(x, state["layers"])
        state, candidates = {**state, "layers": layers}, past.levels
        if "recalled" in state:
            key = nn.Dense(_KEY, name="key")(jnp.concatenate([x, levels[:, :, 0], levels[:, :, 1]], axis=-1))
            sharpness = jnp.exp(self.param("sharpness", nn.initializers.constant(np.log(16.0)), ()))
            around = pooled(jnp.exp(2 * past.levels[:, :, 0]).reshape(-1, values), 1).reshape(batch, steps, values)
            heard = jnp.log(around + SILENCE) / 2
            slow, memory = past.levels[:, :, -1], state["recalled"]
            if rng is None:
                begun = jnp.any(blocks != 0, axis=-1) | (before[:, None] > 0)
                sounding = jax.lax.cummax(begun.astype(jnp.int32), axis=1) > 0
                found, memory = recall.recalled(memory, key, heard, sounding, sharpness, slow)
            else:
                found, memory = recall.drawn(memory, key[:, -1], sharpness, slow[:, -1], rng)
                found = found[:, None]
            state = {**state, "recalled": memory}
            candidates = jnp.concatenate([candidates, found[:, :, None]], axis=2)
        count = candidates.shape[2]
        near_zero = nn.initializers.normal(0.003)
        parts = count + 2 + 2 * self.components
        told = nn.Dense(self.bands * parts, kernel_init=near_zero, name="out")(x)
        told = told.reshape(batch, steps, parts, self.bands) @ _between(self.bands, values)
        told = told + self.param("own", nn.initializers.zeros, (parts, values))
        sizes = [count, 1, 1, *[1] * (2 * self.components)]
        share, certain, gain, *mixed = jnp.split(told, np.cumsum(sizes)[:-1], axis=2)
        playing = rng is not None and "recalled" in state
        known = count - playing  # as it plays a person says how far what is recalled is trusted
        level = jnp.sum(nn.softmax(share[:, :, :known], axis=2) * candidates[:, :, :known], axis=2)
        if playing:
            level = level + state["trust"][:, None, None] * (candidates[:, :, -1] - level)
        # What a tone that goes on leaves to chance is little: that much the density is narrower.
        rest = (0.5 + certain[:, :, 0]) * jnp.log(1 + _DOUBT - past.tonal)
        logits, offsets = (jnp.concatenate(part, axis=2) for part in (mixed[::2], mixed[1::2]))
        wide = np.linspace(-0.7, 0.7, self.components) if self.components > 1 else np.zeros(1)
        scales = (level + rest)[:, :, None] + wide[:, None].astype(np.float32) + offsets
        mean = nn.sigmoid(1 + gain) * past.tone[:, :, None]
        mixture = Mixture(logits, jnp.broadcast_to(mean, logits.shape), jnp.maximum(scales, _LEAST))
        return jax.tree.map(lambda part: part.transpose(0, 1, 3, 2), mixture), state  # components last


class Point(nn.Module):
    """From blocks [batch, steps, values] to the next ones, outright: the original's three layers."""

    cell: Cell
    width: int
    depth: int

    def silent(self, count: int, values: int) -> State:
        """The state before anything was read, of each layer."""
        return {"layers": recurrence.silent(self.cell, self.width, self.depth, count)}

    @nn.compact
    def __call__(self, blocks: Array, state: State, rng: Array | None = None) -> tuple[Mixture, State]:
        """The next blocks as means of densities of which nothing else is meant, and the state after the last one."""
        x = nn.Dense(self.width, name="into")(blocks)
        x, layers = Stack(self.cell, self.width, self.depth, name="layers")(x, state["layers"])
        mean = nn.Dense(blocks.shape[-1], name="out")(x)[..., None]
        mixture = Mixture(jnp.zeros_like(mean), mean, jnp.zeros_like(mean))
        return mixture, {"layers": layers}


@functools.lru_cache(maxsize=8)
def _between(bands: int, values: int) -> np.ndarray:
    """What makes a curve over the values of its heights at bands, in straight lines: float32 [bands, values]."""
    places = np.linspace(0, bands - 1, values)
    return (1 - np.abs(places - np.arange(bands)[:, None])).clip(0).astype(np.float32)
