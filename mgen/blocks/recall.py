"""A memory of moments: what came after those that were like the present one.

    key and levels of each step -> moments (the key of a step, the levels of the next) -> levels after like moments

It is attention whose values are not learnt but heard, and so what a song did comes back as it was, also in a song that
no parameter ever saw. Training recalls the mean of all moments, weighed by how alike they are; what plays draws one and
follows it for a while, because the mean of two notes is neither.

Reference: Vaswani et al., "Attention is all you need", NeurIPS 2017; Graves, Wayne & Danihelka, "Neural Turing
  machines", 2014, arXiv:1410.5401 (content-based addressing); Olsson et al., "In-context learning and induction heads",
  2022, arXiv:2209.11895 (what came after the last time).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
#: See `nothing`.
Memory = dict[str, Any]

APART = 8
"""Steps that a moment lies back at least: the last ones are alike because they are the same."""
_FOLLOWED = 64.0  # steps for which a moment that was drawn is followed, in the mean
_NEVER = -1e9  # log of a weight


def nothing(count: int, moments: int, keys: int, values: int) -> Memory:
    """A memory of which no moment is known.

    Returns:
      keys [count, moments, keys], after [count, moments, values] and known [count, moments], how much a moment counts;
      last [count, keys] and begun [count], the key of the step before and whether there was sound by then; followed
      [count], the moment that is being followed, or less than 0.
    """
    return {
        "keys": jnp.zeros((count, moments, keys)),
        "after": jnp.zeros((count, moments, values)),
        "known": jnp.zeros((count, moments)),
        "last": jnp.zeros((count, keys)),
        "begun": jnp.zeros(count),
        "followed": jnp.full(count, -1.0),
    }


def recalled(
    memory: Memory, key: Array, heard: Array, sounding: Array, sharpness: Array, otherwise: Array
) -> tuple[Array, Memory]:
    """Levels that came after moments like each of some steps, and the memory with these added and the oldest forgotten.

    Args:
      memory: of `nothing`, or of the steps before.
      key: float32 [count, steps, keys], alike where moments are alike; only its direction counts.
      heard: float32 [count, steps, values], the levels at each step.
      sounding: bool [count, steps], whether there was sound by then: silence before it is no moment.
      sharpness: scalar; how much more a moment counts that is more alike.
      otherwise: float32 [count, steps, values], where there is no moment yet.

    Returns:
      float32 [count, steps, values], and the memory.
    """
    key = _directions(key)
    before = jnp.concatenate([memory["last"][:, None], key[:, :-1]], axis=1)
    sounding = sounding.astype(jnp.float32)
    begun = jnp.concatenate([memory["begun"][:, None], sounding[:, :-1]], axis=1)
    new = {"keys": before, "after": heard, "known": begun}
    every = {name: jnp.concatenate([memory[name], part], axis=1) for name, part in new.items()}
    steps, old = key.shape[1], memory["keys"].shape[1]
    moment, step = np.arange(old + steps)[None], np.arange(steps)[:, None]
    free = (moment >= step) & (moment <= old + step - APART)  # [steps, moments]
    allowed = (every["known"][:, None] > 0) & free
    likeness = jnp.where(allowed, sharpness * key @ every["keys"].transpose(0, 2, 1), _NEVER)
    weights = jnp.where(allowed, jax.nn.softmax(likeness), 0)
    levels = jnp.where(allowed.any(axis=-1, keepdims=True), weights @ every["after"], otherwise)
    kept = {name: part[:, -old:] for name, part in every.items()}
    return levels, {**memory, **kept, "last": key[:, -1], "begun": sounding[:, -1]}


def drawn(memory: Memory, key: Array, sharpness: Array, otherwise: Array, rng: Array) -> tuple[Array, Memory]:
    """Levels that came after one moment like the present one, or after the one that is being followed.

    Args:
      memory: to which nothing is added: what plays goes on recalling what it began with.
      key: float32 [count, keys].
      sharpness: as in `recalled`.
      otherwise: float32 [count, values], where no moment is known.
      rng: key of the draw.

    Returns:
      float32 [count, values], and the memory.
    """
    which, when = jax.random.split(rng)
    known = memory["known"] > 0
    likeness = sharpness * jnp.einsum("bk,bmk->bm", _directions(key), memory["keys"])
    likeness = jnp.where(known, likeness + jnp.log(jnp.maximum(memory["known"], 1e-9)), _NEVER)
    alike = jax.random.categorical(which, likeness)
    following = memory["followed"].astype(jnp.int32) + 1
    goes_on = jax.random.uniform(when, alike.shape) < 1 - 1 / _FOLLOWED
    goes_on &= (memory["followed"] >= 0) & (following < likeness.shape[1])
    goes_on &= jnp.take_along_axis(known, following[:, None] % likeness.shape[1], axis=1)[:, 0]
    place = jnp.where(goes_on, following, alike)
    levels = jnp.take_along_axis(memory["after"], place[:, None, None], axis=1)[:, 0]
    levels = jnp.where(known.any(axis=-1, keepdims=True), levels, otherwise)
    return levels, {**memory, "followed": place.astype(jnp.float32)}


def joined(first: Memory, second: Memory, mix: Array) -> Memory:
    """A memory of the moments of two, of which the second's count `mix` [count] and the first's the rest."""
    names = ("keys", "after", "known")
    both = {name: jnp.concatenate([first[name], second[name]], axis=1) for name in names}
    moments = first["known"].shape[1]
    shares = jnp.stack([1 - mix, mix], axis=1).repeat(moments, axis=1).at[:, moments].set(0)  # which follows no other
    return {**first, **both, "known": shares * both["known"]}


def _directions(key: Array) -> Array:
    return key / (jnp.linalg.norm(key, axis=-1, keepdims=True) + 1e-6)
