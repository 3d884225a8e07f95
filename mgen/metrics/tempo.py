"""How fast a clip is, and how an estimate of it is judged: an octave off is an error of its own kind."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgen.arrays import check_same_shape
from mgen.metrics.rhythm import strengths_of_tempi

Array = jax.Array

#: What an estimate may be of the truth: the beat itself, or another level of the metre.
METRICAL_LEVELS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)


class TempoAccuracy(NamedTuple):
    """Shares of clips, 0 to 1."""

    accuracy1: float
    """Exact."""
    accuracy2: float
    """Exact, or an octave error."""


def tempo(
    envelope: Array,
    *,
    sample_rate: float,
    hop_length: int = 512,
    start_bpm: float = 120.0,
    std_bpm: float = 1.0,
    min_tempo: float = 30.0,
    max_tempo: float = 320.0,
    beats: int = 4,
) -> Array:
    """Tempo of greatest `rhythm_strength`, where slow and fast ones are held to be less likely beforehand.

    Unlike `librosa.feature.tempo` it looks at several beats at once and between lags: a dotted rhythm deceives it less,
    and at 120 BPM it tells tempi half a BPM apart where single lags are 5 BPM apart. It always answers: whether there
    is a beat at all is the question of `rhythm_test`.

    Args:
      envelope: float32 [..., frames], from `onset.onset_envelope`.
      sample_rate: Hz, of the wave.
      hop_length: samples between frames.
      start_bpm: likeliest tempo, BPM.
      std_bpm: standard deviation of the prior, octaves.
      min_tempo: slowest tempo tried, BPM; one that has no two beats in the clip is not tried.
      max_tempo: fastest tempo tried, BPM.
      beats: lags that are averaged.

    Returns:
      float32 [...], BPM; NaN where nothing repeats at any tempo, as in silence.

    Raises:
      ValueError: start_bpm or std_bpm is not above zero, no tempo of the range fits the clip, or as in
        `rhythm_strength`.

    Reference: Ellis 2007, as in `onset.onset_envelope`, section 3.2, for the prior.
    """
    if not (start_bpm > 0 and std_bpm > 0):
        raise ValueError(f"start_bpm={start_bpm}, std_bpm={std_bpm}: expected numbers above zero; try 120 and 1")
    tempi, strengths = strengths_of_tempi(
        envelope, sample_rate=sample_rate, hop_length=hop_length, min_tempo=min_tempo, max_tempo=max_tempo, beats=beats
    )
    prior = np.exp(-0.5 * (np.log2(tempi / start_bpm) / std_bpm) ** 2).astype(np.float32)
    return _likeliest(prior * strengths, tempi.astype(np.float32))


@jax.jit
def _likeliest(score: Array, tempi: Array) -> Array:
    return jnp.where(jnp.max(score, axis=-1) > 0, tempi[jnp.argmax(score, axis=-1)], jnp.nan)


def tempo_factor(estimate: Any, truth: Any, *, tolerance: float = 0.04) -> np.ndarray:
    """What an estimated tempo is of the true one: the same, an octave error, or wrong.

    Args:
      estimate: BPM, of any shape; NaN is wrong.
      truth: BPM, of the same shape.
      tolerance: largest error, as a share of the true tempo times the factor.

    Returns:
      float64 of the same shape: 1 exact; 2, 3, 1/2 or 1/3 the octave error that was made; 0 wrong.

    Raises:
      ValueError: the shapes differ, a true tempo is not above zero, or tolerance is not in [0, 0.2], above which the
        factors overlap.

    Reference: Gouyon et al., "An experimental comparison of audio tempo induction algorithms", IEEE TASLP 14(5), 2006.
    """
    check_same_shape(estimate, truth)
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if not np.all(truth > 0):
        raise ValueError(f"truth: expected tempi above zero, got {np.min(truth)}; leave out clips without a tempo")
    if not 0 <= tolerance < 0.2:
        raise ValueError(f"tolerance={tolerance}: expected 0 to 0.2, above which factors overlap; 0.04 is usual")
    levels = np.array(METRICAL_LEVELS)
    # A hair of slack, so that an error of exactly the tolerance is within it whatever the rounding.
    wrong_by = np.abs(estimate[..., None] / (truth[..., None] * levels) - 1) - tolerance * (1 + 1e-9)
    # NaN compares false, so it is wrong.
    return np.where(np.any(wrong_by <= 0, axis=-1), levels[np.argmax(wrong_by <= 0, axis=-1)], 0.0)


def tempo_accuracy(estimate: Any, truth: Any, *, tolerance: float = 0.04) -> TempoAccuracy:
    """Shares of tempi that are right (Accuracy 1), and right or an octave off (Accuracy 2).

    Args:
      estimate: BPM, of any shape, at least one; NaN is wrong.
      truth: BPM, of the same shape.
      tolerance: as in `tempo_factor`.

    Raises:
      ValueError: there is no tempo, or as in `tempo_factor`.

    Reference: Gouyon et al. 2006, as in `tempo_factor`.
    """
    factor = tempo_factor(estimate, truth, tolerance=tolerance)
    if not factor.size:
        raise ValueError("estimate: expected at least 1 tempo, got none")
    return TempoAccuracy(float(np.mean(factor == 1)), float(np.mean(factor > 0)))
