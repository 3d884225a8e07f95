"""What a run begins from: random numbers, what another run has learnt, and what training clips have in common."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp

from mgen.contracts import Based, Corpus, Fitted, Spec, Variables
from mgen.training.checkpoint import load
from mgen.training.clips import examples
from mgen.training.experiment import Experiment
from mgen.training.step import averaged


def beginning(experiment: Experiment, corpus: Corpus, spec: Spec) -> Variables:
    """The variables before the first step.

    A model that is `Fitted` sees training clips, but for one that begins with all of another run: it knows others.

    Raises:
      CheckpointError: there is no run in `experiment.base`.
      ValueError: it is of another network, or there are too few training clips.
    """
    model = experiment.model
    variables = model.init(jax.random.key(experiment.seed), spec)
    if experiment.base:
        base = averaged(load(pathlib.Path(experiment.base)).state)
        try:
            variables = _begun_from(base, variables, experiment)
        except ValueError as error:
            raise ValueError(f"base {experiment.base}: {error}") from error
        if not isinstance(model, Based):
            return variables
    if isinstance(model, Fitted):
        try:
            return model.fit(variables, examples(experiment, corpus, model.examples), spec)
        except ValueError as error:
            raise ValueError(f"model: cannot begin from the training clips: {error}") from error
    return variables


def _begun_from(base: Variables, variables: Variables, experiment: Experiment) -> Variables:
    if isinstance(experiment.model, Based):
        return experiment.model.based(variables, base)
    if jax.tree.map(jnp.shape, base) != jax.tree.map(jnp.shape, variables):
        raise ValueError(
            f"its network is not of the sizes of this {type(experiment.model).__name__}; begin with the same model "
            "fields, features and labels as it did"
        )
    return base
