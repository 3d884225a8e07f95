"""How items are cut into blocks of time, worked on by all devices, and put together again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from mgen import parallel
from mgen.dsp.iteration import Frame

_STEP = 64  # hops


class Plan(NamedTuple):
    """How items are cut into blocks of equal size."""

    made: int
    """Hops that a block makes."""
    before: int
    """Frames that it takes before its first hop."""
    taken: int
    """Frames that it takes in all."""
    at_once: int
    """Blocks on a device at a time."""


def plan_blocks(items: int, frames: int, pieces: int, n_iter: int, block_frames: int, whole: int = 0) -> Plan:
    """The blocks that keep to `block_frames` and let the devices be done first.

    The wave at a hop is the sum of `pieces` frames, the last of which starts there. Each of the steps before takes a
    frame's neighbours, `pieces` - 1 on either side. An item of at most `whole` frames that need not be cut is taken as
    it is; others are filled up to a multiple of 64 hops, because each size is compiled anew.
    """
    if block_frames < 1:
        raise ValueError(f"block_frames={block_frames}: expected at least 1; 4096 is usual")
    hops, reach = frames + pieces - 1, pieces - 1
    before, after = (n_iter + 1) * reach, n_iter * reach
    most, devices = max(block_frames, 2 * (before + after)), jax.local_device_count()

    def plan_of(blocks: int) -> Plan:
        made = math.ceil(hops / blocks)
        even = _STEP * math.ceil(made / _STEP)  # files of many lengths are then blocks of a few
        if blocks == 1 and (frames <= whole or even > most):
            return Plan(hops, 0, frames, max(1, block_frames // frames))
        if blocks == 1:
            return Plan(even, 0, even, max(1, block_frames // even))
        made = even if before + even + after <= most else made
        taken = before + made + after
        return Plan(made, before, taken, max(1, block_frames // taken))

    fewest = 1 if frames <= most else math.ceil(hops / (most - before - after))
    return min(
        (plan_of(blocks) for blocks in range(fewest, fewest + devices)),
        key=lambda plan: math.ceil(items * math.ceil(hops / plan.made) / devices) * plan.taken,
    )


def in_blocks(
    work: Callable, plan: Plan, frame: Frame, weight: np.ndarray, factors: np.ndarray, *spectrograms: np.ndarray
) -> np.ndarray:
    """Hops [items, hops, hop_length] of `work(weight, factor, *spectrograms)`, done block by block."""
    items, frames = spectrograms[0].shape[:2]
    made = np.empty((items, frames + frame.pieces - 1, frame.hop_length), np.float32)
    blocks = [(item, first) for item in range(items) for first in range(0, made.shape[1], plan.made)]
    together = jax.local_device_count() * plan.at_once
    for group in (blocks[start : start + together] for start in range(0, len(blocks), together)):
        starts = [(item, first - plan.before) for item, first in group]
        weights = np.stack([cut(weight, start, plan.taken + frame.pieces - 1) for _, start in starts])
        taken = (np.stack([cut(whole[item], start, plan.taken) for item, start in starts]) for whole in spectrograms)
        parts = parallel.spread(work, weights, factors[[i for i, _ in group]], *taken, at_once=plan.at_once)
        for (item, first), part in zip(group, parts, strict=True):
            made[item, first : first + plan.made] = part[: made.shape[1] - first]
    return made


def cut(rows: np.ndarray, start: int, count: int) -> np.ndarray:
    """Rows start..start + count, with zeros where there are none."""
    inside = rows[max(start, 0) : max(start + count, 0)]
    before = min(max(-start, 0), count)
    return np.pad(inside, [(before, count - before - len(inside)), (0, 0)])
