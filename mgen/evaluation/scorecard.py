"""The scorecard: every set of an evaluation measured, beside what the model should reach and what it must beat."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from mgen import dsp
from mgen.controls import Settings
from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, Sets
from mgen.metrics.defects import clipping, silence
from mgen.metrics.distribution import frechet_distance, kernel_distance
from mgen.metrics.diversity import density_coverage, different_bins, precision_recall
from mgen.metrics.embedding import embed
from mgen.metrics.loudness import loudness
from mgen.metrics.mel import mel_distance, mfcc_distance
from mgen.metrics.novelty import memorisation
from mgen.metrics.onset import onset_envelope
from mgen.metrics.pitch import fundamental_frequency, note_pitch, pitch_accuracy
from mgen.metrics.rhythm import rhythm_test
from mgen.metrics.spectral import log_spectral_distance, multi_resolution_stft_distance
from mgen.metrics.superposition import sparse_mixture
from mgen.metrics.timbre import timbre
from mgen.metrics.tone import harmonic_to_noise_db

#: What is measured, with its unit, and whether less (-1) or more (+1) is better; 0 is neither.
MEASURES = {
    "frechet": -1,
    "kernel distance": -1,
    "precision": +1,
    "recall": +1,
    "density": +1,
    "coverage": +1,
    "different bins": -1,
    "copies": -1,
    "mixture share": 0,
    "log-mel, dB": -1,
    "log-spectral, dB": -1,
    "multi-resolution": -1,
    "mfcc": -1,
    "pitch right, %": +1,
    "harmonic to noise, dB": 0,
    "rhythmic": 0,
    "rhythm strength": 0,
    "bandwidth, Hz": 0,
    "flatness": 0,
    "loudness, LUFS": 0,
    "clipping, %": -1,
    "silence, %": 0,
}

#: Measures by which a model must be better than the mean spectrogram and than noise.
DECISIVE = ("frechet", "log-mel, dB")

_SURROGATES = 199
#: Shorter clips hold no two beats of the slowest tempo.
_BEATS_S = 2.5
_BINS = 10
_NEAREST = 5
_ROUNDING = 1e-4  # of a mean: seeds that differ by less are the same


def measure(sets: Sets, *, seed: int) -> dict[str, dict[str, float]]:
    """Measures every set against the training clips, and one to one against the real clips where they belong together.

    Args:
      sets: of one seed.
      seed: of surrogates and clusters.

    Returns:
      {set: {measure: number}}; a measure that a set cannot have (too few clips, nothing to compare with) is left out.
    """
    rate = sets.sample_rate
    train = np.asarray(embed(sets.train, sample_rate=rate))
    real = np.asarray(embed(sets.named[REAL], sample_rate=rate))
    scores = {}
    for name, waves in sets.named.items():
        own = np.asarray(embed(waves, sample_rate=rate))
        scores[name] = _distribution(own, train, seed) | _novelty(own, train, real, seed) | _each(waves, rate, seed)
        scores[name] |= {"mixture share": _mixture_share(waves, sets.train, rate)}
        scores[name] |= _notes(waves, sets.labels if name in (REAL, RECONSTRUCTED) else sets.settings, rate)
        together = sets.paired or name == RECONSTRUCTED
        if name != REAL and together and len(waves) == len(sets.named[REAL]):
            scores[name] |= _pairs(waves, sets.named[REAL], rate)
    return scores


def summarise(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Means over seeds with their 95 % intervals: {set: {measure: {"mean", "low", "high"}}}.

    The intervals are Student's. Of one seed there is none, only the mean.

    Reference: Student, "The probable error of a mean", Biometrika 6(1), 1908.
    """
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name in runs[0]:
        summary[name] = {}
        for measure_name in MEASURES:
            values = [run[name][measure_name] for run in runs if measure_name in run[name]]
            if values:
                mean, half = _interval(values)
                ends = {} if math.isnan(half) else {"low": mean - half, "high": mean + half}
                summary[name][measure_name] = {"mean": mean} | ends
    return summary


def verdict(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> list[str]:
    """What a person should know first, a line each: what is beaten, seed by seed, and whether anything was copied."""
    lines = []
    for name in DECISIVE:
        for baseline in (MEAN, NOISE):
            pairs = [
                (run[GENERATED][name], run[baseline][name])
                for run in runs
                if name in run[GENERATED] and name in run[baseline]
            ]
            if pairs:
                lines.append(f"{name}: {_compared(pairs)} {baseline}{_numbers(pairs)}")
    copied = float(np.mean([run[GENERATED].get("copies", 0.0) for run in runs]))
    if copied > 0:
        lines.append(
            f"copies: {100 * copied:.0f} % of the sounds are nearer to a training clip than real ones ever are"
        )
    return lines


def rows(summary: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[dict[str, str]]:
    """The table: a row for each measure, a column for each set, means with half of their interval."""
    table = []
    for name, better in MEASURES.items():
        row = {"measure": name, "better": {-1: "less", 1: "more", 0: ""}[better]}
        for column, scores in summary.items():
            row[column] = _shown(scores[name]) if name in scores else "-"
        if any(row[column] != "-" for column in summary):
            table.append(row)
    return table


def _shown(score: Mapping[str, float]) -> str:
    half = (score["high"] - score["low"]) / 2 if "low" in score else 0
    return _number(score["mean"]) + (f" ± {_number(half, 2)}" if half > _ROUNDING * abs(score["mean"]) else "")


def _number(value: float, digits: int = 3) -> str:
    """Three digits, without an exponent where there is room."""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval, NaN of one value."""
    many = len(values)
    if many == 1:
        return float(values[0]), math.nan
    return float(np.mean(values)), float(stats.t.ppf(0.975, many - 1) * np.std(values, ddof=1) / math.sqrt(many))


def _compared(pairs: Sequence[tuple[float, float]]) -> str:
    """Whether the first of each pair is less, as far as the seeds can say: each has the same real clips for both."""
    less, half = _interval([ours - theirs for ours, theirs in pairs])
    if math.isnan(half):
        return "on this one seed better than" if less < 0 else "NOT better than"
    return "better than" if less + half < 0 else "NOT clearly better than"


def _numbers(pairs: Sequence[tuple[float, float]]) -> str:
    ours, theirs = np.mean(pairs, axis=0)
    return f" ({ours:.3g} against {theirs:.3g})"


def _distribution(own: np.ndarray, train: np.ndarray, seed: int) -> dict[str, float]:
    """Distances of a set's points from those of the training clips. Fewer than 3 clips are no distribution."""
    if min(len(own), len(train)) < 3:
        return {}
    with warnings.catch_warnings():
        # With fewer clips than dimensions it is too large, for every set alike: the real ones stand beside it.
        warnings.simplefilter("ignore", UserWarning)
        scores = {"frechet": frechet_distance(own, train)}
    scores["kernel distance"] = kernel_distance(own, train).value
    if min(len(own), len(train)) > _NEAREST:
        near = precision_recall(own, train)
        dense = density_coverage(own, train, neighbours=_NEAREST)
        scores |= {"precision": near.precision, "recall": near.recall}
        scores |= {"density": dense.density, "coverage": dense.coverage}
    if len(train) >= 2 * _BINS:
        scores["different bins"] = different_bins(own, train, bins=_BINS, seed=seed).share
    return scores


def _novelty(own: np.ndarray, train: np.ndarray, real: np.ndarray, seed: int) -> dict[str, float]:
    found = memorisation(cdist(own, train), cdist(own, real), cdist(real, train), seed=seed)
    return {"copies": float(np.mean(found.copied))}


def _mixture_share(waves: np.ndarray, train: np.ndarray, rate: int) -> float:
    """How much of a set a sum of three training clips explains, mean."""
    mel = {"sample_rate": rate, "n_fft": 2048, "hop_length": 512, "n_mels": 64}
    own, other = (np.asarray(dsp.mel_spectrogram(values, **mel)) for values in (waves, train))
    return float(np.mean(sparse_mixture(own, other, atoms=min(3, len(train))).share[:, -1]))


def _each(waves: np.ndarray, rate: int, seed: int) -> dict[str, float]:
    """What is heard in each clip alone."""
    colour = timbre(waves, sample_rate=rate)
    numbers = {} if waves.shape[-1] < _BEATS_S * rate else _rhythm(waves, rate, seed)
    numbers |= {
        "bandwidth, Hz": np.nanmean(colour.bandwidth),
        "flatness": np.nanmean(colour.flatness),
        "loudness, LUFS": np.mean(loudness(waves, sample_rate=rate)),
        "clipping, %": 100 * np.mean(clipping(waves)),
        "silence, %": 100 * np.mean(silence(waves)),
    }
    return {name: float(value) for name, value in numbers.items() if np.isfinite(value)}


def _rhythm(waves: np.ndarray, rate: int, seed: int) -> dict[str, float]:
    envelope = onset_envelope(waves, sample_rate=rate)
    found = rhythm_test(envelope, rng=jax.random.key(seed), sample_rate=rate, surrogates=_SURROGATES)
    return {"rhythmic": np.mean(np.asarray(found.p_value) < 0.05), "rhythm strength": np.mean(found.strength)}


def _notes(waves: np.ndarray, settings: Settings, rate: int) -> dict[str, float]:
    """Of notes, asked for by whole MIDI numbers: whether they have that pitch, within 50 cents, and how noisy they are.

    A slider of fractions, such as the middle of a melody, asks for no note.
    """
    wanted = np.asarray(settings.get("pitch", ()))
    if not len(wanted) or len(wanted) != len(waves) or np.any(wanted != np.round(wanted)):
        return {}
    track = fundamental_frequency(waves, sample_rate=rate)
    ratio = np.asarray(harmonic_to_noise_db(track))
    numbers = {"pitch right, %": float(100 * pitch_accuracy(note_pitch(track).midi, wanted))}
    heard = ratio[np.isfinite(ratio)]
    return numbers | ({"harmonic to noise, dB": float(np.mean(heard))} if len(heard) else {})


def _pairs(waves: np.ndarray, real: np.ndarray, rate: int) -> dict[str, float]:
    numbers = {
        "log-mel, dB": mel_distance(waves, real, sample_rate=rate),
        "log-spectral, dB": log_spectral_distance(waves, real),
        "multi-resolution": multi_resolution_stft_distance(waves, real),
        "mfcc": mfcc_distance(waves, real, sample_rate=rate),
    }
    return {name: float(np.mean(value)) for name, value in numbers.items()}
