"""From settings to sound: the model samples features, and the experiment's features turn them into waveforms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from mgen import controls, parallel
from mgen.contracts import Control, Model, Settings, Spec, Variables
from mgen.training.experiment import Experiment

_AT_ONCE = 64  # sounds that a model makes together


def generate(experiment: Experiment, spec: Spec, variables: Variables, settings: Settings, *, seed: int) -> np.ndarray:
    """Makes one sound for each value in the settings.

    Args:
      experiment: whose model and features to use.
      spec: saved with it.
      variables: of the model, see `mgen.training.step.averaged`.
      settings: {control name: [count]}.
      seed: of the model's noise and of the invented phase.

    Returns:
      float32 [count, samples].
    """
    rng = jax.random.key(seed)
    count = len(next(iter(settings.values())))
    sample, made = _compiled(experiment.model, spec), []
    for number, start in enumerate(range(0, count, _AT_ONCE)):
        some = {name: values[start : start + _AT_ONCE] for name, values in settings.items()}
        own = jax.random.fold_in(rng, 0) if not number else jax.random.fold_in(jax.random.fold_in(rng, 2), number)
        made.append(np.asarray(sample(variables, own, some)))
    keys = jax.random.split(jax.random.fold_in(rng, 1), count)
    return np.asarray(parallel.spread(experiment.features.decode, np.concatenate(made), keys))


@functools.lru_cache(maxsize=8)
def _compiled(model: Model, spec: Spec) -> Callable:
    """`model.sample` compiled, kept for the next call: models and specs are equal by what they hold."""
    return jax.jit(functools.partial(model.sample, spec=spec))


def settings_like(knobs: Sequence[Control], labels: Sequence[Control], columns: np.ndarray) -> tuple[Settings, bool]:
    """Settings that ask a model for sounds like given real ones, and whether each is to be one of them.

    Args:
      knobs: the model's controls.
      labels: the data's.
      columns: float32 [count, labels], of the real sounds.

    Returns:
      {control: [count]}, from the labels where they say something, else the default, which is how a model is meant to
      be played; and whether labels and controls are the same, so that a setting says which real sound is meant.
    """
    settings = dict(controls.settle(knobs, {}, count=len(columns), rng=np.random.default_rng(0), vary=False))
    known = {label.name: columns[:, index] for index, label in enumerate(labels) if label.name in settings}
    return settings | known, bool(known) and len(known) == len(labels) == len(settings)
