"""Losses as functions of arrays; every weight is an argument, and shapes are checked before anything broadcasts."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mgen.arrays import check_same_shape

Array = jax.Array


def l1(estimate: Array, target: Array) -> Array:
    """Mean absolute difference over all axes. On log-mel features in [-1, 1] it is proportional to decibels."""
    check_same_shape(estimate, target)
    return jnp.mean(jnp.abs(estimate - target))
