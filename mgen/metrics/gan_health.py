"""Is a GAN training at all: what its losses, its discriminator, its gradients and its samples say, and what to do.

Steady losses are no sign of it. Series are what `player/loss` and `player/gradient_norm` of a run's metrics.jsonl hold,
one value a logged step; a window is counted in logged values. Everything is numpy on the host.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist, pdist

from mgen.arrays import check_shape
from mgen.metrics.distribution import checked_sets
from mgen.metrics.diversity import different_bins

#: Losses, in nats, at which a binary cross-entropy stays when nothing is learnt, and why; at least 0.06 apart.
KNOWN_LOSSES = {
    0.0: "0, its floor: nothing is left to learn",
    math.log1p(math.exp(-1)): "ln(1 + 1/e), the floor of a cross-entropy from logits that a tanh or sigmoid holds to 1",
    (math.log(2) + math.log1p(math.exp(-1))) / 2: "the floor of cross-entropies whose logits a sigmoid holds to 0..1",
    2 * math.log1p(math.exp(-1)): "2 ln(1 + 1/e), the floor of a sum of two cross-entropies whose logits a tanh holds",
    math.log(2): "ln 2, a discriminator at chance, or one whose saturated sigmoid is taken for a logit of 0",
    math.log1p(math.e): "ln(1 + e), a discriminator saturated in a tanh or sigmoid whose output is taken for a logit",
    2 * math.log(2): "2 ln 2, a discriminator at chance whose loss is a sum over real and generated",
}

# Below this median norm a parameter of Adam's is moved by its epsilon (1e-8 for each) as much as by its gradient.
_NO_GRADIENT = 1e-6
_DUPLICATE = 0.5  # of the median distance between a real sample and its nearest neighbour
_UNPIN = "nothing is learnt: give the loss raw logits, and weaken or regularise the discriminator"
_REVIVE = "give the loss raw logits, penalise the discriminator's gradient, update it less often"
_SPREAD = "let the discriminator compare whole batches, or go back to an earlier checkpoint"
_BALANCE = "listen for what is missing, train longer or balance the data"


class DiscriminatorAccuracy(NamedTuple):
    """Shares of real sounds taken for real, of generated ones for generated, and their mean, each float64 [...]."""

    real: np.ndarray
    generated: np.ndarray
    mean: np.ndarray


class Pinned(NamedTuple):
    """What `pinned` found."""

    pinned: bool
    length: int
    """Last values that lie within the tolerance of each other."""
    value: float
    """Their median."""
    meaning: str
    """Why a cross-entropy may stay there, from `KNOWN_LOSSES`; empty where none is near."""


class Gradient(NamedTuple):
    """Medians of the last and of the best window, NaN where none is finite, and the share of norms that is not."""

    vanished: bool
    now: float
    best: float
    not_finite: float


class Collapse(NamedTuple):
    """What `mode_collapse` found; a perfect generator has about 1, the share of real samples, infinity and 0.05."""

    spread: float
    """Mean distance between two generated samples over that between two real ones; 0 is always the same sound."""
    duplicates: float
    """Share of generated samples that have a double: a neighbour nearer than half of what is usual for real ones."""
    real_duplicates: float
    """The same of real samples."""
    support: float
    """Birthday estimate of how many sounds there are: pairs / pairs of doubles. Infinity where there is no double."""
    different_bins: float
    """Share of kinds of sound that come significantly too often or too seldom, `diversity.different_bins`."""


def discriminator_accuracy(real: Any, generated: Any, *, threshold: float = 0.0) -> DiscriminatorAccuracy:
    """How often the discriminator is right.

    Args:
      real: float [..., samples], its outputs for real sounds; larger is more real.
      generated: float [..., samples], for generated ones; the same leading axes, any number of samples.
      threshold: output at which it is undecided: 0 for logits, 0.5 for probabilities. An output that is equal counts
        half, so a constant one has 0.5.

    Raises:
      ValueError: there is no sample, the leading axes differ, or an output is NaN.

    Reference: Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, section 4: at the optimum it is 1/2.
    """
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    for name, values in (("real", real), ("generated", generated)):
        if not values.ndim or not values.shape[-1]:
            raise ValueError(f"{name}: expected [..., samples], at least one, got {values.shape}")
        if np.any(np.isnan(values)):
            raise ValueError(f"{name}: {np.sum(np.isnan(values))} outputs are NaN; leave these steps out")
    if real.shape[:-1] != generated.shape[:-1]:
        raise ValueError(f"real, generated: leading axes differ, {real.shape} and {generated.shape}")
    right = [np.mean(0.5 + 0.5 * np.sign(margin), axis=-1) for margin in (real - threshold, threshold - generated)]
    return DiscriminatorAccuracy(*right, (right[0] + right[1]) / 2)


def pinned(loss: Any, *, window: int = 50, tolerance: float = 1e-3, near: float = 0.02) -> Pinned:
    """Whether a loss no longer moves, and what the value says where it is a known one.

    The loss of a batch scatters by far more than the tolerance while anything is learnt.

    Args:
      loss: float [steps], nats.
      window: so many last values must be constant.
      tolerance: largest less smallest of constant values, nats.
      near: how far a value may be from a known one, nats.

    Returns:
      `Pinned`. NaN is never constant.

    Raises:
      ValueError: loss is not [steps] of `window` or more, window is less than 2, tolerance is not above zero, or near
        is not in [0, 0.03], above which known values overlap.

    Reference: the values are cross-entropies max(x, 0) - xy + ln(1 + exp(-|x|)) of logits x at -1, 0 and 1.
    """
    loss = _series(loss, "loss", window)
    if not tolerance > 0:
        raise ValueError(f"tolerance={tolerance}: expected nats above zero; 0.001 is usual")
    if not 0 <= near <= 0.03:
        raise ValueError(f"near={near}: expected 0 to 0.03, above which known values overlap")
    backwards = loss[::-1]
    with np.errstate(invalid="ignore"):  # inf - inf, which compares false as NaN does
        spread = np.maximum.accumulate(backwards) - np.minimum.accumulate(backwards)
    with_end = np.append(spread <= tolerance, False)
    length = int(np.argmin(with_end))
    value = float(np.median(backwards[: max(length, 1)]))
    known = min(KNOWN_LOSSES, key=lambda other: abs(other - value))
    is_pinned = length >= window
    return Pinned(is_pinned, length, value, KNOWN_LOSSES[known] if is_pinned and abs(known - value) <= near else "")


def vanished_gradient(norms: Any, *, window: int = 50, ratio: float = 1e-3) -> Gradient:
    """Whether a player's gradient is gone: next to nothing, or a small share of what it has been.

    Args:
      norms: float [steps], norm of a player's whole gradient, as logged as `player/gradient_norm`.
      window: values of which the median is taken.
      ratio: of the largest median, below which a gradient is gone. A run that converges seldom falls below a hundredth.

    Returns:
      `Gradient`. A last window without a finite norm is not vanished: it is NaN, and `not_finite` says so.

    Raises:
      ValueError: as in `pinned` for series and window, a norm is negative, or ratio is not in (0, 1).

    Reference: Arjovsky & Bottou, "Towards principled methods for training generative adversarial networks", ICLR 2017,
      theorem 2.4: a perfect discriminator leaves the generator no gradient.
    """
    norms = _series(norms, "norms", window)
    if np.any(norms < 0):
        raise ValueError(f"norms: expected zero or more, got {np.nanmin(norms)}")
    if not 0 < ratio < 1:
        raise ValueError(f"ratio={ratio}: expected a share between 0 and 1; 0.001 is usual")
    finite = np.isfinite(norms)
    windows = [slice(stop - window, stop) for stop in range(len(norms), window - 1, -max(1, window // 2))]
    medians = [np.median(norms[part][finite[part]]) if np.any(finite[part]) else math.nan for part in windows]
    now, best = float(medians[0]), float(np.fmax.reduce(medians))
    return Gradient(bool(now <= max(_NO_GRADIENT, ratio * best)), now, best, float(1 - np.mean(finite)))


def mode_collapse(generated: Any, real: Any, *, seed: int, bins: int | None = None) -> Collapse:
    """How much less varied generated sounds are than real ones, by the distances within each set.

    `spread` falls when everything sounds alike, and `duplicates` when each sound comes again and again, however far
    apart they are; `different_bins` rises also when only some kinds of sound are missing.

    Args:
      generated: float [samples, dimensions], an embedding, as of `embedding.embed`.
      real: float [samples, dimensions]. Give as many: more samples have nearer neighbours.
      seed: of the k-means of `diversity.different_bins`.
      bins: of the same; None as there.

    Returns:
      `Collapse`. Of `n` samples no support above about n^2 / 2 is seen.

    Raises:
      ValueError: the shapes do not fit, there are fewer than 3 samples, a number is not finite, half of the real
        samples or more are doubles of another, or as in `diversity.different_bins`.

    Reference: Arora & Zhang, "Do GANs actually learn the distribution? An empirical study", arXiv 1706.08224, 2017, for
      the birthday paradox; Richardson & Weiss, "On GANs and GMMs", NeurIPS 2018, for the bins.
    """
    generated, real = checked_sets(generated, real, 3)
    near_generated, near_real = (np.min(cdist(x, x) + np.diag([np.inf] * len(x)), axis=1) for x in (generated, real))
    usual = float(np.median(near_real))
    if not usual > 0:
        raise ValueError("real: half of the samples or more have an exact double; leave the doubles out")
    among = pdist(generated)
    doubles = int(np.sum(among < _DUPLICATE * usual))
    return Collapse(
        spread=float(np.mean(among) / np.mean(pdist(real))),
        duplicates=float(np.mean(near_generated < _DUPLICATE * usual)),
        real_duplicates=float(np.mean(near_real < _DUPLICATE * usual)),
        support=len(among) / doubles if doubles else math.inf,
        different_bins=different_bins(generated, real, seed=seed, bins=bins).share,
    )


def diagnose(
    series: Mapping[str, Any],
    *,
    real_outputs: Any | None = None,
    generated_outputs: Any | None = None,
    threshold: float = 0.0,
    collapse: Collapse | None = None,
    window: int = 50,
) -> list[str]:
    """What is wrong with a GAN, one line each: what, the number, and what to do.

    Args:
      series: names as a run logs them to float [steps]: `player/loss`, `player/gradient_norm`, `refused`; others are
        not read.
      real_outputs: float [..., samples], the discriminator's outputs for real sounds, of the last steps.
      generated_outputs: float [..., samples], likewise; give both or neither.
      threshold: as in `discriminator_accuracy`.
      collapse: from `mode_collapse`.
      window: as in `pinned` and `vanished_gradient`.

    Returns:
      Findings; an empty list where none of these is wrong, which is not to say that it sounds well.

    Raises:
      ValueError: only one kind of outputs is given, there is nothing to diagnose, or as in the functions it calls.
    """
    if (real_outputs is None) != (generated_outputs is None):
        raise ValueError("expected real_outputs and generated_outputs, or neither")
    read = sorted(name for name in series if name.endswith(("/loss", "/gradient_norm")) or name == "refused")
    if not read and real_outputs is None and collapse is None:
        raise ValueError(f"series: holds no player/loss, player/gradient_norm or refused, only {sorted(series)}")
    findings = []
    for name in read:
        values = _series(series[name], name, window)
        if name != "refused":
            rule = _of_loss if name.endswith("/loss") else _of_norms
            findings += [f"{name}: {words}" for words in rule(values, window)]
        elif (share := np.mean(values[-window:] > 0)) > 0:
            findings.append(f"refused: updates in {share:.0%} of the last {window} values; lower the learning rate")
    if real_outputs is not None:
        accuracy = float(np.mean(discriminator_accuracy(real_outputs, generated_outputs, threshold=threshold).mean))
        if accuracy >= 0.95:
            findings.append(f"discriminator: right {accuracy:.0%} of the time; it has won: regularise or slow it down")
        elif np.ptp(np.append(real_outputs, generated_outputs)) < 1e-3:
            findings.append(
                f"discriminator: constant output, right {accuracy:.0%}; it is dead: raise its learning rate"
            )
    return findings + ([f"samples: {words}" for words in _of_samples(collapse)] if collapse is not None else [])


def _of_loss(values: np.ndarray, window: int) -> Iterator[str]:
    found = pinned(values, window=window)
    if not np.all(np.isfinite(values[-window:])):
        yield f"NaN or infinite in the last {window} values; go back to an earlier checkpoint"
    elif found.pinned:
        why = f" ({found.meaning})" if found.meaning else ""
        yield f"constant at {found.value:.4f} for the last {found.length} values{why}; {_UNPIN}"


def _of_norms(values: np.ndarray, window: int) -> Iterator[str]:
    found = vanished_gradient(values, window=window)
    if found.vanished:
        yield f"vanished, {found.now:.2g} where it was {found.best:.2g}; {_REVIVE}"
    if found.not_finite:
        yield f"{found.not_finite:.0%} not finite; lower the learning rate or clip"


def _of_samples(found: Collapse) -> Iterator[str]:
    if found.spread < 0.5:
        yield f"{found.spread:.2f} of the real distance between two; collapsed: {_SPREAD}"
    if found.duplicates > 2 * found.real_duplicates + 0.1:
        share = f"{found.duplicates:.0%} have a double (real {found.real_duplicates:.0%})"
        yield f"{share}, about {found.support:.0f} different sounds; check that the latent is used, or widen it"
    if found.different_bins > 0.3:
        yield f"{found.different_bins:.0%} of the kinds of sound come too often or too seldom, by chance 5%; {_BALANCE}"


def _series(values: Any, name: str, window: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    check_shape(values, {"steps": None}, name)
    if window < 2:
        raise ValueError(f"window={window}: expected at least 2 values; 50 is usual")
    if len(values) < window:
        raise ValueError(f"{name}: {len(values)} values are fewer than window={window}; log more often or shorten it")
    return values
