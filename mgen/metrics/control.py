"""Does each slider do one thing, and only that: for models trained on sounds whose true factors are known.

    settings [count, sliders] -> model.sample -> waves -> measures, as those of `factors` -> factors [count, factors]

`sweeps` gives settings for `monotonicity` and `cross_talk`, where one slider moves at a time; `mutual_information_gap`
and `disentanglement` want random settings. The unit of a factor is free. NaN, a factor that could not be measured, is
left out. Sums are float64 on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from mgen.arrays import check_shape

_FOLDS = 5
_FEWEST = 3  # points of a sweep, of which ranks say something
_LEAST = 1e-12  # share of a factor's mean square, below which its variation is rounding


class CrossTalk(NamedTuple):
    """Each factor's movement by each slider over that by the strongest, and the largest that is not a slider's own."""

    effect: np.ndarray  # float64 [sliders, factors], 0 to 1
    leak: np.ndarray  # float64 [sliders], 0 to 1, 0 is best


class Disentanglement(NamedTuple):
    """What `disentanglement` found; all are 0 to 1, and 1 is best."""

    disentanglement: float  # whether a slider moves one factor alone; the mean of sliders, by how much they move
    completeness: float  # whether a factor is moved by one slider alone; the mean over factors
    informativeness: float  # share of the factors' variation that the sliders foretell, of settings held out
    importance: np.ndarray  # float64 [sliders, factors], share of the factor's variation due to each slider


def sweeps(low: Any, high: Any, default: Any, *, points: int = 9) -> np.ndarray:
    """Settings where one slider at a time goes from its lowest to its highest, the others at their default.

    Args:
      low: float [sliders].
      high: float [sliders].
      default: float [sliders].
      points: settings of each slider, at least 3.

    Returns:
      float64 [sliders * points, sliders], slider by slider.

    Raises:
      ValueError: the shapes differ, points is less than 3, or not low < high.
    """
    for name, values in (("low", low), ("high", high), ("default", default)):
        check_shape(values, {"sliders": len(low)}, name)
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if points < _FEWEST or not np.all(low < high):
        raise ValueError(f"low={low}, high={high}, points={points}: expected low < high and at least {_FEWEST} points")
    settings = np.tile(np.asarray(default, np.float64), (len(low), points, 1))
    for slider in range(len(low)):
        values, own = np.linspace(low[slider], high[slider], points), settings[slider, :, slider]
        settings[slider, :, slider] = np.where(
            np.isclose(values, own), own, values
        )  # the same setting, to the last bit
    return settings.reshape(-1, len(low))


def monotonicity(settings: Any, factors: Any) -> np.ndarray:
    """Whether a factor always rises with a slider: Spearman's correlation of ranks, where only that slider moves.

    Args:
      settings: float [count, sliders], as of `sweeps`. Of several sweeps of one slider the mean is taken.
      factors: float [count, factors], what was measured.

    Returns:
      float64 [sliders, factors]: 1 always rises, -1 always falls, 0 for what does not move or was not measured.

    Raises:
      ValueError: the shapes do not fit, a setting is not finite, or a slider has no sweep of 3 values or more.

    Reference: Spearman, "The proof and measurement of association between two things", Am. J. Psychology 15(1), 1904.
    """
    return _over_sweeps(*_checked(settings, factors), lambda x, y: np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def movement(settings: Any, factors: Any) -> np.ndarray:
    """How far each slider moves each factor, where only that slider moves: the standard deviation over its sweep.

    Args:
      settings: float [count, sliders], as of `sweeps`. Of several sweeps of one slider the mean is taken.
      factors: float [count, factors], each in a unit of its own.

    Returns:
      float64 [sliders, factors], in the units of the factors; 0 for what does not move or was not measured.

    Raises:
      ValueError: as in `monotonicity`.

    Reference: Morris, "Factorial sampling plans for preliminary computational experiments", Technometrics 33(2), 1991.
    """
    return _over_sweeps(*_checked(settings, factors), lambda _, y: np.std(y))


def cross_talk(settings: Any, factors: Any) -> CrossTalk:
    """How far each slider moves each factor, of the movement by the slider that moves it most.

    Noise of the measurement moves all alike and shows as a leak: measure with fixed random keys.

    Args:
      settings: float [count, sliders], as of `sweeps`.
      factors: float [count, factors], in the order of the sliders, 0 for one not measured; more are nobody's own.

    Raises:
      ValueError: there are fewer factors than sliders, or as in `monotonicity`.

    Reference: see `movement`.
    """
    settings, factors = _checked(settings, factors)
    if factors.shape[1] < settings.shape[1]:
        raise ValueError(f"factors: {factors.shape[1]} are too few for {settings.shape[1]} sliders; add columns of 0")
    moved = movement(settings, factors)
    effect = _divided(moved, np.max(moved, axis=0))
    return CrossTalk(effect, leaks(effect))


def leaks(effect: np.ndarray) -> np.ndarray:
    """The largest effect of each slider that is not on its own factor: [sliders, factors] to [sliders]."""
    return np.max(effect * (1 - np.eye(*effect.shape)), axis=1)


def mutual_information_gap(settings: Any, factors: Any, *, bins: int | None = None) -> np.ndarray:
    """MIG: how much more the best slider knows of a factor than the second best, as a share of all there is to know.

    By histograms of equally full bins, each entropy with Miller and Madow's correction for a finite count.

    Args:
      settings: float [count, sliders], drawn at random and independently.
      factors: float [count, factors].
      bins: of each slider and factor; of one with fewer values each has its own. If None, sqrt(count / 5), 2 to 20.

    Returns:
      float64 [factors], 0 to 1; their mean is the paper's MIG. 0 for a factor that is constant.

    Raises:
      ValueError: the shapes do not fit, a setting is not finite, there are not 20 settings, or bins is less than 2.

    Reference: Chen et al., "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, where the
      sliders are the code; Miller, "Note on the bias of information estimates", 1955.
    """
    settings, factors = _checked(settings, factors, least=20)
    gaps = np.zeros(factors.shape[1])
    for number, (x, y) in enumerate(_measured(settings, factors)):
        many = min(20, max(2, int(np.sqrt(len(y) / 5)))) if bins is None else bins
        if many < 2:
            raise ValueError(f"bins={bins}: expected at least 2; 20 is usual")
        if len(y) < 20 or not _varies(y):
            continue
        known, truth = [_binned(column, many) for column in x.T], _binned(y, many)
        entropy = _entropy(truth)
        shared = [entropy + _entropy(k) - _entropy(k * (np.max(truth) + 1) + truth) for k in known]
        best = np.sort(np.clip(np.append(shared, 0) / entropy, 0, 1))[::-1]
        gaps[number] = best[0] - best[1]
    return gaps


def disentanglement(settings: Any, factors: Any, *, knots: int = 5) -> Disentanglement:
    """DCI: disentanglement, completeness and informativeness.

    Each factor is fitted by a sum of one curve a slider, straight between knots (least squares), and a slider's
    importance is the variation of its curve, less what noise would give. What two sliders do only together lowers the
    informativeness alone. The paper's own estimators are a lasso and a random forest.

    Args:
      settings: float [count, sliders], drawn at random and independently.
      factors: float [count, factors].
      knots: of each curve, at quantiles; 2 is a straight line. A slider of fewer values has a knot at each.

    Returns:
      `Disentanglement`; all 0 where no factor moves.

    Raises:
      ValueError: the shapes do not fit, knots is less than 2, or there are fewer than 10 settings a knot and slider.

    Reference: Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations",
      ICLR 2018.
    """
    settings, factors = _checked(settings, factors)
    if knots < 2:
        raise ValueError(f"knots={knots}: expected at least 2, a straight line; 5 is usual")
    importance, foretold = np.zeros((settings.shape[1], factors.shape[1])), np.zeros(factors.shape[1])
    for number, (x, y) in enumerate(_measured(settings, factors)):
        if not len(y) or not _varies(y):
            continue
        curves = [_hats(column, knots) for column in x.T]
        basis, ends = np.concatenate(curves, axis=1), np.cumsum([curve.shape[1] for curve in curves])
        if len(y) < 10 * ends[-1]:
            raise ValueError(f"settings: {len(y)} are too few for factor {number}; give {10 * ends[-1]} or more")
        y = (y - np.mean(y)) / np.std(y)
        fold = np.arange(len(y)) % _FOLDS
        weights = [np.linalg.lstsq(basis[fold != i], y[fold != i], rcond=1e-9)[0] for i in range(-1, _FOLDS)]
        left = np.concatenate([y[fold == i] - basis[fold == i] @ weights[i + 1] for i in range(_FOLDS)])
        foretold[number] = np.clip(1 - np.mean(np.square(left)), 0, 1)
        for slider, part in enumerate(np.split(weights[0], ends[:-1])):  # the fit to all, as no fold is -1
            spurious = (1 - foretold[number]) * len(part) / len(y)
            importance[slider, number] = max(np.var(curves[slider] @ part) - spurious, 0)
    moved = np.sum(importance, axis=1)
    pure = float(np.sum(_divided(moved, np.sum(moved)) * _purity(importance)))
    return Disentanglement(pure, float(np.mean(_purity(importance.T))), float(np.mean(foretold)), importance)


def _purity(importance: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row over that of a uniform one: [rows]. 0 for a row of zeros."""
    share = _divided(importance, np.sum(importance, axis=1, keepdims=True))
    spread = np.sum(np.where(share > 0, -share * np.log(np.where(share > 0, share, 1)), 0), axis=1)
    return np.where(np.any(share > 0, axis=1), 1 - spread / np.log(max(importance.shape[1], 2)), 0)


def _divided(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """0 where the divisor is 0."""
    return np.divide(values, by, out=np.zeros_like(values), where=by > 0)


def _varies(values: np.ndarray) -> bool:
    return bool(np.var(values) > _LEAST * np.mean(np.square(values)))


def _hats(values: np.ndarray, knots: int) -> np.ndarray:
    """Curves that are 1 at a knot and 0 at the others, less their mean, the first left out: [count, knots - 1]."""
    distinct = np.unique(values)
    at = distinct if len(distinct) <= knots else np.unique(np.quantile(values, np.linspace(0, 1, knots)))
    hats = np.stack([np.interp(values, at, row) for row in np.eye(len(at))], axis=1)[:, 1:]
    return hats - np.mean(hats, axis=0)


def _binned(values: np.ndarray, bins: int) -> np.ndarray:
    """Bin of each value, 0, 1, ...: equally full ones, or one a value where there are no more."""
    distinct, index = np.unique(values, return_inverse=True)
    if len(distinct) <= bins:
        return index
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]


def _entropy(index: np.ndarray) -> float:
    """Nats, with Miller and Madow's correction."""
    counts = np.bincount(index)
    share = counts[counts > 0] / len(index)
    return float(-np.sum(share * np.log(share)) + (len(share) - 1) / (2 * len(index)))


def _measured(settings: np.ndarray, factors: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(settings[there], y[there]) for y, there in zip(factors.T, np.isfinite(factors.T), strict=True)]


def _over_sweeps(settings: np.ndarray, factors: np.ndarray, measure: Callable) -> np.ndarray:
    """Mean of a measure of (slider, factor) over the sweeps of each slider, 0 where constant: [sliders, factors]."""
    found = np.zeros((settings.shape[1], factors.shape[1]))
    for slider, values in enumerate(settings.T):
        others = np.append(np.delete(settings, slider, axis=1), np.zeros((len(settings), 1)), axis=1)  # never empty
        group = np.unique(others, axis=0, return_inverse=True)[1]
        rows = [np.flatnonzero(group.reshape(-1) == i) for i in range(np.max(group) + 1)]
        rows = [sweep for sweep in rows if len(np.unique(values[sweep])) >= _FEWEST]
        if not rows:
            raise ValueError(f"settings: slider {slider} never moves alone over {_FEWEST} values; use `sweeps`")
        for sweep in rows:
            for factor, (x, y) in enumerate(_measured(values[sweep], factors[sweep])):
                if len(np.unique(x)) >= _FEWEST and _varies(y):
                    found[slider, factor] += measure(x, y) / len(rows)
    return found


def _checked(settings: Any, factors: Any, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    settings, factors = np.asarray(settings, np.float64), np.asarray(factors, np.float64)
    check_shape(settings, {"count": None, "sliders": None}, "settings")
    check_shape(factors, {"count": len(settings), "factors": None}, "factors")
    if len(settings) < least or not settings.shape[1] or not factors.shape[1] or not np.all(np.isfinite(settings)):
        raise ValueError(f"settings: expected {least} or more, finite, of a slider and a factor, got {settings.shape}")
    return settings, np.where(np.isfinite(factors), factors, np.nan)
