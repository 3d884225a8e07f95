"""The short-time Fourier transform and its inverse, with librosa's numbers and time before frequency.

Nothing here gathers or scatters: a wave is cut into hops by a reshape, a frame is a few neighbouring hops side by side,
and overlap-add is the same walked backwards. That runs well on CPU, GPU and TPU, and its gradient is no scatter either.
The graph grows with n_fft / hop_length, so a hop of a few samples compiles slowly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import check_shape

Array = jax.Array

#: Bytes of spectra that one FFT may make. XLA's plans on a GPU take as much again, and one over 4 GB ends the process
#: (jax-ml/jax#9591), so more than this goes in several.
PLAN_BYTES = 1 << 30

#: Generalised cosine windows, alpha - (1 - alpha) cos: name to alpha.
_WINDOWS = {"hann": 0.5, "hamming": 0.54}


def window(name: str, win_length: int, n_fft: int) -> np.ndarray:
    """Periodic analysis window, zero-padded on both sides to the length of a frame.

    Args:
      name: "hann" or "hamming".
      win_length: samples of the window itself.
      n_fft: samples of the frame that it is centred in.

    Returns:
      float32 [n_fft], the same numbers as `librosa.util.pad_center(librosa.filters.get_window(...), size=n_fft)`.

    Raises:
      ValueError: the name is unknown, or win_length is not in 1..n_fft.
    """
    return window_float64(name, win_length, n_fft).astype(np.float32)


def frame_count(samples: int, *, n_fft: int, hop_length: int, center: bool = True) -> int:
    """Frames that `stft` makes of a wave of `samples` samples.

    Raises:
      ValueError: hop_length is not in 1..n_fft, or the wave is shorter than n_fft // 2 + 1 samples (n_fft samples
        where the frames are not centred).
    """
    _check_hop(hop_length, n_fft)
    shortest = n_fft // 2 + 1 if center else n_fft
    if samples < shortest:
        raise ValueError(
            f"wave: {samples} samples are too few for n_fft={n_fft} with center={center}; "
            f"give at least {shortest} samples or a smaller n_fft"
        )
    return 1 + (samples + 2 * margin(n_fft, center) - n_fft) // hop_length


def sample_count(frames: int, *, n_fft: int, hop_length: int, center: bool = True) -> int:
    """Samples that `istft` makes of `frames` frames where no length is asked for.

    Raises:
      ValueError: hop_length is not in 1..n_fft.
    """
    _check_hop(hop_length, n_fft)
    return n_fft + hop_length * (frames - 1) - 2 * margin(n_fft, center)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "win_length", "window", "center"))
def stft(
    wave: Array,
    *,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
) -> Array:
    """Short-time Fourier transform.

    Same numbers as `librosa.stft` with its zero padding, transposed: time comes before frequency. `istft` undoes it.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      n_fft: samples per frame.
      hop_length: samples between frames.
      win_length: samples of the window, centred in the frame; all of the frame if None.
      window: "hann" or "hamming".
      center: whether frame t is centred at sample t * hop_length, the wave being continued by zeros, or starts there.

    Returns:
      complex64 [..., frames, bins]; bins = 1 + n_fft // 2 and frames = 1 + samples // hop_length where n_fft is even
      and frames are centred; `frame_count` knows the other cases.

    Raises:
      ValueError: hop_length or win_length is not in 1..n_fft, the window is unknown, wave is not of floats, or wave is
        shorter than n_fft // 2 + 1 samples (n_fft samples where the frames are not centred).

    Reference: Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984.
    """
    wave = jnp.asarray(wave)
    if not jnp.issubdtype(wave.dtype, jnp.floating):
        raise ValueError(f"wave: expected floats in [-1, 1], got {wave.dtype}; scale and convert it first")
    if wave.ndim == 0:
        raise ValueError("wave: expected [..., samples], got a scalar; give at least one axis")
    weights = window_float64(window, win_length, n_fft).astype(np.float32)
    frames = frame_count(wave.shape[-1], n_fft=n_fft, hop_length=hop_length, center=center)
    hops = wave_to_hops(wave.astype(jnp.float32), frames, n_fft, hop_length, center)
    return rfft(hops_to_frames(hops, n_fft) * weights)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "win_length", "window", "center", "length"))
def istft(
    spectrum: Array,
    *,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    length: int | None = None,
) -> Array:
    """Inverse of `stft`: the wave whose transform is nearest to `spectrum` in least squares.

    Same numbers as `librosa.istft`. Where no window reaches (the windows' squares sum to zero) the wave is zero. With
    `center=False` and a Hann window the first and last samples are divided by nearly nothing: there they are exact only
    for a spectrum that is the transform of a wave, and rounding is magnified.

    Args:
      spectrum: complex64 [..., frames, bins].
      n_fft: samples per frame, as in `stft`.
      hop_length: samples between frames, as in `stft`.
      win_length: samples of the window, as in `stft`.
      window: "hann" or "hamming", as in `stft`.
      center: whether frames are centred, as in `stft`.
      length: samples to return: longer is filled with zeros, shorter is cut. If None, `sample_count(frames)`, which is
        short of the analysed wave by up to hop_length - 1 samples.

    Returns:
      float32 [..., samples].

    Raises:
      ValueError: hop_length or win_length is not in 1..n_fft, the window is unknown, the bins are not 1 + n_fft // 2,
        or length is less than 1.

    Reference: Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984.
    """
    spectrum = jnp.asarray(spectrum)
    check_bins(spectrum, n_fft, "spectrum")
    weights = window_float64(window, win_length, n_fft)
    if length is None:
        length = sample_count(spectrum.shape[-2], n_fft=n_fft, hop_length=hop_length, center=center)
    if length < 1:
        raise ValueError(
            f"length={length}: no samples of {spectrum.shape[-2]} frames of n_fft={n_fft} at hop_length={hop_length}; "
            "ask for at least 1, or give more frames"
        )
    _check_hop(hop_length, n_fft)
    before = margin(n_fft, center)
    # Frames that start behind the last sample wanted are not worth an inverse transform.
    frames = min(spectrum.shape[-2], math.ceil((length + 2 * before) / hop_length))
    pieces = irfft(spectrum[..., :frames, :].astype(jnp.complex64), n_fft) * weights.astype(np.float32)
    wave = hops_to_wave(frames_to_hops(pieces, hop_length), before, length)
    return wave * reciprocal_envelope(window, win_length, n_fft, hop_length, frames, before, length)


def check_bins(spectrogram: Array, n_fft: int, name: str) -> None:
    """Refuses a spectrogram that was not made with `n_fft`.

    Raises:
      ValueError: it is not [..., frames, 1 + n_fft // 2] with at least one frame; a transposed one is called so.
    """
    bins, shape = 1 + n_fft // 2, np.shape(spectrogram)
    if len(shape) > 1 and shape[-1] != bins and shape[-2] == bins:
        raise ValueError(
            f"{name}: expected [..., frames, bins={bins}], got {shape}; time comes before frequency, swap it"
        )
    if len(shape) > 1 and shape[-1] != bins:
        raise ValueError(f"{name}: expected [..., frames, bins={bins}] for n_fft={n_fft}, got {shape}; give its n_fft")
    check_shape(spectrogram, {"...": None, "frames": None, "bins": bins}, name)
    if not shape[-2]:
        raise ValueError(f"{name}: expected at least 1 frame, got {shape}; give more frames")


def _check_hop(hop_length: int, n_fft: int) -> None:
    if not 1 <= hop_length <= n_fft:
        raise ValueError(f"hop_length={hop_length}: expected 1 to n_fft={n_fft}; n_fft // 4 = {n_fft // 4} is usual")


def margin(n_fft: int, center: bool) -> int:
    """Samples of padding on either side."""
    return n_fft // 2 if center else 0


@functools.lru_cache(maxsize=32)
def window_float64(name: str, win_length: int | None, n_fft: int) -> np.ndarray:
    """The window before it is rounded, float64 [n_fft], read-only; see `window`."""
    win_length = n_fft if win_length is None else win_length
    if name not in _WINDOWS:
        raise ValueError(f"window={name!r}: unknown, expected one of {', '.join(_WINDOWS)}")
    if not 1 <= win_length <= n_fft:
        raise ValueError(f"win_length={win_length}: expected 1 to n_fft={n_fft}; raise n_fft or shorten the window")
    alpha = _WINDOWS[name] if win_length > 1 else 1.0  # a single sample is 1 to scipy, not the zero of a Hann window
    shape = alpha - (1 - alpha) * np.cos(2 * np.pi * np.arange(win_length) / win_length)
    before = (n_fft - win_length) // 2
    weights = np.pad(shape, (before, n_fft - win_length - before))
    weights.flags.writeable = False
    return weights


@functools.lru_cache(maxsize=32)
def reciprocal_envelope(
    name: str, win_length: int | None, n_fft: int, hop_length: int, frames: int, before: int, length: int
) -> np.ndarray:
    """One over the sum of the squared windows at each sample [length], and 1 where no window reaches.

    It follows from sizes alone, so it is made with numpy while tracing and costs one product in the compiled function.
    """
    squared = np.pad(window_float64(name, win_length, n_fft) ** 2, (0, -n_fft % hop_length)).reshape(-1, hop_length)
    envelope = np.zeros((frames + len(squared) - 1, hop_length))
    for piece, values in enumerate(squared):
        envelope[piece : piece + frames] += values
    envelope = envelope.reshape(-1)[before : before + length]
    envelope = np.pad(envelope, (0, length - len(envelope)))
    # librosa's threshold: the smallest normal float32. A Hann window is exactly zero at its first sample.
    reached = envelope > np.finfo(np.float32).tiny
    reciprocal = np.divide(1.0, envelope, out=np.ones_like(envelope), where=reached).astype(np.float32)
    reciprocal.flags.writeable = False
    return reciprocal


def rfft(frames: Array) -> Array:
    """Spectra [..., 1 + n // 2] of frames [..., n], at most `PLAN_BYTES` of them in one FFT."""
    return _in_plans(jnp.fft.rfft, frames, 8 * (1 + frames.shape[-1] // 2))


def irfft(spectra: Array, n_fft: int) -> Array:
    """Frames [..., n_fft] of spectra [..., 1 + n_fft // 2], see `rfft`."""
    return _in_plans(functools.partial(jnp.fft.irfft, n=n_fft), spectra, 8 * spectra.shape[-1])


def _in_plans(transform: Callable[[Array], Array], rows: Array, row_bytes: int) -> Array:
    """Transforms the last axis, as many rows at a time as a plan may hold."""
    count, most = math.prod(rows.shape[:-1]), max(1, PLAN_BYTES // row_bytes)
    if count <= most:
        return transform(rows)
    made = lax.map(transform, rows.reshape(count, -1), batch_size=most)
    return made.reshape(*rows.shape[:-1], -1)


def wave_to_hops(wave: Array, frames: int, n_fft: int, hop_length: int, center: bool) -> Array:
    """A wave [..., samples] cut into the hops [..., hops, hop_length] that `frames` frames reach, zeros around it.

    There are `frames` + ceil(n_fft / hop_length) - 1 hops. The samples behind the last of them are in no frame.
    """
    count, before = frames + -(-n_fft // hop_length) - 1, margin(n_fft, center)
    wave = wave[..., : count * hop_length - before]
    after = count * hop_length - before - wave.shape[-1]
    return jnp.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(before, after)]).reshape(*wave.shape[:-1], count, hop_length)


def hops_to_wave(hops: Array, before: int, length: int) -> Array:
    """The `length` samples behind the first `before` of hops [..., hops, hop_length], with zeros behind their end."""
    wave = hops.reshape(*hops.shape[:-2], hops.shape[-2] * hops.shape[-1])[..., before : before + length]
    return jnp.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(0, length - wave.shape[-1])])


def hops_to_frames(hops: Array, n_fft: int) -> Array:
    """Overlapping frames [..., frames, n_fft], from hops [..., frames + pieces - 1, hop_length]."""
    pieces = -(-n_fft // hops.shape[-1])
    frames = hops.shape[-2] - pieces + 1
    side_by_side = jnp.concatenate([hops[..., piece : piece + frames, :] for piece in range(pieces)], axis=-1)
    return side_by_side[..., :n_fft]  # where hop_length does not divide n_fft the last hop sticks out


def frames_to_hops(frames: Array, hop_length: int) -> Array:
    """Sum of frames [..., frames, n_fft] laid hop_length apart: [..., frames + pieces - 1, hop_length]."""
    *leading, count, n_fft = frames.shape
    pieces = -(-n_fft // hop_length)
    keep = [(0, 0)] * len(leading)
    frames = jnp.pad(frames, [*keep, (0, 0), (0, pieces * hop_length - n_fft)])
    frames = frames.reshape(*leading, count, pieces, hop_length)
    shifted = [jnp.pad(frames[..., p, :], [*keep, (p, pieces - 1 - p), (0, 0)]) for p in range(pieces)]
    return functools.reduce(jnp.add, shifted)
