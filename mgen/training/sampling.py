"""From settings to sound: the model samples features, and the experiment's features turn them into waveforms."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from mgen import controls, parallel
from mgen.contracts import Control, Settings, Spec, Variables
from mgen.training.experiment import Experiment


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
    sample = jax.jit(experiment.model.sample, static_argnames="spec")
    made = sample(variables, jax.random.fold_in(rng, 0), settings, spec=spec)
    keys = jax.random.split(jax.random.fold_in(rng, 1), len(made))
    return np.asarray(parallel.spread(experiment.features.decode, made, keys))


def settings_like(
    knobs: Sequence[Control], labels: Sequence[Control], columns: np.ndarray, *, rng: np.random.Generator
) -> tuple[Settings, bool]:
    """Settings that ask a model for sounds like given real ones, and whether each is to be one of them.

    Args:
      knobs: the model's controls.
      labels: the data's.
      columns: float32 [count, labels], of the real sounds.
      rng: draws what the labels do not say.

    Returns:
      {control: [count]}, from the labels where they say something, else drawn at random; and whether labels and
      controls are the same, so that a setting says which real sound is meant.
    """
    settings = dict(controls.settle(knobs, {}, count=len(columns), rng=rng, vary=True))
    known = {label.name: columns[:, index] for index, label in enumerate(labels) if label.name in settings}
    return settings | known, bool(known) and len(known) == len(labels) == len(settings)
