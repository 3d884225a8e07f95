"""What a run begins from: random numbers, what another run has learnt, and what training clips have in common."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp

from mgen.contracts import Based, Corpus, Fitted, Model, Spec, Variables
from mgen.controls import Slider
from mgen.training.checkpoint import Loaded, load
from mgen.training.clips import examples
from mgen.training.experiment import Experiment
from mgen.training.step import averaged


def beginning(experiment: Experiment, corpus: Corpus, spec: Spec) -> Variables:
    """The variables before the first step.

    A model that is `Fitted` sees training clips, but for one that begins with all of another run: it knows others.

    Raises:
      CheckpointError: there is no run in `experiment.base`.
      ValueError: it is of another network or of other data, or there are too few training clips.
    """
    model = experiment.model
    variables = model.init(jax.random.key(experiment.seed), spec)
    if experiment.base:
        base = load(pathlib.Path(experiment.base))
        try:
            variables = _begun_from(base, variables, model, spec)
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


def _begun_from(base: Loaded, variables: Variables, model: Model, spec: Spec) -> Variables:
    if base.spec != spec:
        raise ValueError(
            f"it is of {_described(base.spec)}, and this of {_described(spec)}; train both on the same data"
        )
    found = averaged(base.state)
    if isinstance(model, Based):
        return model.based(variables, found)
    if jax.tree.map(jnp.shape, found) != jax.tree.map(jnp.shape, variables):
        raise ValueError(f"it is of another network; begin with the fields that this {type(model).__name__} had there")
    return found


def _described(spec: Spec) -> str:
    labels = ", ".join(
        f"{label.name} from {label.low:g} to {label.high:g}" if isinstance(label, Slider) else label.name
        for label in spec.labels
    )
    return f"features {spec.shape} and {f'labels {labels}' if labels else 'no labels'}"
