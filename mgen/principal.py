"""Principal coordinates of whole clips: what a network of whole clips is told, and what it answers.

The 65,536 numbers of a note's spectrogram move together: a thousand of their principal components hold 95 % of the
variance, are independent of each other to second order and sorted by size. A network that starts from them learns in
minutes what one on the numbers themselves learns in hours, because no gradient is spent on finding them.

An axis of all frames and bins would have a bin's worth of noise in each; so frames and bins are first reduced each on
their own (their covariances are known from every clip at every bin and frame), and the components are of what is left.

Reference: Pearson, "On lines and planes of closest fit", 1901; De Lathauwer, De Moor & Vandewalle, "A multilinear
  singular value decomposition", SIAM J. Matrix Anal. Appl. 21(4), 2000.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
#: See `fresh`.
Basis = dict[str, Any]

_SOFTNESS = 1 / 24  # of the floor, in ranges of the features
_SMALLEST = 1e-3  # of the largest scale: an axis that the examples never used is not blown up


def fresh(shape: tuple[int, ...], count: int, within: tuple[int, int]) -> Basis:
    """A basis that knows no example yet: every coordinate is 0.

    Args:
      shape: of one clip's features, (frames, bins) or (frames, bins, parts).
      count: coordinates, at most what `within` leaves.
      within: axes kept of the frames, and of the bins and parts together; at most as many as there are.

    Returns:
      mean [*shape]; frames [frames, kept] and bins [bins * parts, kept], orthonormal columns; axes [count, kept, kept],
      orthonormal; scale [count], the standard deviation of each coordinate; variance, of one number of the features;
      low and high, their range.

    Raises:
      ValueError: the features have no frames and bins, or a size is below 1.
    """
    if len(shape) < 2:
        raise ValueError(f"model: expected features of frames and bins, such as LogStft's; they are {shape}")
    for name, value in (("coordinates", count), ("within", min(within))):
        if value < 1:
            raise ValueError(f"model.{name}: expected at least 1, got {value}")
    frames, points = shape[0], math.prod(shape[1:])
    kept = min(within[0], frames), min(within[1], points)
    return {
        "mean": jnp.zeros(shape),
        "frames": jnp.zeros((frames, kept[0])),
        "bins": jnp.zeros((points, kept[1])),
        "axes": jnp.zeros((min(count, math.prod(kept)), *kept)),
        "scale": jnp.ones(min(count, math.prod(kept))),
        "variance": jnp.ones(()),
        "low": jnp.full((), -1.0),
        "high": jnp.full((), 1.0),
    }


def fit(basis: Basis, examples: np.ndarray) -> Basis:
    """The basis of examples, in the sizes of a fresh one.

    Args:
      basis: of `fresh`.
      examples: float32 [clips, *shape]; where they are fewer than the coordinates, the last of these stay 0.

    Raises:
      ValueError: there are fewer than two examples.
    """
    if len(examples) < 2:
        raise ValueError(f"examples: expected at least 2 clips, got {len(examples)}")
    shape = examples.shape[1:]
    mean = examples.mean(axis=0)
    apart = (examples - mean).reshape(len(examples), shape[0], -1)
    over_frames, over_bins = np.zeros((shape[0],) * 2), np.zeros((apart.shape[2],) * 2)
    for clip in apart:
        over_frames += clip @ clip.T
        over_bins += clip.T @ clip
    frames = _largest(over_frames, basis["frames"].shape[1])[1].T
    bins = _largest(over_bins, basis["bins"].shape[1])[1].T
    core = (frames.T @ (apart @ bins)).reshape(len(examples), -1)
    count = len(basis["axes"])
    if len(core) < core.shape[1]:  # the same components, from the products of clips
        squares, mixed = _largest((core @ core.T).astype(np.float64), min(count, len(core) - 1))
        axes = (mixed / np.sqrt(np.maximum(squares, 1e-12))[:, None]).astype(np.float32) @ core
    else:
        squares, axes = _largest((core.T @ core).astype(np.float64), count)
    axes = np.where(squares[:, None] > 1e-9 * squares[0], axes, 0)  # of rounding alone
    missing = count - len(axes)
    axes = np.pad(axes, ((0, missing), (0, 0)))
    scale = np.sqrt(np.pad(squares, (0, missing)).clip(0) / len(core))
    fitted = {
        "mean": mean,
        "frames": frames,
        "bins": bins,
        "axes": axes.reshape(basis["axes"].shape),
        "scale": scale.clip(max(_SMALLEST * scale[0], 1e-6)),
        "variance": np.mean(np.square(apart)).clip(1e-12),
        "low": examples.min(),
        "high": examples.max(),
    }
    return {name: jnp.asarray(value, jnp.float32) for name, value in fitted.items()}


def _largest(symmetric: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues [count], descending, and their eigenvectors [count, size]."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1][:count], vectors.T[::-1][:count].astype(np.float32)


def project(basis: Basis, features: Array) -> Array:
    """Features float32 [batch, *shape] to coordinates float32 [batch, count], of spread `basis["scale"]`."""
    apart = (features - basis["mean"]).reshape(len(features), basis["frames"].shape[0], -1)
    core = basis["frames"].T @ (apart @ basis["bins"])
    return jnp.einsum("bij,kij->bk", core, basis["axes"])


def unproject(basis: Basis, coordinates: Array) -> Array:
    """Coordinates float32 [batch, count] to features float32 [batch, *shape], as far out as the coordinates say."""
    core = jnp.einsum("bk,kij->bij", coordinates, basis["axes"])
    return (basis["frames"] @ core @ basis["bins"].T).reshape(-1, *basis["mean"].shape) + basis["mean"]


def rebuild(basis: Basis, coordinates: Array) -> Array:
    """Coordinates float32 [batch, count] to features float32 [batch, *shape] in the examples' range.

    The lowest value is approached slowly, so that there is a gradient everywhere. Most of a spectrogram lies at its
    floor, and below it anything is right: a network that knows need not draw a sum of axes that is flat there.
    """
    low, high = basis["low"], basis["high"]
    width = _SOFTNESS * (high - low)
    return jnp.clip(low + width * jax.nn.softplus((unproject(basis, coordinates) - low) / width), low, high)


def silence_floor(basis: Basis, features: Array, *, share: float = _SOFTNESS) -> Array:
    """Features at their floor wherever they are within a share of the range from it: it would be heard as noise."""
    low = basis["low"]
    return jnp.where(features < low + share * (basis["high"] - low), low, features)
