"""What each number of a row of blocks did lately: how loud it was, and what it is next if it is part of a steady tone.

    blocks [batch, steps, values], state -> history -> levels, tone, tonal of each step, state after the last block

All numbers that are a linear function of a steady tone, taken at steady intervals, go on by one law,

    x[t + 1] = 2 cos(angle) x[t] - x[t - 1],

whatever the transform: of coefficients of `mgen.dsp.mdct` as of parts of a Fourier transform. So the two factors are
found from what a number and its neighbours did, by least squares over the last blocks, and nothing of it is learnt.

Reference: Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 63(4), 1975 (the covariance method).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
#: What is carried from block to block: see `untold`.
State = dict[str, Any]

MEMORIES = (2.0, 8.0, 32.0, 128.0)
"""Blocks over which the levels of a value are taken: e-folds of what is forgotten."""
SILENCE = 1e-6
"""Power that is added to each value's: 16 bits are about 1e-7 of music at -20 dB."""
_TONE, _NEAR = 16.0, 2  # blocks, and neighbours to each side, that a tone is looked for in
_PRODUCTS = 6  # of a block, the one before and the one before that, which are summed for the least squares
_RIDGE = 1.02  # of the least squares
_STEADY = 0.98  # radius that no pole lies outside of


def untold(count: int, values: int) -> State:
    """The state before anything was heard: the last two blocks, and of each value the sums of what it did."""
    sums = len(MEMORIES) + _PRODUCTS
    return {
        "last": jnp.zeros((count, values)),
        "before": jnp.zeros((count, values)),
        "sums": jnp.zeros((count, sums, values)),
        "weight": jnp.zeros((count, sums)),
    }


class History(NamedTuple):
    """What `history` found at each block."""

    levels: Array  # [batch, steps, memories, values]: logarithm of its root mean square lately
    tone: Array  # [batch, steps, values]: what it is next, if what it did lately is a tone that goes on
    tonal: Array  # [batch, steps, values]: share of its power that the same would have foretold lately, 0 to 1


def history(blocks: Array, state: State) -> tuple[State, History]:
    """Levels of each value up to each block, and its linear prediction from the last two.

    Silence before the first sound says nothing of the sound.

    Args:
      blocks: float32 [batch, steps, values].
      state: of `untold`, or of the block before the first; what else is in it stays as it is.

    Returns:
      The state after the last block, and what was found.
    """
    memories = jnp.array([*MEMORIES, *[_TONE] * _PRODUCTS])
    keep = jnp.exp(-1 / memories)[:, None]  # [memories + products, 1]

    def step(carry: tuple[Array, ...], block: Array) -> tuple[tuple[Array, ...], History]:
        one, two, sums, weight = carry
        square = jnp.square(block)
        products = (square, block * one, block * two, jnp.square(one), one * two, jnp.square(two))
        new = jnp.stack([square] * len(MEMORIES) + list(products), axis=1)
        begun = ((jnp.max(square, axis=-1) > 0) | (weight[:, 0] > 0))[:, None]
        sums = keep * sums + jnp.where(begun[..., None], new, 0)
        weight = keep[:, 0] * weight + begun
        means = sums / jnp.maximum(weight, 1)[..., None]
        levels = jnp.log(means[:, : len(MEMORIES)] + SILENCE) / 2
        of_now, of_one, of_two, one_one, one_two, two_two = (
            pooled(means[:, len(MEMORIES) + number]) for number in range(_PRODUCTS)
        )
        one_one, two_two = (_RIDGE * part + SILENCE for part in (one_one, two_two))
        determinant = one_one * two_two - jnp.square(one_two)
        first = (two_two * of_one - one_two * of_two) / determinant
        second = (one_one * of_two - one_two * of_one) / determinant
        # A tone that swelled lately does not swell for ever: no pole lies outside of a circle of radius `_STEADY`.
        radius = jnp.sqrt(jnp.maximum(-second, jnp.square(_STEADY)))
        first, second = first * _STEADY / radius, jnp.clip(second, -(_STEADY**2), _STEADY**2)
        first = jnp.clip(first, second - 1, 1 - second)
        tonal = jnp.clip((first * of_one + second * of_two) / (of_now + SILENCE), 0, 1)
        most = 3 * jnp.sqrt(of_now)  # the factors are of little where there was silence
        tone = jnp.clip(first * block + second * one, -most, most) * tonal
        return (block, one, sums, weight), History(levels, tone, tonal)

    carry = (state["last"], state["before"], state["sums"], state["weight"])
    carry, found = jax.lax.scan(step, carry, blocks.transpose(1, 0, 2))
    state = {**state, **dict(zip(("last", "before", "sums", "weight"), carry, strict=True))}
    return state, jax.tree.map(lambda part: jnp.moveaxis(part, 0, 1), found)


def pooled(values: Array, near: int = _NEAR) -> Array:
    """Means of each value and `near` neighbours to each side, zero beyond the ends: float32 [batch, values]."""
    return jax.lax.reduce_window(values, 0.0, jax.lax.add, (1, 2 * near + 1), (1, 1), "SAME") / (2 * near + 1)
