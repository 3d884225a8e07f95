"""Effects with one amount from 0, which changes nothing, to 1: what a sound is asked to be, with its ground truth.

All of them are pure functions of arrays: they run on the device, in a batch each item has its own amount, and they can
be differentiated. A wave without an axis of samples raises ValueError; `sample_rate` is in Hz.

Reference: Zolzer (ed.), "DAFX: digital audio effects", 2nd edition, 2011.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from mgen.arrays import check_shape

Array = jax.Array

_DRIVE = 30.0  # of the waveshaper, at amount 1
_LOWEST_HZ, _STEEP = 300.0, 8  # corner at amount 1, and exponent of the frequency in the power response
_SWAY_CENTS, _SWAY_HZ = 50.0, 5.5
_SLOWEST_S = 0.5  # attack at amount 1
_ROOM_S, _DECAY_DB = 1.5, -60.0


def _column(wave: Array, amount: Array) -> Array:
    """The amounts with an axis for the samples, [..., 1]; the wave is checked."""
    check_shape(wave, {"...": None, "samples": None}, "wave")
    return jnp.asarray(amount)[..., None]


def distortion(wave: Array, amount: Array) -> Array:
    """Saturation by a hyperbolic tangent; a full-scale sample keeps its level, quieter ones grow towards it.

    Waves float32 [..., samples] and amounts [...], 0 to 1, to waves float32 [..., samples].
    """
    amount = _column(wave, amount)
    drive = _DRIVE * jnp.square(amount)
    safe = jnp.maximum(drive, 1e-3)  # below, the curve is straight
    return jnp.where(drive > 1e-3, jnp.tanh(safe * wave) / jnp.tanh(safe), wave)


def low_pass(wave: Array, amount: Array, *, sample_rate: int) -> Array:
    """A Butterworth filter of order 4 without delay, whose corner falls from far above hearing to 300 Hz.

    Waves float32 [..., samples] and amounts [...], 0 to 1, to waves float32 [..., samples].
    """
    amount = _column(wave, amount)
    samples = wave.shape[-1]
    size = samples + round(0.05 * sample_rate)  # so that the end does not ring into the beginning
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate).astype(np.float32)
    highest = 4 * sample_rate
    corner = highest * (_LOWEST_HZ / highest) ** amount
    response = jax.lax.rsqrt(1 + (frequencies / corner) ** _STEEP)
    return jnp.fft.irfft(jnp.fft.rfft(wave, size) * response, size)[..., :samples]


def vibrato(wave: Array, amount: Array, *, sample_rate: int) -> Array:
    """Sways the pitch by up to 50 cents, 5.5 times a second, by reading the wave ahead of time and behind it.

    Waves float32 [..., samples] and amounts [...], 0 to 1, to waves float32 [..., samples].
    """
    amount = _column(wave, amount)
    samples = wave.shape[-1]
    time = np.arange(samples)
    turn = 2 * math.pi * _SWAY_HZ / sample_rate  # radians a sample
    ahead = (2.0 ** (_SWAY_CENTS * amount / 1200) - 1) / turn
    shift = ahead * (1 - np.cos(turn * time)).astype(np.float32)
    before = jnp.floor(shift)
    part = shift - before  # of the shift alone: at the end of a long wave a float32 place has no fraction left
    padded = jnp.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(1, 3)])
    index = jnp.clip(np.arange(samples) + before.astype(jnp.int32), 0, samples)
    index = jnp.broadcast_to(index, wave.shape)
    points = [jnp.take_along_axis(padded, index + offset, axis=-1) for offset in range(4)]
    return _cubic(*points, part)


def _cubic(first: Array, second: Array, third: Array, fourth: Array, part: Array) -> Array:
    """Catmull and Rom's curve between the second and the third of four points."""
    slope, next_slope = (third - first) / 2, (fourth - second) / 2
    rise = third - second
    bend = 3 * rise - 2 * slope - next_slope
    twist = slope + next_slope - 2 * rise
    return second + part * (slope + part * (bend + part * twist))


def slow_attack(wave: Array, amount: Array, *, sample_rate: int) -> Array:
    """Fades the wave in over up to half a second.

    Waves float32 [..., samples] and amounts [...], 0 to 1, to waves float32 [..., samples].
    """
    amount = _column(wave, amount)
    length = _SLOWEST_S * sample_rate * amount
    time = np.arange(wave.shape[-1], dtype=np.float32)
    risen = jnp.where(length > 1, jnp.clip(time / jnp.maximum(length, 1), 0, 1), 1.0)
    return wave * jnp.square(jnp.sin(math.pi / 2 * risen))


def reverb(wave: Array, amount: Array, *, sample_rate: int) -> Array:
    """A room that falls by 60 dB in 1.5 s: noise under an exponential, always the same; at 1 as loud as the sound.

    Waves float32 [..., samples] and amounts [...], 0 to 1, to waves float32 [..., samples].

    Reference: Moorer, "About this reverberation business", Computer Music Journal 3(2), 1979.
    """
    amount = _column(wave, amount)
    samples, length = wave.shape[-1], round(_ROOM_S * sample_rate)
    fall = 10 ** (_DECAY_DB / 20 * np.arange(length) / length)
    room = (fall * np.random.default_rng(0).normal(size=length)).astype(np.float32)
    room /= np.linalg.norm(room)
    size = samples + length
    wet = jnp.fft.irfft(jnp.fft.rfft(wave, size) * jnp.fft.rfft(room, size), size)[..., :samples]
    share = math.pi / 4 * amount
    return jnp.cos(share) * wave + jnp.sin(share) * wet
