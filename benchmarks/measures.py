"""Distances between sounds that several benchmarks share: pure functions, a wave is [..., samples].

All logarithmic distances hear no more than 80 dB down from the loudest point of the target, and none of them asks which
settings a sound was made with: the same analyses judge every sound.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from mgen import dsp

FLOOR_DB = -80.0
#: Samples of the windows that judge at 22,050 Hz (23, 46 and 93 ms); the hop is a quarter of each.
ANALYSES = (512, 1024, 2048)
#: Few enough that the shortest analysis leaves no band empty, and not the 128 that a sound may have been made from.
JUDGE_BANDS = 64


def relative_db(estimate: np.ndarray, target: np.ndarray) -> float:
    """20 log10(||estimate - target|| / ||target||), dB; -inf where they are equal."""
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(np.linalg.norm(estimate - target) / np.linalg.norm(target)))


def spectral_convergence_db(wave: np.ndarray, magnitude: np.ndarray, **frame: int) -> float:
    """How far the magnitudes of a wave are from those asked for [frames, bins], dB; `frame` is n_fft and hop_length.

    Reference: Sturmel & Daudet, "Signal reconstruction from STFT magnitude: a state of the art", DAFx 2011.
    """
    return relative_db(np.abs(np.asarray(dsp.stft(wave, **frame))), magnitude)


def log_spectral_distance(estimate: np.ndarray, target: np.ndarray, analyses: tuple[int, ...] = ANALYSES) -> np.ndarray:
    """Mean over analyses and frames of the root mean square over bins of the difference of levels, dB [...].

    Reference: Gray & Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24, 1976.
    """
    return np.mean([_distance(estimate, target, n_fft, None) for n_fft in analyses], axis=0)


def log_mel_distance(
    estimate: np.ndarray, target: np.ndarray, sample_rate: int, analyses: tuple[int, ...] = ANALYSES
) -> np.ndarray:
    """The same over 64 mel bands of each analysis, which spreads the weight over pitch as the ear does, dB [...]."""
    return np.mean([_distance(estimate, target, n_fft, sample_rate) for n_fft in analyses], axis=0)


@functools.partial(jax.jit, static_argnames=("n_fft", "sample_rate"))
def _distance(estimate: jax.Array, target: jax.Array, n_fft: int, sample_rate: int | None) -> jax.Array:
    """Distance in one analysis: of bins, or of mel bands where a rate is given."""
    frame = {"n_fft": n_fft, "hop_length": n_fft // 4}
    if sample_rate is None:
        powers = [jnp.square(jnp.abs(dsp.stft(wave, **frame))) for wave in (estimate, target)]
    else:
        powers = [
            dsp.mel_spectrogram(wave, sample_rate=sample_rate, n_mels=JUDGE_BANDS, **frame)
            for wave in (estimate, target)
        ]
    return level_distance(*powers)


def level_distance(estimate: jax.Array, target: jax.Array, floor_db: float = FLOOR_DB) -> jax.Array:
    """Distance of powers [..., frames, bands]: mean over frames of the rms over bands of their difference, dB [...]."""
    loudest = target.max(axis=(-2, -1), keepdims=True)
    floor = jnp.maximum(loudest * 10 ** (floor_db / 10), np.finfo(np.float32).tiny)
    difference = 10 * jnp.log10(jnp.maximum(estimate, floor) / jnp.maximum(target, floor))
    return jnp.sqrt(jnp.square(difference).mean(axis=-1)).mean(axis=-1)


def relative_mse(estimate: np.ndarray, target: np.ndarray) -> float:
    """Mean squared difference of samples over the target's power: 1 is silence, 2 is an unrelated sound as loud."""
    estimate, target = np.asarray(estimate, np.float64), np.asarray(target, np.float64)
    return float(np.mean((estimate - target) ** 2) / np.mean(target**2))


def rank_correlation(one: list[float], other: list[float]) -> float:
    """Spearman's: 1 where both put things in the same order, 0 where they have nothing to do with each other."""
    return float(scipy.stats.spearmanr(one, other).statistic)


def rolloff_hz(wave: np.ndarray, sample_rate: int, share: float) -> float:
    """The frequency below which `share` of the energy of a wave [samples] lies, Hz."""
    energy = np.square(np.abs(np.fft.rfft(np.asarray(wave, np.float64)))).cumsum()
    return float(np.searchsorted(energy, share * energy[-1]) * sample_rate / len(wave))


def empty_bands(*, sample_rate: int, n_fft: int, n_mels: int) -> int:
    """How many mel bands are narrower than a bin and hold nothing."""
    with without_empty_warning():
        filters = dsp.mel_filters(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels)
    return int((filters.max(axis=0) == 0).sum())


@contextlib.contextmanager
def without_empty_warning() -> Iterator[None]:
    """A context in which ours and librosa's warning of empty mel filters is off: the small windows are about them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*empty filters", category=UserWarning)
        yield
