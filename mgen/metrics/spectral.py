"""How far the spectrum of an estimate is from that of its target: smaller is nearer, and equal waves are nearest.

Estimate and target are taken sample for sample: nothing here aligns them in time or in level. All are functions of
waves and not of spectrograms, so that no two reports can differ in how the spectrogram was made without saying so.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from mgen.arrays import EPSILON
from mgen.dsp import power_to_decibels, stft
from mgen.metrics.clips import check_pair, one_by_one

Array = jax.Array


def spectral_convergence_db(estimate: Array, target: Array, *, n_fft: int = 2048, hop_length: int = 512) -> Array:
    """Relative error of magnitudes, 20 log10(|| |STFT(estimate)| - |STFT(target)| || / || |STFT(target)| ||).

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      n_fft: samples per frame.
      hop_length: samples between frames.

    Returns:
      float32 [...], dB. An estimate of zeros is 0; what is below about -130 is rounding, and -200 is the least, for
      equal waves. A target of zeros has its norm taken as 1e-10: any sound against it is far above 0 and finite.

    Raises:
      ValueError: the shapes differ, or a wave is refused by `check_clips` or by `stft`.

    Reference: Sturmel & Daudet, "Signal reconstruction from STFT magnitude: a state of the art", DAFx 2011.
    """
    return _convergence(*check_pair(estimate, target), n_fft=n_fft, hop_length=hop_length)


def log_spectral_distance(
    estimate: Array, target: Array, *, n_fft: int = 2048, hop_length: int = 512, floor_db: float = -80.0
) -> Array:
    """Root mean square over bins of the difference of log spectra in dB, and the mean of that over frames.

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      n_fft: samples per frame.
      hop_length: samples between frames.
      floor_db: dB below the largest bin of each target, under which all levels are alike, in estimate and target. It
        says how much the noise floor counts: at -80 a bin that is missing altogether counts at most 80 dB.

    Returns:
      float32 [...], dB. A gain of g dB is a distance of |g| where nothing is below the floor. A target of zeros has
      its largest bin taken as a power of 1e-10.

    Raises:
      ValueError: the shapes differ, floor_db is not below zero or too low to be held in float32, or a wave is refused
        by `check_clips` or by `stft`.

    Reference: Gray & Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24(5), 1976.
    """
    check_floor(floor_db)
    return _log_spectral(*check_pair(estimate, target), n_fft=n_fft, hop_length=hop_length, floor_db=floor_db)


def multi_resolution_stft_distance(
    estimate: Array, target: Array, *, n_ffts: tuple[int, ...] = (2048, 1024, 512), floor_db: float = -80.0
) -> Array:
    """Spectral convergence plus mean |difference| of log magnitudes, averaged over several lengths of frame.

    A long frame hears wrong pitches and a short one smeared attacks; a hop is a quarter of its frame. Both terms are
    as in Parallel WaveGAN, with the natural logarithm, but for the floor, which there is an absolute 1e-7 of power.

    Args:
      estimate: float32 [..., samples].
      target: float32 [..., samples].
      n_ffts: samples per frame, one spectrogram for each; DDSP has (2048, 1024, 512, 256, 128, 64).
      floor_db: dB below the largest bin of each target, under which all levels are alike.

    Returns:
      float32 [...], without unit. Equal waves are 0. As above, a target of zeros makes it huge and finite.

    Raises:
      ValueError: the shapes differ, n_ffts is empty, floor_db is not below zero, or a wave is refused by
        `check_clips` or by `stft`.

    Reference: Yamamoto et al., "Parallel WaveGAN", ICASSP 2020; Engel et al., "DDSP", ICLR 2020.
    """
    check_floor(floor_db)
    if not n_ffts:
        raise ValueError("n_ffts=(): expected at least one length of frame; (2048, 1024, 512) is usual")
    return _multi_resolution(*check_pair(estimate, target), n_ffts=tuple(n_ffts), floor_db=floor_db)


def check_floor(floor_db: float) -> None:
    """Refuses a floor that is not below the maximum it is counted from. Raises ValueError."""
    if not floor_db < 0:
        raise ValueError(f"floor_db={floor_db}: expected a number below 0, dB under the target's maximum; -80 is usual")


def decibels_below(estimate: Array, target: Array, *, floor_db: float) -> tuple[Array, Array]:
    """Powers of one pair in dB relative to the target's largest, which is taken as at least 1e-10; floored."""
    largest = jnp.maximum(jnp.max(target), EPSILON)
    ours, theirs = (power_to_decibels(power / largest, floor_db=floor_db) for power in (estimate, target))
    return ours, theirs


def _power(wave: Array, n_fft: int, hop_length: int) -> Array:
    spectrum = stft(wave, n_fft=n_fft, hop_length=hop_length)
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def _norm(values: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(values)))


def _relative_error(estimate: Array, target: Array) -> Array:
    return _norm(estimate - target) / jnp.maximum(_norm(target), EPSILON)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length"))
def _convergence(estimate: Array, target: Array, *, n_fft: int, hop_length: int) -> Array:
    def one(estimate: Array, target: Array) -> Array:
        magnitudes = [jnp.sqrt(_power(wave, n_fft, hop_length)) for wave in (estimate, target)]
        return 20 * jnp.log10(jnp.maximum(_relative_error(*magnitudes), EPSILON))

    return one_by_one(one, estimate, target)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "floor_db"))
def _log_spectral(estimate: Array, target: Array, *, n_fft: int, hop_length: int, floor_db: float) -> Array:
    def one(estimate: Array, target: Array) -> Array:
        ours, theirs = decibels_below(
            _power(estimate, n_fft, hop_length), _power(target, n_fft, hop_length), floor_db=floor_db
        )
        return jnp.mean(jnp.sqrt(jnp.mean(jnp.square(ours - theirs), axis=-1)))

    return one_by_one(one, estimate, target)


@functools.partial(jax.jit, static_argnames=("n_ffts", "floor_db"))
def _multi_resolution(estimate: Array, target: Array, *, n_ffts: tuple[int, ...], floor_db: float) -> Array:
    nepers_per_db = math.log(10) / 20

    def one(estimate: Array, target: Array) -> Array:
        total = jnp.zeros(())
        for n_fft in n_ffts:
            powers = [_power(wave, n_fft, max(1, n_fft // 4)) for wave in (estimate, target)]
            ours, theirs = decibels_below(*powers, floor_db=floor_db)
            total += _relative_error(*map(jnp.sqrt, powers)) + nepers_per_db * jnp.mean(jnp.abs(ours - theirs))
        return total / len(n_ffts)

    return one_by_one(one, estimate, target)
