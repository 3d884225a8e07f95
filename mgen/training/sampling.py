"""From settings to sound: the model samples features, and the experiment's features turn them into waveforms."""

from __future__ import annotations

import jax
import numpy as np

from mgen import parallel
from mgen.contracts import Settings, Spec, Variables
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
