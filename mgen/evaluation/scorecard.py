"""The scorecard: every set of an evaluation measured, beside what the model should reach and what it must beat.

What is measured of each clip has an interval over clips: what two seeds found of the same clip is one number, not two.
What is measured of a set as a whole has one over seeds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from mgen.evaluation.measures import of_clips, of_pairs, of_set
from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, Sets

#: What is measured, and whether less (-1) or more (+1) is better; 0 is neither.
MEASURES = {
    "kernel distance": -1,
    "frechet": -1,
    "precision": +1,
    "recall": +1,
    "density": +1,
    "coverage": +1,
    "different bins": -1,
    "copies, %": -1,
    "superposed, %": -1,
    "log-mel, dB": -1,
    "log-spectral, dB": -1,
    "multi-resolution": -1,
    "mfcc": -1,
    "pitch right, %": +1,
    "harmonic to noise, dB": 0,
    "rhythmic, %": 0,
    "rhythm strength": 0,
    "bandwidth, Hz": 0,
    "flatness": 0,
    "loudness, LUFS": 0,
    "clipping, %": -1,
    "silence, %": 0,
    "broken, %": -1,
}

#: Measures by which a model must be better than the mean of the features and than noise.
DECISIVE = ("kernel distance", "log-mel, dB")

_ROUNDING = 1e-4  # of a mean: what differs by less is the same


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of the sets of one seed."""

    sets: dict[str, dict[str, float]]
    """{set: {measure: number}}, of each set as a whole."""
    clips: dict[str, dict[str, np.ndarray]]
    """{set: {measure: [count]}}, of each of its clips; NaN where one could not be measured."""
    index: dict[str, np.ndarray]
    """{set: [count]}: clips of two seeds that have the same number are about the same real clip."""


def measure(sets: Sets, *, seed: int, library: np.ndarray | None = None) -> Measured:
    """Measures every set against the training clips, and one to one against the real clips where they belong together.

    Args:
      sets: of one seed.
      seed: of surrogates, subsets and clusters.
      library: embeddings of all training clips (`sets.library`), to look for copies in; those of `sets` if None.

    Returns:
      `Measured`; a measure that a set cannot have (too few clips, nothing to compare with) is left out. Clips that hold
      NaN or infinity are counted as broken and not measured.
    """
    whole, clips, index = {}, {}, {}
    for name, waves in sets.named.items():
        together = (sets.paired or name == RECONSTRUCTED) and len(waves) == len(sets.named[REAL])
        fine = np.isfinite(waves).all(axis=1)
        whole[name] = {"broken, %": 100 * float(1 - np.mean(fine))}
        own = sets.index if name == REAL or together else -1 - np.arange(len(waves)) - len(waves) * seed
        index[name], waves = own[fine], waves[fine]
        if not len(waves):
            clips[name] = {}
            continue
        whole[name] |= of_set(name, waves, sets, seed=seed, library=library)
        asked = sets.labels if name in (REAL, RECONSTRUCTED) else sets.settings
        asked = {control: np.asarray(values)[fine] for control, values in asked.items() if len(values) == len(fine)}
        clips[name] = of_clips(waves, asked, sample_rate=sets.sample_rate, seed=seed)
        if name != REAL and together:
            clips[name] |= of_pairs(waves, sets.named[REAL][fine], sample_rate=sets.sample_rate)
    return Measured(whole, clips, index)


def summarise(runs: Sequence[Measured]) -> dict[str, dict[str, dict[str, float]]]:
    """Means with their 95 % intervals: {set: {measure: {"mean", "low", "high", "of"}}}, `of` so many clips or seeds.

    The intervals are Student's. Of one number there is none, only the mean.

    Reference: Student, "The probable error of a mean", Biometrika 6(1), 1908.
    """
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name in runs[0].sets:
        summary[name] = {}
        for measure_name in MEASURES:
            values = _of_seeds(runs, name, measure_name)
            if not len(values):
                values = np.array(list(_by_clip(runs, name, measure_name).values()))
            if len(values):
                mean, half = _interval(values)
                ends = {} if math.isnan(half) else {"low": mean - half, "high": mean + half}
                summary[name][measure_name] = {"mean": mean, "of": len(values)} | ends
    return summary


def verdict(runs: Sequence[Measured]) -> list[str]:
    """What a person should know first, a line each: what is beaten, by clips or by seeds, and what is copied."""
    lines = []
    for name in DECISIVE:
        for baseline in (MEAN, NOISE):
            ours, theirs = _by_clip(runs, GENERATED, name), _by_clip(runs, baseline, name)
            pairs = [(ours[clip], theirs[clip]) for clip in ours if clip in theirs]
            unit = "clip"
            if not pairs:
                both = [run for run in runs if name in run.sets[GENERATED] and name in run.sets[baseline]]
                pairs = [(run.sets[GENERATED][name], run.sets[baseline][name]) for run in both]
                unit = "seed"
            if pairs:
                mean, other = np.mean(pairs, axis=0)
                lines.append(f"{name}: {_compared(pairs, unit)} {baseline} ({mean:.3g} against {other:.3g})")
    copied = [run.sets[GENERATED].get("copies, %", 0.0) for run in runs]
    if np.mean(copied) > 0:
        lines.append(f"copies: {np.mean(copied):.0f} % of the sounds are nearer to a training clip than real ones are")
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


def _of_seeds(runs: Sequence[Measured], name: str, measure_name: str) -> np.ndarray:
    return np.array([run.sets[name][measure_name] for run in runs if measure_name in run.sets[name]])


def _by_clip(runs: Sequence[Measured], name: str, measure_name: str) -> dict[int, float]:
    """Mean over seeds of what was found of each clip."""
    found: dict[int, list[float]] = {}
    for run in runs:
        values = run.clips[name].get(measure_name, ())
        for clip, value in zip(run.index[name] if len(values) else (), values, strict=True):
            if math.isfinite(value):
                found.setdefault(int(clip), []).append(float(value))
    return {clip: float(np.mean(values)) for clip, values in found.items()}


def _shown(score: Mapping[str, float]) -> str:
    half = (score["high"] - score["low"]) / 2 if "low" in score else 0
    return _number(score["mean"]) + (f" ± {_number(half, 2)}" if half > _ROUNDING * abs(score["mean"]) else "")


def _number(value: float, digits: int = 3) -> str:
    """Three digits, without an exponent where there is room."""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean, and half of its 95 % interval, NaN of one value."""
    many = len(values)
    if many == 1:
        return float(values[0]), math.nan
    return float(np.mean(values)), float(stats.t.ppf(0.975, many - 1) * np.std(values, ddof=1) / math.sqrt(many))


def _compared(pairs: Sequence[tuple[float, float]], unit: str) -> str:
    """Whether the first of each pair is less, as far as so many can say."""
    less, half = _interval([ours - theirs for ours, theirs in pairs])
    if math.isnan(half):
        return f"on this one {unit} better than" if less < 0 else "NOT better than"
    if half <= _ROUNDING * float(np.max(np.abs(pairs))) and abs(less) <= _ROUNDING * float(np.max(np.abs(pairs))):
        return "the same as"
    return f"better over {len(pairs)} {unit}s than" if less + half < 0 else "NOT clearly better than"
