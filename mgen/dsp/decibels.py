"""Decibels and back, one number at a time.

The floor is fixed and the reference is given: nothing is measured on the clip, let alone on the batch, so a frame, a
clip and a batch all become the same numbers. What is lost is everything below the floor: it comes back as the floor
itself, so digital silence returns at `floor_db` and not as zero.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def power_to_decibels(power: Array, *, floor_db: float = -100.0, reference: float = 1.0) -> Array:
    """Power to decibels, max(10 log10(power / reference), floor_db).

    Args:
      power: float32 of any shape, >= 0. What is below the floor, negative numbers too, is taken as the floor.
      floor_db: lowest value returned, dB relative to `reference`. Below it the gradient is zero, never infinite.
      reference: power that is 0 dB.

    Returns:
      float32 of the same shape, dB. Equal to `librosa.power_to_db(power, amin=..., top_db=None)`.

    Raises:
      ValueError: reference is not above zero, or floor_db is too low to be held in float32.
    """
    return _to_decibels(power, 10.0, floor_db, reference)


def decibels_to_power(decibels: Array, *, reference: float = 1.0) -> Array:
    """Inverse of `power_to_decibels` for all that was above its floor: reference * 10 ** (decibels / 10).

    Args:
      decibels: float32 of any shape, dB relative to `reference`.
      reference: power that is 0 dB.

    Returns:
      float32 of the same shape, power.

    Raises:
      ValueError: reference is not above zero.
    """
    return _from_decibels(decibels, 10.0, reference)


def amplitude_to_decibels(amplitude: Array, *, floor_db: float = -100.0, reference: float = 1.0) -> Array:
    """Amplitude to decibels, max(20 log10(amplitude / reference), floor_db).

    Args:
      amplitude: float32 of any shape, >= 0. What is below the floor, negative numbers too, is taken as the floor.
      floor_db: lowest value returned, dB relative to `reference`. Below it the gradient is zero, never infinite.
      reference: amplitude that is 0 dB.

    Returns:
      float32 of the same shape, dB. Equal to `librosa.amplitude_to_db(amplitude, amin=..., top_db=None)`.

    Raises:
      ValueError: reference is not above zero, or floor_db is too low to be held in float32.
    """
    return _to_decibels(amplitude, 20.0, floor_db, reference)


def decibels_to_amplitude(decibels: Array, *, reference: float = 1.0) -> Array:
    """Inverse of `amplitude_to_decibels` for all that was above its floor: reference * 10 ** (decibels / 20).

    Args:
      decibels: float32 of any shape, dB relative to `reference`.
      reference: amplitude that is 0 dB.

    Returns:
      float32 of the same shape, amplitude.

    Raises:
      ValueError: reference is not above zero.
    """
    return _from_decibels(decibels, 20.0, reference)


def _to_decibels(values: Array, factor: float, floor_db: float, reference: float) -> Array:
    _check_reference(reference)
    # A floor that underflows would let log(0) through.
    lowest = math.ceil(factor * math.log10(np.finfo(np.float32).tiny))
    if not floor_db >= lowest:
        raise ValueError(f"floor_db={floor_db}: float32 holds no such small number; give {lowest} dB or more")
    values = jnp.asarray(values, jnp.float32) / reference
    floor = 10.0 ** (floor_db / factor)
    # The floor goes under the logarithm, so that neither value nor gradient ever sees log(0).
    return factor * jnp.log10(jnp.maximum(values, floor))


def _from_decibels(decibels: Array, factor: float, reference: float) -> Array:
    _check_reference(reference)
    return reference * 10.0 ** (jnp.asarray(decibels, jnp.float32) / factor)


def _check_reference(reference: float) -> None:
    if not reference > 0:
        raise ValueError(f"reference={reference}: expected a number above zero; 1.0 is full scale")
