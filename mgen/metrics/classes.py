"""How well classes are told apart: by segment, by the track that segments are of, and which is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mgen.arrays import check_shape


class Classified(NamedTuple):
    """What `classified` found."""

    segment: float  # share of segments that are right
    track: float  # share of tracks that are right, by the mean over their segments
    tracks: int
    confusion: np.ndarray  # int [classes, classes]: segments of a class, by row, taken for another, by column
    low: float  # 95 % interval of `track`
    high: float


def classified(probabilities: Any, truth: Sequence[int], tracks: Sequence[str]) -> Classified:
    """Accuracies and confusions of segments.

    Args:
      probabilities: float [segments, classes].
      truth: the class of each segment.
      tracks: the name of the track that each segment is of; all of one track are of one class.

    Returns:
      `Classified`; the interval is Wilson's, of tracks, because segments of one track are not independent.

    Raises:
      ValueError: lengths differ, there are none, or a track has two classes.

    Reference: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    probabilities, truth = np.asarray(probabilities, np.float64), np.asarray(truth, int)
    check_shape(probabilities, {"segments": None, "classes": None}, "probabilities")
    if not len(probabilities) == len(truth) == len(tracks) >= 1:
        raise ValueError(f"expected as many of each, got {len(probabilities)}, {len(truth)} and {len(tracks)}")
    guessed = np.argmax(probabilities, axis=1)
    confusion = np.zeros((probabilities.shape[1],) * 2, int)
    np.add.at(confusion, (truth, guessed), 1)
    names, number = np.unique(np.asarray(tracks), return_inverse=True)
    sums = np.zeros((len(names), probabilities.shape[1]))
    np.add.at(sums, number, probabilities)
    own = np.zeros(len(names), int)
    own[number] = truth
    if np.any(own[number] != truth):
        raise ValueError(f"tracks: {names[number[np.argmax(own[number] != truth)]]} is of two classes")
    right = float(np.mean(np.argmax(sums, axis=1) == own))
    low, high = _wilson(right, len(names))
    return Classified(float(np.mean(guessed == truth)), right, len(names), confusion, low, high)


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
