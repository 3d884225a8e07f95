"""Starting phases frame by frame: the cheap start, and the one that can run while the sound arrives.

Within a frame each bin takes its phase either from itself one frame ago or from a neighbour in frequency, whichever way
is louder. That is a maximum spanning tree again, but of a line of bins that all hang on one past, and such a tree needs
no rounds: which edges are in it follows from two running maxima. It is known for all frames before the first phase is.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.dsp.phase_gradient import check_finite, log_magnitude, phase_gradient, phase_steps, wrap

Array = jax.Array


class ScanFrames(NamedTuple):
    """What `scan_step` needs to know of a frame, [..., bins] each; with a frames axis before the bins, of many."""

    advance: Array
    """float32, radians from the frame before, at each bin."""
    source: Array
    """int32, the bin of this frame that each bin's phase is spread from."""
    spread: Array
    """float32, radians from that bin to this one."""


def scan_phases(
    magnitude: Array, *, n_fft: int, hop_length: int, win_length: int | None = None, window: str = "hann"
) -> Array:
    """Phases that follow the phase gradient from frame to frame, in one `lax.scan`.

    Nothing is drawn at random, and nothing of the future is used but the next frame, in the derivatives. It is jit-able
    and constant to differentiation, and a batch equals its items.

    Args:
      magnitude: float32 [..., frames, bins], >= 0; only ratios within an item matter.
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".

    Returns:
      float32 [..., frames, bins], radians in -pi..pi, of the transform that `stft` makes.

    Raises:
      ValueError: magnitude holds NaN or infinity (where it is not traced) or as in `phase_gradient`.

    Reference: Prusa & Sondergaard, "Real-time spectrogram inversion using phase gradient heap integration", DAFx 2016,
      whose order of steps this is, without its heap.
    """
    magnitude = jnp.asarray(magnitude, jnp.float32)
    check_finite(magnitude)
    return _scan_phases(magnitude, n_fft=n_fft, hop_length=hop_length, win_length=win_length, window=window)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "win_length", "window"))
def _scan_phases(magnitude: Array, **transform: int | str | None) -> Array:
    frames = scan_frames(magnitude, **transform)
    in_time = ScanFrames(*(jnp.moveaxis(values, -2, 0) for values in frames))
    before = jnp.zeros_like(in_time.advance[0])
    _, phases = lax.scan(scan_step, before, in_time)
    return jnp.moveaxis(phases, 0, -2)


def scan_step(before: Array, frame: ScanFrames) -> tuple[Array, Array]:
    """The phases of one frame from those of the frame before: the body of a `lax.scan`.

    Args:
      before: float32 [..., bins], radians; zeros where there is no frame before.
      frame: of the frame to make, [..., bins] each, see `scan_frames`.

    Returns:
      float32 [..., bins] twice: what to carry, and the frame's phases; they are the same, radians in -pi..pi.
    """
    advanced = jnp.take_along_axis(before + frame.advance, frame.source, axis=-1, mode="promise_in_bounds")
    phases = wrap(advanced + frame.spread)
    return phases, phases


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "win_length", "window"))
def scan_frames(
    magnitude: Array, *, n_fft: int, hop_length: int, win_length: int | None = None, window: str = "hann"
) -> ScanFrames:
    """All that can be said of the frames before any phase is known, for all frames at once.

    A frame depends on itself and its two neighbours, so where frames arrive one at a time, three of them
    [..., 3, bins] make the middle one.

    Args:
      magnitude: float32 [..., frames, bins], >= 0.
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".

    Returns:
      [..., frames, bins] each; the first frame has no past and advances by 0.

    Raises:
      ValueError: as in `phase_gradient`.
    """
    magnitude = lax.stop_gradient(jnp.asarray(magnitude, jnp.float32))
    gradients = phase_gradient(magnitude, n_fft=n_fft, hop_length=hop_length, win_length=win_length, window=window)
    along_time, along_bins = phase_steps(*gradients)
    logs = log_magnitude(magnitude)
    keep = [(0, 0)] * (logs.ndim - 2)
    advance = jnp.pad(along_time, [*keep, (1, 0), (0, 0)])
    past = jnp.concatenate([logs[..., :1, :], logs[..., :-1, :]], axis=-2)
    source = _sources(logs + past, logs[..., 1:] + logs[..., :-1])
    risen = jnp.pad(jnp.cumsum(wrap(along_bins), axis=-1), [*keep, (0, 0), (1, 0)])
    spread = risen - jnp.take_along_axis(risen, source, axis=-1, mode="promise_in_bounds")
    return ScanFrames(advance, source, wrap(spread))


@jax.jit
def _sources(from_past: Array, between: Array) -> Array:
    """The bin that each bin's phase is spread from: where its part of the line hangs on the past.

    A line of bins, each tied to its neighbours by edges of weight `between` and to the past by one of `from_past`. An
    edge between two bins is left out of the maximum spanning tree if both its ends reach the past over heavier edges
    without it. The best way to the past on one side of a bin, as good as its lightest edge, is a running maximum:
    reach[k] = max(from_past[k], min(between[k - 1], reach[k - 1])).

    Args:
      from_past: float32 [..., bins].
      between: float32 [..., bins - 1].

    Returns:
      int32 [..., bins].
    """
    shape, bins = from_past.shape, from_past.shape[-1]
    rows = math.prod(shape[:-1])
    from_past, between = from_past.reshape(rows, bins), between.reshape(rows, bins - 1)
    from_below = _reach(from_past, jnp.pad(between, [(0, 0), (1, 0)], constant_values=-np.inf), reverse=False)
    from_above = _reach(from_past, jnp.pad(between, [(0, 0), (0, 1)], constant_values=-np.inf), reverse=True)
    cut = (between < from_below[:, :-1]) & (between < from_above[:, 1:])
    # Each part of the line is known by its lowest bin; its source is its bin that is tied to the past the most.
    place = jnp.arange(bins, dtype=jnp.int32)
    lowest = lax.cummax(jnp.where(jnp.pad(cut, [(0, 0), (1, 0)], constant_values=True), place, 0), axis=1)
    row = bins * jnp.arange(rows, dtype=jnp.int32)[:, None]
    part, tie = (lowest + row).reshape(-1), from_past.reshape(-1)
    strongest = jnp.full(tie.shape, -jnp.inf).at[part].max(tie, mode="promise_in_bounds")
    holds = tie == strongest.at[part].get(mode="promise_in_bounds")
    holder = jnp.where(holds, jnp.broadcast_to(place, from_past.shape).reshape(-1), 0)
    source = jnp.zeros(tie.shape, jnp.int32).at[part].max(holder, mode="promise_in_bounds")
    return source.at[part].get(mode="promise_in_bounds").reshape(shape)


def _reach(low: Array, high: Array, reverse: bool) -> Array:
    """The recursion y[k] = max(low[k], min(high[k], y[k - 1])) along the last of two axes, from either end."""

    def then(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
        return jnp.maximum(second[0], jnp.minimum(second[1], first[0])), jnp.minimum(first[1], second[1])

    return lax.associative_scan(then, (low, high), reverse=reverse, axis=1)[0]
