"""Do the sliders work: each moved alone, and all at random, and what is heard compared with the sound they ask for.

Only for a model whose controls are the labels of a `Synthetic` corpus. That corpus plays the same settings, and what is
heard of it, by the same measures, is what a perfect model would get: a slider that the truth cannot be heard to move
(the lead's pitch under a bass, say) is not held against the model.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from mgen.contracts import Settings, Synthetic
from mgen.controls import Choice, Clip, Control
from mgen.metrics.control import disentanglement, leaks, monotonicity, movement, sweeps
from mgen.metrics.control import mutual_information_gap as information_gap
from mgen.metrics.factors import MeasuredFactors, measured_factors
from mgen.metrics.levels import part_levels
from mgen.training.checkpoint import Loaded
from mgen.training.sampling import generate
from mgen.training.step import averaged

#: Random settings that each slider needs.
FEWEST = 20

_KNOTS = 3
_AT_ONCE = 32  # clips: their parts are rendered beside them
_HEARD = 0.5  # rank correlation of the truth below which a factor cannot be heard


@dataclasses.dataclass(frozen=True)
class Heard:
    """What is heard of the sliders in one kind of sound."""

    monotonicity: list[float]
    """Rank correlation of each slider with its own factor."""
    leak: list[float]
    """How far each moves the factor of another that it moves most, of the most that a true slider does; 0 is best."""
    leak_to: list[str]
    """Which that is."""
    information_gap: float
    """MIG, mean over the factors that can be heard; 1 is best."""
    disentanglement: float
    completeness: float
    informativeness: float


@dataclasses.dataclass(frozen=True)
class Sliders:
    """The model's sliders beside the true ones."""

    names: list[str]
    without: list[str]
    """What is silent while each slider is moved alone, so that it can be heard; empty where it is heard anyway."""
    model: Heard
    truth: Heard

    def rows(self) -> list[dict[str, str]]:
        """The table: a row for each slider and one for each measure of all of them."""
        rows = []
        for index, name in enumerate(self.names):
            audible = self.truth.monotonicity[index] > _HEARD
            row = {"slider": f"{name}, without {self.without[index]}" if self.without[index] else name}
            for title, heard in self._both():
                row[f"moves its own, {title}"] = f"{heard.monotonicity[index]:.2f}" if audible else "not heard"
                row[f"moves another, {title}"] = f"{heard.leak[index]:.2f} ({heard.leak_to[index]})"
            rows.append(row)
        for name in ("information_gap", "disentanglement", "completeness", "informativeness"):
            row = {"slider": f"all: {name.replace('_', ' ')}"}
            for title, heard in self._both():
                row |= {f"moves its own, {title}": f"{getattr(heard, name):.2f}", f"moves another, {title}": ""}
            rows.append(row)
        return rows

    def verdict(self) -> list[str]:
        """The sliders that do not do what the true ones do, a line each; none is good."""
        lines = []
        for index, name in enumerate(self.names):
            ours, true = self.model.monotonicity[index], self.truth.monotonicity[index]
            if true > _HEARD and ours < 0.9 * true:
                lines.append(f"slider {name}: follows what it should move at {ours:.2f}, the true one at {true:.2f}")
            if self.model.leak[index] > self.truth.leak[index] + 0.2:
                lines.append(
                    f"slider {name}: also moves {self.model.leak_to[index]}, {self.model.leak[index]:.2f} of the most "
                    f"that a true slider does (this one {self.truth.leak[index]:.2f})"
                )
        return lines

    def _both(self) -> tuple[tuple[str, Heard], ...]:
        return (("model", self.model), ("truth", self.truth))


def judge(loaded: Loaded, corpus: Synthetic, *, count: int, points: int, seed: int) -> Sliders | None:
    """Moves every slider, and listens to the model and to the truth.

    Choices stay at their default, and so does what the model has beside the labels. Each slider's own factor is what
    `measured_factors` hears under its name, or the level of the part that it is the gain of. A slider that the truth
    cannot be heard to move is moved again without the part that drowns it.

    Args:
      loaded: the checkpoint.
      corpus: its data.
      count: random settings for each slider, at least `FEWEST`; twice that, as not every clip has every factor.
      points: settings of each slider moved alone.
      seed: of the random settings and of the model's noise.

    Returns:
      None where the labels are not among the model's controls, or none of them is a slider with something to hear.
    """
    knobs = loaded.experiment.model.controls(loaded.spec)
    sliders = [knob for knob in corpus.labels if not isinstance(knob, Choice) and _audible(knob, corpus)]
    if not sliders or not set(corpus.labels) <= set(knobs):
        return None
    low, high = (np.array([getattr(slider, end) for slider in sliders]) for end in ("low", "high"))
    moved = sweeps(low, high, np.array([slider.default for slider in sliders]), points=points)
    drawn = np.random.default_rng([seed, 1]).uniform(low, high, (count * len(sliders), len(sliders)))
    names, variables = [slider.name for slider in sliders], averaged(loaded.state)
    rate = loaded.experiment.features.sample_rate

    def made(settings: Settings) -> np.ndarray:
        return generate(loaded.experiment, loaded.spec, variables, settings, seed=seed)

    def heard(play: Callable[[Settings], np.ndarray], values: np.ndarray) -> np.ndarray:
        numbers = [knob for knob in knobs if not isinstance(knob, Clip)]
        asked = {knob.name: np.full(len(values), knob.default, np.float64) for knob in numbers}
        asked |= dict(zip(names, values.T, strict=True))
        return _factors(play, asked, corpus, names, rate)

    moved, true, without = _undrowned(moved, names, corpus.levels, functools.partial(heard, corpus.render))
    audible, most = np.diag(monotonicity(moved, true)) > _HEARD, np.max(movement(moved, true), axis=0)
    ours, drawn_true = heard(made, np.concatenate([moved, drawn])), heard(corpus.render, drawn)
    model, truth = (
        _heard(names, moved, drawn, factors, audible, most) for factors in (ours, np.concatenate([true, drawn_true]))
    )
    return Sliders(names, without, model, truth)


def _undrowned(
    moved: np.ndarray, names: list[str], levels: Sequence[str], heard: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Sweeps in which every slider that may be heard is: each, if need be, with one other part at 0.

    Returns:
      settings and what is heard of them, float64 [sliders * points, sliders], and which part is at 0 for each slider.
    """
    moved, true, without = moved.copy(), heard(moved), [""] * len(names)
    points = len(moved) // len(names)
    clear = np.diag(monotonicity(moved, true))
    for index, name in enumerate(names):
        own = slice(index * points, (index + 1) * points)
        others = [level for level in levels if level != name and level in names]
        if clear[index] > _HEARD or not others:
            continue
        tried = np.tile(moved[own], (len(others), 1, 1))
        for sweep, other in zip(tried, others, strict=True):
            sweep[:, names.index(other)] = 0
        found = heard(tried.reshape(-1, len(names))).reshape(tried.shape)
        ranks = [_rank(sweep[:, index], factors[:, index]) for sweep, factors in zip(tried, found, strict=True)]
        best = int(np.argmax(ranks))
        if ranks[best] > _HEARD:
            moved[own], true[own], without[index] = tried[best], found[best], others[best]
    return moved, true, without


def _rank(setting: np.ndarray, factor: np.ndarray) -> float:
    """Spearman's correlation of one sweep; 0 where the factor is not there or does not move."""
    there = np.isfinite(factor)
    if np.sum(there) < len(factor) or np.ptp(factor) == 0:
        return 0.0
    return float(monotonicity(setting[:, None], factor[:, None])[0, 0])


def _audible(knob: Control, corpus: Synthetic) -> bool:
    return knob.name in corpus.levels or knob.name in MeasuredFactors._fields


def _factors(
    play: Callable[[Settings], np.ndarray],
    asked: Settings,
    corpus: Synthetic,
    names: Sequence[str],
    sample_rate: int,
) -> np.ndarray:
    """What is heard of each setting, in the order of the sliders: float64 [count, sliders]."""
    found = []
    for start in range(0, len(asked[names[0]]), _AT_ONCE):
        some = {name: values[start : start + _AT_ONCE] for name, values in asked.items()}
        waves = play(some)
        measured = measured_factors(waves, sample_rate=sample_rate, tempi=_tempi(corpus))._asdict()
        levels = _levels(waves, some, corpus, sample_rate)
        found.append(np.stack([levels[name] if name in levels else measured[name] for name in names], axis=1))
    return np.concatenate(found).astype(np.float64)


def _tempi(corpus: Synthetic) -> tuple[float, float]:
    """The tempi that the slider can ask for, with room on either side; all where there is none."""
    for label in corpus.labels:
        if label.name == "tempo":
            return max(30.0, label.low / 1.1), min(320.0, label.high * 1.1)
    return 30.0, 320.0


def _levels(waves: np.ndarray, asked: Settings, corpus: Synthetic, sample_rate: int) -> dict[str, np.ndarray]:
    """Level of each part in each wave, the parts as the corpus plays them alone at full level."""
    if not corpus.levels:
        return {}
    silent = dict.fromkeys(corpus.levels, np.zeros(len(waves)))
    full = np.ones(len(waves))
    # What sounds though all levels are 0, because its own is fixed, is a part too.
    parts = [corpus.render({**asked, **silent, **own}) for own in ({}, *({name: full} for name in corpus.levels))]
    parts = [parts[0], *(part - parts[0] for part in parts[1:])]
    found = part_levels(waves, np.stack(parts, axis=1), sample_rate=sample_rate)
    return {name: found[:, 1 + index] for index, name in enumerate(corpus.levels)}


def _heard(
    names: list[str],
    moved: np.ndarray,
    drawn: np.ndarray,
    factors: np.ndarray,
    audible: np.ndarray,
    most: np.ndarray,
) -> Heard:
    """`most` is the largest movement of each factor by a true slider: the model's is measured by it too."""
    alone, together = factors[: len(moved)], factors[len(moved) :]
    effect = movement(moved, alone) / np.where(most > 0, most, 1) * (most > 0)
    others = effect * (1 - np.eye(len(names)))
    gaps = information_gap(drawn, together)
    few = np.sum(np.isfinite(together), axis=0) < FEWEST * len(names)  # a factor that is mostly not there: no movement
    together = np.where(few, 0, together)[:, audible] if np.any(audible) else np.zeros((len(drawn), 1))
    shares = disentanglement(drawn, together, knots=_KNOTS)
    return Heard(
        monotonicity=np.diag(monotonicity(moved, alone)).tolist(),
        leak=leaks(effect).tolist(),
        leak_to=[names[index] for index in np.argmax(others, axis=1)],
        information_gap=float(np.mean(gaps[audible])) if np.any(audible) else 0.0,
        disentanglement=shares.disentanglement,
        completeness=shares.completeness,
        informativeness=shares.informativeness,
    )
