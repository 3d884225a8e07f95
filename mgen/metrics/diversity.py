"""Does a set of sounds hold what it should, and all of it: fidelity and diversity, which a distance mixes into one.

Rows are samples and columns the dimensions of an embedding, as in `distribution`. Everything is by distances between
samples, in float64 and without the shortcut through inner products, so that a sample is at exactly 0 from its double.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.cluster.vq import ClusterError, kmeans2
from scipy.spatial.distance import cdist
from scipy.special import ndtri, rel_entr

from mgen.metrics.distribution import checked_sets

# Starts of the k-means that are tried before it is said that so many bins cannot be filled.
_STARTS = 20


class PrecisionRecall(NamedTuple):
    """What `precision_recall` found, each a share from 0 to 1."""

    precision: float
    """Generated samples that lie among the real ones."""
    recall: float
    """Real samples that lie among the generated ones."""


class DensityCoverage(NamedTuple):
    """What `density_coverage` found."""

    density: float
    """How densely real samples lie around generated ones: 1 is as among themselves; above 1 where they are packed."""
    coverage: float
    """Share of real samples that have a generated one in their neighbourhood."""


class DifferentBins(NamedTuple):
    """What `different_bins` found."""

    share: float
    """NDB/k: bins that hold a significantly different share of either set."""
    divergence: float
    """Jensen-Shannon divergence of the two histograms, bits, 0 to 1."""
    generated: np.ndarray
    """float64 [bins]: share of generated samples in each bin, in the order of the bins' real shares, largest first."""
    real: np.ndarray
    """float64 [bins]: share of real samples."""


def precision_recall(generated: Any, real: Any, *, neighbours: int = 3) -> PrecisionRecall:
    """Shares of each set that lie in the manifold of the other: the union of balls that reach to a sample's neighbours.

    A far-off sample has a large ball, so one outlier can catch much: see `density_coverage` for numbers that it cannot
    deceive. Both numbers fall where there are fewer samples; compare sets of equal size.

    Args:
      generated: float [samples, dimensions].
      real: float [samples, dimensions].
      neighbours: which of a sample's neighbours its ball reaches to; the ball includes its edge.

    Returns:
      `PrecisionRecall`. Identical sets have 1 and 1, also where samples are doubled or all the same.

    Raises:
      ValueError: the shapes do not fit, a number is not finite, or neighbours is not in 1..samples - 1.

    Reference: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models", NeurIPS
      2019.
    """
    generated, real = _with_neighbours(generated, real, neighbours)
    between = cdist(generated, real)
    in_real = np.any(between <= _radii(real, neighbours), axis=1)
    in_generated = np.any(between <= _radii(generated, neighbours)[:, None], axis=0)
    return PrecisionRecall(float(np.mean(in_real)), float(np.mean(in_generated)))


def density_coverage(generated: Any, real: Any, *, neighbours: int = 5) -> DensityCoverage:
    """How many real balls each generated sample lies in, and how many real balls hold a generated sample.

    Only real samples have balls, so generated outliers cannot widen anything. Of a large set against another of the
    same distribution density is 1 and coverage 1 - 2^-neighbours, for equally many samples.

    Args:
      generated: float [samples, dimensions].
      real: float [samples, dimensions].
      neighbours: which of a real sample's neighbours its ball reaches to; the ball includes its edge.

    Returns:
      `DensityCoverage`. Identical sets have coverage 1 and, where no distances tie, density 1 + 1 / neighbours, each
      sample being in its own ball too.

    Raises:
      ValueError: as in `precision_recall`.

    Reference: Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020.
    """
    generated, real = _with_neighbours(generated, real, neighbours)
    inside = cdist(generated, real) <= _radii(real, neighbours)
    return DensityCoverage(float(np.mean(np.sum(inside, axis=1)) / neighbours), float(np.mean(np.any(inside, axis=0))))


def different_bins(
    generated: Any, real: Any, *, seed: int, bins: int | None = None, significance: float = 0.05
) -> DifferentBins:
    """Number of statistically different bins: does each kind of sound come as often as it should.

    Real samples are clustered by k-means, generated ones fall into the nearest cluster, and each bin's two shares are
    compared by a two-proportion z-test. Modes that are never made and modes that are always made both show. Of equal
    distributions about `significance` of the bins differ: 0.03 with 40 samples to a bin, 0.08 with 10, because the
    clusters fit the real samples best.

    Args:
      generated: float [samples, dimensions].
      real: float [samples, dimensions].
      seed: of the k-means.
      bins: clusters. If None, a tenth of the real samples, 2 to 100: with fewer than ten to a bin the test is mostly
        blind.
      significance: level of each test, in (0, 1).

    Returns:
      `DifferentBins`. Identical sets have 0 different bins and divergence 0.

    Raises:
      ValueError: the shapes do not fit, a number is not finite, significance is out of its range, or bins is not in
        1..the number of different real samples.

    Reference: Richardson & Weiss, "On GANs and GMMs", NeurIPS 2018.
    """
    generated, real = checked_sets(generated, real, 1)
    if not 0 < significance < 1:
        raise ValueError(f"significance={significance}: expected a number between 0 and 1; 0.05 is usual")
    distinct = len(np.unique(real, axis=0))
    bins = min(max(2, min(len(real) // 10, 100)), distinct) if bins is None else bins
    if not 1 <= bins <= distinct:
        raise ValueError(f"bins={bins}: expected 1 to {distinct}, the number of different real samples")
    centres = _centres(real, bins, seed)
    shares = []
    for values in (generated, real):
        nearest = np.argmin(cdist(values, centres), axis=1)
        shares.append(np.bincount(nearest, minlength=bins) / len(values))
    order = np.argsort(-shares[1], kind="stable")
    made, there = shares[0][order], shares[1][order]
    pooled = (made * len(generated) + there * len(real)) / (len(generated) + len(real))
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(generated) + 1 / len(real)))
    different = np.abs(made - there) > ndtri(1 - significance / 2) * error
    middle = (made + there) / 2
    divergence = (np.sum(rel_entr(made, middle)) + np.sum(rel_entr(there, middle))) / (2 * np.log(2))
    return DifferentBins(float(np.mean(different)), float(max(divergence, 0)), made, there)


def _centres(real: np.ndarray, bins: int, seed: int) -> np.ndarray:
    """Centres of k-means clusters, none of them empty: [bins, dimensions]."""
    for start in range(_STARTS):
        try:
            return kmeans2(real, bins, minit="++", missing="raise", rng=np.random.default_rng([seed, start]))[0]
        except ClusterError:
            continue
    raise ValueError(f"bins={bins}: k-means left a bin empty in each of {_STARTS} starts; ask for fewer")


def _radii(values: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each sample to its k-th neighbour, itself not counted: [samples]."""
    return np.partition(cdist(values, values), neighbours, axis=1)[:, neighbours]


def _with_neighbours(generated: Any, real: Any, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    generated, real = checked_sets(generated, real, 2)
    fewest = min(len(generated), len(real))
    if not 1 <= neighbours < fewest:
        raise ValueError(f"neighbours={neighbours}: expected 1 to {fewest - 1}, one less than the smaller set has")
    return generated, real
