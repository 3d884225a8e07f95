"""Starting phases along a maximum spanning tree of the time-frequency grid: phase-gradient integration with no heap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.dsp.phase_gradient import log_magnitude, phase_gradient, phase_steps, wrap

Array = jax.Array


def spanning_tree_phases(time_weight, bin_weight, along_time: Array, along_bins: Array) -> Array:
    """Phases [items, frames, bins]."""
    shape = (*bin_weight.shape[:2], along_time.shape[-1])
    bins = shape[-1]
    size = int(np.prod(shape))
    node = jnp.arange(size, dtype=jnp.int32).reshape(shape)
    none = np.float32(-np.inf)
    pad_time = [(0, 0), (0, 1), (0, 0)]
    pad_bins = [(0, 0), (0, 0), (0, 1)]
    # weight and step of the edge from each point to the next frame and to the next bin
    time_weight = jnp.pad(time_weight, pad_time, constant_values=none)
    bin_weight = jnp.pad(bin_weight, pad_bins, constant_values=none)
    steps = jnp.stack([jnp.pad(along_time, pad_time), jnp.pad(along_bins, pad_bins)], -1).reshape(-1)

    def at(values, index):
        return values.at[index].get(mode="promise_in_bounds")

    def before_frame(x, fill):
        return jnp.concatenate([jnp.full_like(x[:, :1], fill), x[:, :-1]], 1)

    def before_bin(x, fill):
        return jnp.concatenate([jnp.full_like(x[..., :1], fill), x[..., :-1]], -1)

    def after_frame(x):
        return jnp.concatenate([x[:, 1:], x[:, -1:]], 1)

    def after_bin(x):
        return jnp.concatenate([x[..., 1:], x[..., -1:]], -1)

    def body(carry):
        root, offset, _ = carry
        grid = root.reshape(shape)
        right = jnp.where(after_frame(grid) != grid, time_weight, none)
        up = jnp.where(after_bin(grid) != grid, bin_weight, none)
        left = before_frame(right, none)
        down = before_bin(up, none)
        best = jnp.maximum(jnp.maximum(right, up), jnp.maximum(left, down))
        edge = jnp.where(
            up == best,
            2 * node + 1,
            jnp.where(right == best, 2 * node, jnp.where(down == best, 2 * node - 1, 2 * (node - bins))),
        )
        edge = jnp.where(best > none, edge, -1)
        best, edge = best.reshape(-1), edge.reshape(-1)
        heaviest = jnp.full(size, none).at[root].max(best, mode="promise_in_bounds")
        edge = jnp.where(best == at(heaviest, root), edge, -1)
        chosen = jnp.full(size, -1, jnp.int32).at[root].max(edge, mode="promise_in_bounds")
        ids = node.reshape(-1)
        joins = (root == ids) & (chosen >= 0)
        chosen = jnp.maximum(chosen, 0)
        low = chosen // 2
        high = low + jnp.where(chosen % 2 == 1, 1, bins)
        high = jnp.minimum(high, size - 1)
        step = at(steps, chosen)
        low_root, high_root = at(root, low), at(root, high)
        mine_low = low_root == ids
        parent = jnp.where(joins, jnp.where(mine_low, high_root, low_root), root)
        across = at(offset, high) - step - at(offset, low)
        shift = jnp.where(joins, wrap(jnp.where(mine_low, across, -across)), offset)
        # two components that choose the same edge: the lower is the root
        first = joins & (at(parent, parent) == ids) & (ids < parent)
        parent = jnp.where(first, ids, parent)
        shift = jnp.where(first, 0, shift)

        def jump(c):
            parent, shift, _ = c
            grand = at(parent, parent)
            shift = jnp.where(grand != parent, wrap(shift + at(shift, parent)), shift)
            return grand, shift, jnp.any(grand != parent)

        parent, shift, _ = lax.while_loop(lambda c: c[2], jump, (parent, shift, True))
        return parent, shift, jnp.any(joins)

    start = (node.reshape(-1), jnp.zeros(size, jnp.float32), jnp.array(True))
    _, offset, _ = lax.while_loop(lambda c: c[2], body, start)
    return offset.reshape(shape)


def tree_phases(magnitude, *, n_fft, hop_length, win_length=None, window="hann"):
    magnitude = lax.stop_gradient(jnp.asarray(magnitude, jnp.float32))
    g = phase_gradient(magnitude, n_fft=n_fft, hop_length=hop_length, win_length=win_length, window=window)
    shape = (-1, *magnitude.shape[-2:])
    a, b = phase_steps(*(x.reshape(shape) for x in g))
    logs = log_magnitude(magnitude).reshape(shape)
    return spanning_tree_phases(logs[:, 1:] + logs[:, :-1], logs[..., 1:] + logs[..., :-1], a, b).reshape(
        magnitude.shape
    )
