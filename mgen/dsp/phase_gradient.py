"""The two derivatives of a spectrogram's phase, read off its magnitudes.

Under a Gaussian window the transform of any wave is an analytic function times a known factor, so its log magnitude and
its phase determine each other like the two halves of an analytic function: the phase turns faster than its bin says
where the magnitude rises with frequency, and is steep in frequency where the magnitude changes in time. A Hann window
is near enough to a Gaussian. `phase_tree` and `phase_scan` are two ways to add these derivatives up.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.dsp.stft import check_bins
from mgen.dsp.stft import window as window_of

Array = jax.Array

#: gamma / win_length ** 2 of the Gaussian exp(-pi t ** 2 / gamma) that is nearest to each window.
_GAMMA = {"hann": 0.25645, "hamming": 0.29794}

#: Magnitudes below this share of the item's largest (-200 dB) count as this: float32 has nothing to tell below.
_FLOOR = 1e-10

#: Of the largest value: less below 0 is rounding.
_ROUNDING = 1e-4


def log_magnitude(magnitude: Array) -> Array:
    """Natural logarithm of magnitudes relative to the largest of each item, finite for every input.

    Args:
      magnitude: float32 [..., frames, bins], >= 0, in any scale. What is not finite counts as nothing.

    Returns:
      float32 [..., frames, bins], from log(1e-10) to 0; where an item is all zero, log(1e-10) everywhere.
    """
    magnitude = jnp.where(jnp.isfinite(magnitude), magnitude, 0)
    largest = magnitude.max(axis=(-2, -1), keepdims=True)
    return jnp.log(jnp.maximum(magnitude / jnp.where(largest > 0, largest, 1), _FLOOR))


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "win_length", "window"))
def phase_gradient(
    magnitude: Array, *, n_fft: int, hop_length: int, win_length: int | None = None, window: str = "hann"
) -> tuple[Array, Array]:
    """The phase's derivatives along time and frequency that belong to a magnitude spectrogram.

    With L the log magnitude, gamma the window's width squared (samples ** 2, see `_GAMMA`) and c its centre in the
    frame, the phase of `stft` has

        d phase / d frame = 2 pi hop_length bin / n_fft + hop_length n_fft / gamma * dL / d bin
        d phase / d bin   = -2 pi c / n_fft             - gamma / (hop_length n_fft) * dL / d frame

    where c stands for our phases being those of a frame's first sample. L is differentiated by central differences. At
    DC and Nyquist, where the spectrum of a real wave is its own mirror image, dL / d bin is zero; in the first and the
    last frame the difference is one-sided.

    Args:
      magnitude: float32 [..., frames, bins], >= 0; only ratios matter, see `log_magnitude`.
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window; all of the frame if None.
      window: "hann" or "hamming".

    Returns:
      float32 [..., frames, bins] twice: radians per frame, the bin's own advance reduced modulo 2 pi while it is still
      exact, and radians per bin.

    Raises:
      ValueError: magnitude is not of 1 + n_fft // 2 bins, the window is unknown or win_length not in 1..n_fft.

    Reference: Prusa, Balazs & Sondergaard, "A noniterative method for reconstruction of phase from STFT magnitude",
      IEEE/ACM Transactions on Audio, Speech, and Language Processing, 2017.
    """
    check_bins(magnitude, n_fft, "magnitude")
    win_length = n_fft if win_length is None else win_length
    window_of(window, win_length, n_fft)  # its refusals
    gamma = _GAMMA[window] * win_length**2
    logs = log_magnitude(jnp.asarray(magnitude, jnp.float32))
    bins = logs.shape[-1]

    across = jnp.pad(logs, [(0, 0)] * (logs.ndim - 1) + [(1, 1)], mode="edge")
    by_bin = (across[..., 2:] - across[..., :-2]) / 2
    by_bin = by_bin.at[..., 0].set(0)
    if n_fft % 2 == 0:
        by_bin = by_bin.at[..., -1].set(0)  # an odd n_fft has no bin at Nyquist
    padded = jnp.concatenate([logs[..., :1, :], logs, logs[..., -1:, :]], axis=-2)
    frames = logs.shape[-2]
    distance = np.full((frames, 1), 2.0, np.float32)
    distance[0] -= 1
    distance[-1] -= 1
    by_frame = (padded[..., 2:, :] - padded[..., :-2, :]) / np.maximum(distance, 1)

    turns = (np.arange(bins) * hop_length % n_fft) / n_fft
    turns = 2 * np.pi * (turns - np.round(turns))
    centre = (n_fft - win_length) // 2 + win_length / 2
    time_gradient = turns.astype(np.float32) + np.float32(hop_length * n_fft / gamma) * by_bin
    bin_gradient = np.float32(-2 * np.pi * centre / n_fft) - np.float32(gamma / (hop_length * n_fft)) * by_frame
    return time_gradient, bin_gradient


def phase_steps(time_gradient: Array, bin_gradient: Array) -> tuple[Array, Array]:
    """Differences of phase between neighbours by the trapezoid rule.

    Args:
      time_gradient: float32 [..., frames, bins], radians per frame.
      bin_gradient: float32 [..., frames, bins], radians per bin.

    Returns:
      float32 [..., frames - 1, bins], radians from each frame to the next, and float32 [..., frames, bins - 1],
      radians from each bin to the next.
    """
    along_time = (time_gradient[..., 1:, :] + time_gradient[..., :-1, :]) / 2
    along_bins = (bin_gradient[..., 1:] + bin_gradient[..., :-1]) / 2
    return along_time, along_bins


def wrap(phases: Array) -> Array:
    """Phases in radians, brought to -pi..pi."""
    return phases - np.float32(2 * np.pi) * lax.round(phases / np.float32(2 * np.pi))


def check_not_negative(values: Array, name: str) -> None:
    """Refuses values below 0 by more than rounding, where they are at hand: most likely they are decibels.

    Raises:
      ValueError: some values are negative; the message says how far.
    """
    if isinstance(values, jax.core.Tracer) or not np.size(values):
        return
    least, most = float(values.min()), float(values.max())
    if least < -_ROUNDING * max(most, -least):
        raise ValueError(
            f"{name}: goes down to {least:g}, where nothing is below 0; if these are decibels, use "
            "dsp.decibels_to_power first"
        )


def check_finite(values: Array, name: str = "magnitude") -> None:
    """Refuses values that are NaN or infinite, where they are at hand: while tracing, nothing can be said.

    Raises:
      ValueError: some values are not finite; the message counts them.
    """
    if isinstance(values, jax.core.Tracer):
        return
    finite = (np if isinstance(values, np.ndarray) else jnp).isfinite(values)
    if not finite.all():
        raise ValueError(
            f"{name}: {int(np.size(values) - finite.sum())} of {np.size(values)} values are NaN or infinite; repair "
            "them first, for example with jnp.nan_to_num"
        )
