"""Phase reconstruction of batches and of long files, over all devices and in bounded memory.

In a step of `iterate` a frame feels its neighbours within one window and no others. So a wave can be made in blocks of
time: with enough frames around a block that what lies beyond them has not come in after the last step, the block is
what it would have been in the whole. Blocks of all items are one list of equal pieces of work, which `mgen.parallel`
spreads over the devices.

The starting phases alone have a longer memory. They are found in segments of fixed length, each of which goes on from
the last frame of the one before, so where the blocks lie makes no difference to them either.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mgen import parallel
from mgen.dsp.blocks import Plan, cut, in_blocks, plan_blocks
from mgen.dsp.iteration import Frame, Steps, sample_weights
from mgen.dsp.mel_inversion import hold_mel, mel_to_audio
from mgen.dsp.mel_solver import Bands, bands_of, check_mel, check_updates, solve
from mgen.dsp.phase import (
    check_init,
    check_length,
    check_magnitude,
    check_steps,
    default_start,
    exponent_of,
    griffin_lim,
    hold_magnitude,
    starting_phases,
)
from mgen.dsp.stft import margin

Array = jax.Array

#: Frames of which starting phases are found at once. Unlike the length of a block it belongs to the result. Measured:
#: the tree of 90 s of music ends 0.4 dB better in segments of 32 to 512 frames than in one piece, that of 5 s (216
#: frames) best in one; 1000 frames and more fall out of the cache of a CPU core and take two to four times as long.
SEGMENT = 256


def invert(
    magnitude: Array,
    *,
    rng: Array | None = None,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    n_iter: int = 32,
    momentum: float = 0.95,
    relaxation: float = 1.25,
    init: str | Array | None = None,
    length: int | None = None,
    block_frames: int = 4096,
) -> np.ndarray:
    """`griffin_lim` over all local devices, in blocks of time: any number of items, of any length.

    The result does not depend on the blocks or the devices but for rounding. Up to `SEGMENT` frames it is that of
    `griffin_lim`; beyond, starting phases are found a segment at a time. Device memory is that of `block_frames` frames
    on each device; the host holds the magnitudes, their phases and the wave.

    Args:
      magnitude: float32 [..., frames, bins], best in NumPy: it goes to the devices in blocks.
      rng: see `griffin_lim`.
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      center: whether frames are centred, see `stft`.
      n_iter: iterations; a block takes about 2 * n_iter * n_fft / hop_length frames more than it makes.
      momentum: see `griffin_lim`.
      relaxation: see `griffin_lim`.
      init: see `griffin_lim`.
      length: samples to return, see `griffin_lim`.
      block_frames: most frames on a device at a time, if twice what a block takes more than it makes is not more.

    Returns:
      NumPy float32 [..., samples].

    Raises:
      ValueError: block_frames is below 1, or as in `griffin_lim`.

    Reference: see `griffin_lim`.
    """
    magnitude = np.asarray(check_magnitude(magnitude, n_fft), np.float32)
    steps = check_steps(n_iter, momentum, relaxation)
    length = check_length(length, magnitude.shape[-2], n_fft, hop_length, center)
    frame = Frame(n_fft, hop_length, win_length, window)
    init = default_start() if init is None else init
    angles = check_init(init, magnitude.shape, rng)
    items = magnitude.reshape(-1, *magnitude.shape[-2:])
    if not len(items):
        return np.zeros((*magnitude.shape[:-2], length), np.float32)
    keys = _keys(rng, magnitude.shape)
    plan = plan_blocks(len(items), items.shape[1], frame.pieces, n_iter, block_frames, SEGMENT)
    if angles is None and _whole(plan, items):
        settings = {**frame._asdict(), **steps._asdict(), "center": center, "init": init, "length": length}
        waves = parallel.spread(_griffin_lim(**settings), items, keys, at_once=plan.at_once)
        return waves.reshape(*magnitude.shape[:-2], length)
    angles = _angles(init, angles, items, keys, frame)
    work = _hold_magnitude(frame, plan.before, plan.made, steps)
    exponents = np.asarray(exponent_of(items.max(axis=(1, 2), initial=0)))
    weight = sample_weights(frame, items.shape[1], center, length)
    hops = in_blocks(work, plan, frame, weight, exponents, items, angles)
    return _wave(hops, magnitude.shape[:-2], margin(n_fft, center), length)


def invert_mel(
    mel: Array,
    *,
    rng: Array | None = None,
    sample_rate: float,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    fmin: float = 0.0,
    fmax: float | None = None,
    power: float = 2.0,
    n_iter: int = 32,
    momentum: float = 0.95,
    relaxation: float = 1.15,
    init: str | Array = "scan",
    length: int | None = None,
    nnls_iter: int = 16,
    block_frames: int = 4096,
) -> np.ndarray:
    """`mel_to_audio` over all local devices, in blocks of time: any number of items, of any length. See `invert`.

    Args:
      mel: float32 [..., frames, bands], >= 0, best in NumPy.
      rng: see `griffin_lim`.
      sample_rate: Hz.
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".
      center: whether frames are centred, see `stft`.
      fmin: Hz, lower edge of the first band.
      fmax: Hz, upper edge of the last; half the sample rate if None.
      power: exponent of the magnitudes before the filters.
      n_iter: iterations, see `mel_to_audio` and `invert`.
      momentum: see `griffin_lim`.
      relaxation: see `griffin_lim`.
      init: see `griffin_lim`.
      length: samples to return, see `griffin_lim`.
      nnls_iter: updates of `mel_to_magnitude` before the start.
      block_frames: most frames on a device at a time, see `invert`.

    Returns:
      NumPy float32 [..., samples].

    Raises:
      ValueError: block_frames is below 1, or as in `mel_to_audio`.

    Reference: see `mel_to_audio`.
    """
    mel = np.asarray(check_mel(mel, power), np.float32)
    check_updates(nnls_iter, "nnls_iter")
    steps = check_steps(n_iter, momentum, relaxation)
    length = check_length(length, mel.shape[-2], n_fft, hop_length, center)
    frame = Frame(n_fft, hop_length, win_length, window)
    bands = bands_of(sample_rate, n_fft, mel.shape[-1], fmin, fmax)
    spectrum_shape = (*mel.shape[:-1], 1 + n_fft // 2)
    angles = check_init(init, spectrum_shape, rng)
    items, keys = mel.reshape(-1, *mel.shape[-2:]), _keys(rng, mel.shape)
    if not len(items):
        return np.zeros((*mel.shape[:-2], length), np.float32)
    plan = plan_blocks(len(items), items.shape[1], frame.pieces, n_iter, block_frames, SEGMENT)
    if angles is None and _whole(plan, items):
        settings = {**frame._asdict(), **steps._asdict(), "center": center, "init": init, "length": length}
        settings |= {"sample_rate": sample_rate, "fmin": fmin, "fmax": fmax, "power": power, "nnls_iter": nnls_iter}
        waves = parallel.spread(_mel_to_audio(**settings), items, keys, at_once=plan.at_once)
        return waves.reshape(*mel.shape[:-2], length)
    items = np.maximum(items, 0) * bands.seen
    scale = items.max(axis=(1, 2), keepdims=True, initial=np.finfo(np.float32).tiny)
    items /= scale
    magnitude = _by_rows(_solve(bands, power, nnls_iter), items, plan.taken)
    angles = _angles(init, angles, magnitude, keys, frame)
    work = _hold_mel(frame, bands, power, plan.before, plan.made, steps)
    factors = scale[:, 0, 0] ** (1 / power)
    weight = sample_weights(frame, items.shape[1], center, length)
    hops = in_blocks(work, plan, frame, weight, factors, items, magnitude, angles)
    return _wave(hops, mel.shape[:-2], margin(n_fft, center), length)


def _by_rows(work: Callable, items: np.ndarray, most: int) -> np.ndarray:
    """`work` on rows [items, frames, ...] that know nothing of one another, at most so many at a time."""
    rows = items.reshape(-1, items.shape[-1])
    each = min(most, math.ceil(len(rows) / jax.local_device_count()))
    count = math.ceil(len(rows) / each)
    made = parallel.spread(work, cut(rows, 0, count * each).reshape(count, each, -1), at_once=1)
    return made.reshape(count * each, -1)[: len(rows)].reshape(*items.shape[:-1], -1)


def _whole(plan: Plan, items: np.ndarray) -> bool:
    """Whether an item is done in one go, from its starting phases on: nothing of it need come back in between."""
    return plan.before == 0 and items.shape[1] <= SEGMENT


def _keys(rng: Array | None, shape: tuple[int, ...]) -> Array:
    """A key for each item, those of `griffin_lim`; any, where none is needed."""
    rng = jax.random.key(0) if rng is None else rng
    if len(shape) == 2:
        return rng[None]
    return jax.vmap(jax.random.fold_in, (None, 0))(rng, np.arange(math.prod(shape[:-2])))


def _angles(init: str | Array, given: Array | None, magnitude: np.ndarray, keys: Array, frame: Frame) -> np.ndarray:
    """Starting phases [items, frames, bins], segment by segment."""
    if given is not None:
        return np.asarray(given).reshape(magnitude.shape)
    frames, angles = magnitude.shape[1], np.empty_like(magnitude)
    at_once = max(1, SEGMENT // frames)
    for start in range(0, frames, SEGMENT):
        # One frame more on either side, for the differences in time.
        low, high = max(start - 1, 0), min(start + SEGMENT + 1, frames)
        # Behind the first segment the frame before is known.
        known = (angles[:, low],) if start else ()
        drawn = jax.vmap(jax.random.fold_in, (0, None))(keys, start // SEGMENT) if start else keys
        found = parallel.spread(_start(init, frame), magnitude[:, low:high], drawn, *known, at_once=at_once)
        angles[:, start : start + SEGMENT] = found[:, start - low : start - low + SEGMENT]
    return angles


def _wave(hops: np.ndarray, leading: tuple[int, ...], before: int, length: int) -> np.ndarray:
    wave = hops.reshape(len(hops), -1)[:, before : before + length]
    return np.pad(wave, [(0, 0), (0, length - wave.shape[1])]).reshape(*leading, length)


# What a device does. The same settings give the same function, because `parallel.spread` keeps what it compiled by it.


@functools.lru_cache(maxsize=32)
def _griffin_lim(**settings: Any) -> Callable:
    return lambda magnitude, key: griffin_lim(magnitude, rng=key, **settings)


@functools.lru_cache(maxsize=32)
def _mel_to_audio(**settings: Any) -> Callable:
    return lambda mel, key: mel_to_audio(mel, rng=key, **settings)


@functools.lru_cache(maxsize=32)
def _start(init: str, frame: Frame) -> Callable:
    return lambda magnitude, key, *known: starting_phases(init, magnitude, key, frame, *known)


@functools.lru_cache(maxsize=32)
def _solve(bands: Bands, power: float, n_iter: int) -> Callable:
    return lambda mel: solve(mel, None, bands=bands, power=power, n_iter=n_iter)


@functools.lru_cache(maxsize=32)
def _hold_magnitude(frame: Frame, before: int, made: int, steps: Steps) -> Callable:
    def work(weight: Array, exponent: Array, magnitude: Array, angles: Array) -> Array:
        scale = jnp.ldexp(jnp.float32(1), exponent)
        hops = hold_magnitude(magnitude / scale, angles, weight, frame=frame, steps=steps)
        return hops[before : before + made] * scale

    return work


@functools.lru_cache(maxsize=32)
def _hold_mel(frame: Frame, bands: Bands, power: float, before: int, made: int, steps: Steps) -> Callable:
    def work(weight: Array, factor: Array, mel: Array, magnitude: Array, angles: Array) -> Array:
        hops = hold_mel(mel, magnitude, angles, weight, frame=frame, bands=bands, power=power, steps=steps)
        return hops[before : before + made] * factor

    return work
