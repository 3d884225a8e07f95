"""A wave on another clock: output sample n is what the input has at sample `positions[n]`.

    resample_at    as a record player does it: pitch moves with speed
    time_stretch   pitch stays, only the time moves

`positions` are numbers of samples and may run fast, slowly, backwards or in a circle (`wrap`). Rate 1 from 0 on, which
is `arange`, gives the wave itself. A float32 of 2**20 samples (48 s at 22 050 Hz) holds a place to 1/32 of a sample, of
2**18 to 1/128: positions that are float64 NumPy arrays keep all of it, for they are split before they reach the device.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mgen.arrays import check_shape
from mgen.dsp.phase import griffin_lim
from mgen.dsp.phase_gradient import log_magnitude
from mgen.dsp.phase_gradient import wrap as wrap_phase
from mgen.dsp.phase_scan import strongest_sources
from mgen.dsp.stft import frame_count, istft, rfft, window

Array = jax.Array

_BETA = 8.0  # of the Kaiser window: what is stopped is 80 dB down, and with 32 taps the slope is 0.16 cycles a sample
_TERMS = 15  # of the window's power series, which leave out 2e-9
_SLOWEST = 4.0  # beyond, attacks in a frame are brought no further apart


def resample_at(wave: Array, positions: Array, *, wrap: bool = False, taps: int = 32) -> Array:
    """The wave between its samples, by a sum of sines under a Kaiser window: varispeed.

    Where an item's positions go faster than a sample a step anywhere, all of it is low-passed at the Nyquist frequency
    of its fastest step (6 dB down there), so a jump dulls it: with `wrap` those by whole rounds are none.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      positions: float32 [..., out], samples from the wave's first, broadcast against wave's leading axes; float64 NumPy
        arrays keep the fraction of a place late in a long wave.
      wrap: whether the wave is a ring; else there is silence before and behind it.
      taps: samples that one value is made of, even.

    Returns:
      float32 [..., out]. Whole positions at rate 1 give the very samples.

    Raises:
      ValueError: wave is not of floats or has no samples, positions has no axis, or taps is not even and above 0.

    Reference: Smith & Gossett, "A flexible sampling-rate conversion method", ICASSP 1984.
    """
    wave, whole, part = _checked(wave, positions)
    if taps < 2 or taps % 2:
        raise ValueError(f"taps={taps}: expected an even number of 2 or more; 32 is usual")
    return _resample_at(wave, whole, part, wrap=wrap, taps=taps)


@functools.partial(jax.jit, static_argnames=("wrap", "taps"))
def _resample_at(wave: Array, whole: Array, part: Array, *, wrap: bool, taps: int) -> Array:
    cutoff = lax.stop_gradient(1 / _fastest(whole, part, wave.shape[-1] if wrap else None))
    take = jnp.vectorize(functools.partial(_taken, wrap=wrap), signature="(s),(n)->(n)")

    def step(total: Array, near: Array) -> tuple[Array, None]:
        weight = cutoff * _sinc(cutoff * (near - part)) * _kaiser(2 * (near - part) / taps)
        return total + weight * take(wave, whole + near), None

    # A tap at a time, in a loop: as an axis of its own the taps took 40 times the memory, and no less time.
    shape = (*jnp.broadcast_shapes(wave.shape[:-1], whole.shape[:-1]), whole.shape[-1])
    return lax.scan(jax.checkpoint(step), jnp.zeros(shape), np.arange(1 - taps // 2, 1 + taps // 2))[0]


def _sinc(place: Array) -> Array:
    """sin(pi x) / (pi x), exactly 0 at whole numbers and exact far from 0: the sine is taken of what is left."""
    nearest = jnp.round(place)
    sine = jnp.where(nearest % 2 == 0, 1, -1) * jnp.sin(math.pi * (place - nearest))
    centre = jnp.abs(place) < 1e-4
    return jnp.where(centre, 1, sine / (math.pi * jnp.where(centre, 1, place)))


def _taken(wave: Array, index: Array, wrap: bool) -> Array:
    """Samples of a wave [samples] at index, whose ends meet or are followed by silence."""
    samples = wave.shape[-1]
    if wrap:
        return wave[index % samples]
    return jnp.where((index >= 0) & (index < samples), wave[jnp.clip(index, 0, samples - 1)], 0)


def _fastest(whole: Array, part: Array, ring: int | None) -> Array:
    """The largest step of positions [..., out], at least 1: [..., 1]; steps by whole rings are none."""
    if whole.shape[-1] < 2:
        return jnp.ones((*whole.shape[:-1], 1))
    step = _shorter(jnp.diff(whole), ring) + jnp.diff(part)
    return jnp.maximum(1, jnp.max(jnp.abs(step), axis=-1, keepdims=True))


def _shorter(step: Array, ring: int | None) -> Array:
    """Steps, of a ring the shorter way round."""
    return step if ring is None else (step + ring // 2) % ring - ring // 2


def _kaiser(place: Array) -> Array:
    """The window at places -1..1, 0 beyond: its Bessel function is a series in the square, cheaper than itself."""
    inside = jnp.maximum(1 - jnp.square(place), 0)
    series = [(_BETA**2 / 4) ** k / math.factorial(k) ** 2 for k in range(_TERMS)]
    total = jnp.polyval(jnp.asarray(series[::-1], jnp.float32), inside) / math.fsum(series)
    return jnp.where(inside > 0, total, 0)


def time_stretch(
    wave: Array,
    positions: Array,
    *,
    n_fft: int = 1024,
    hop_length: int = 256,
    wrap: bool = False,
    n_iter: int = 0,
) -> Array:
    """The wave on another clock with its pitch as it was: a phase vocoder that keeps drums sharp.

    Output frame m is the frame of the wave around `positions[m * hop_length]`, to the sample, with its phases turned:
    along time they advance as in the hop before that place, along frequency their slope (where in the frame an attack
    is) shrinks or grows with the rate, and each bin follows the louder of the two ways. So an attack is where it should
    be in every frame that holds it. Where the rate is 1 nothing turns: `arange` gives the wave itself to 1e-6. The turn
    is constant to differentiation. `benchmarks/time_warp.py` measures it against what else there is: docs/time_warp.md.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1].
      positions: float32 or float64 NumPy [..., out], as in `resample_at`; read at every hop.
      n_fft: samples per frame. About 50 ms is best for drums: 512 at 10 kHz, 1024 at 22 050 Hz.
      hop_length: samples between frames of the output; a quarter of a frame.
      wrap: whether the wave is a ring; else there is silence before and behind it.
      n_iter: iterations of `griffin_lim` from these phases. The spectrogram comes nearer to what is asked with 2 of
        them, and attacks get blunter; with any, `arange` gives the wave only nearly.

    Returns:
      float32 [..., out].

    Raises:
      ValueError: wave is not of floats or has no samples, positions has no axis or fewer than n_fft // 2 + 1 places,
        hop_length is not in 1..n_fft, or n_iter is below 0.

    Reference: Prusa & Holighaus, "Phase vocoder done right", EUSIPCO 2017, with `scan_phases`' order of steps; the
      phases of two frames a hop apart as in Bonada, "Automatic technique in frequency domain for near-lossless
      time-scale modification of audio", ICMC 2000.
    """
    wave, whole, part = _checked(wave, positions)
    if n_iter < 0:
        raise ValueError(f"n_iter={n_iter}: expected 0 or more; 0 keeps attacks sharpest")
    frame_count(whole.shape[-1], n_fft=n_fft, hop_length=hop_length)  # its refusals
    return _time_stretch(wave, whole, part, n_fft=n_fft, hop_length=hop_length, wrap=wrap, n_iter=n_iter)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "wrap", "n_iter"))
def _time_stretch(
    wave: Array, whole: Array, part: Array, *, n_fft: int, hop_length: int, wrap: bool, n_iter: int
) -> Array:
    length = whole.shape[-1]
    centre = np.arange(frame_count(length, n_fft=n_fft, hop_length=hop_length)) * hop_length
    at = np.minimum(centre, length - 1)
    # The last frame may lie behind the last place, which goes on at rate 1.
    places = whole[..., at] + jnp.round(part[..., at]).astype(jnp.int32) + (centre - at)
    spectrum = spectra_at(wave, places, n_fft, wrap)  # [..., frames, bins], and so is all below
    before = spectra_at(wave, places - hop_length, n_fft, wrap)
    slowness = _slowness(places, centre, wave.shape[-1] if wrap else None)
    turn = lax.stop_gradient(_turn(spectrum, before, slowness))
    turned = spectrum * lax.complex(jnp.cos(turn), jnp.sin(turn))
    sizes = {"n_fft": n_fft, "hop_length": hop_length, "length": length}
    if not n_iter:
        return istft(turned, **sizes)
    return griffin_lim(jnp.abs(spectrum), init=lax.stop_gradient(jnp.angle(turned)), n_iter=n_iter, **sizes)


def _slowness(places: Array, centre: np.ndarray, ring: int | None) -> Array:
    """One over the rate around each frame [..., frames], up to `_SLOWEST`; negative backwards."""
    if len(centre) == 1:
        return jnp.ones(places.shape)
    frame = np.arange(len(centre))
    after, before = np.minimum(frame + 1, frame[-1]), np.maximum(frame - 1, 0)
    rate = _shorter(places[..., after] - places[..., before], ring) / (centre[after] - centre[before])
    return jnp.clip(1 / jnp.where(jnp.abs(rate) < 1 / _SLOWEST, 1 / _SLOWEST, rate), -_SLOWEST, _SLOWEST)


def _turn(spectrum: Array, before: Array, slowness: Array) -> Array:
    """Radians [..., frames, bins] that each bin's phase is turned by, from the frames and those a hop before each.

    Each frame turns like the output's last one, read at the bins that its own follow, plus what these steps add; such
    maps are composed pairwise, so there is no loop over frames.
    """
    logs = log_magnitude(jnp.abs(spectrum))
    past = jnp.concatenate([logs[..., :1, :], logs[..., :-1, :]], axis=-2)
    along_time = jnp.angle(spectrum[..., :-1, :] * before[..., 1:, :].conj())
    along_time = jnp.pad(along_time, [(0, 0)] * (logs.ndim - 2) + [(1, 0), (0, 0)])
    # Seen from the middle of the frame, where the phase of an attack there has no slope.
    slope = jnp.angle(-spectrum[..., 1:] * spectrum[..., :-1].conj())
    bend = slope * (slowness[..., None] - 1)
    source, spread = strongest_sources(logs + past, logs[..., 1:] + logs[..., :-1], bend)
    step = wrap_phase(jnp.take_along_axis(along_time, source, axis=-1) + spread)

    def follow(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
        source, turn = (jnp.take_along_axis(values, other[0], axis=-1) for values in one)
        return source, wrap_phase(turn + other[1])

    return lax.associative_scan(follow, (source, step), axis=source.ndim - 2)[1]


def spectra_at(wave: Array, places: Array, n_fft: int, wrap: bool) -> Array:
    """Spectra [..., frames, bins] of frames centred at samples places [..., frames]."""
    index = places[..., None] + np.arange(n_fft) - n_fft // 2
    taken = jnp.vectorize(functools.partial(_taken, wrap=wrap), signature="(s),(m,n)->(m,n)")(wave, index)
    return rfft(taken * window("hann", n_fft, n_fft))


def _checked(wave: Array, positions: Array) -> tuple[Array, Array, Array]:
    """The wave, and the whole and the fractional part of the positions: int32 and float32, 0 to 1."""
    wave = jnp.asarray(wave)
    check_shape(wave, {"...": None, "samples": None}, "wave")
    if not jnp.issubdtype(wave.dtype, jnp.floating):
        raise ValueError(f"wave: expected floats in [-1, 1], got {wave.dtype}; scale and convert it first")
    if not wave.shape[-1]:
        raise ValueError(f"wave: expected at least 1 sample, got {wave.shape}")
    check_shape(positions, {"...": None, "out": None}, "positions")
    library = np if isinstance(positions, np.ndarray) else jnp
    whole = library.floor(positions)
    return wave.astype(jnp.float32), jnp.asarray(whole, jnp.int32), jnp.asarray(positions - whole, jnp.float32)
