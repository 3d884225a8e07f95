"""What a run begins from: random numbers, what another run has learnt, and what training clips have in common."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp

from mgen.contracts import Based, Corpus, Fitted, Spec, Variables
from mgen.training.checkpoint import CheckpointError, Loaded, load
from mgen.training.clips import examples
from mgen.training.experiment import Experiment, differences, to_json
from mgen.training.step import averaged

_SAID_ONLY = {"default", "help"}  # fields of a label that no network sees


def base_of(experiment: Experiment) -> Loaded | None:
    """The run that an experiment begins from, if any.

    Raises:
      CheckpointError: there is none in that folder.
    """
    if not experiment.base:
        return None
    try:
        return load(pathlib.Path(experiment.base))
    except CheckpointError as error:
        raise CheckpointError(f"base {error}") from error


def beginning(experiment: Experiment, corpus: Corpus, spec: Spec, base: Loaded | None) -> Variables:
    """The variables before the first step.

    A model that is `Fitted` sees training clips, but for one that begins with all of another run: it knows others.

    Args:
      experiment: to be begun.
      corpus: its data.
      spec: of them.
      base: what `base_of` gave.

    Raises:
      ValueError: the base is of another network or of other features or labels, or there are too few training clips.
    """
    model = experiment.model
    variables = model.init(jax.random.key(experiment.seed), spec)
    if base:
        try:
            _check(base, experiment, spec)
            found = averaged(base.state)
            if _shapes(found) == _shapes(variables):
                return found
            if not isinstance(model, Based):
                lines = differences(to_json(base.experiment.model), to_json(model), "model")
                raise ValueError(f"it is of another network: {'; '.join(lines[:5])}")
            variables = model.based(variables, found)
        except ValueError as error:
            raise ValueError(f"base {experiment.base}: {error}") from error
    elif isinstance(model, Based):
        print(f"no base: what {type(model).__name__} has from another run is at its random beginning", file=sys.stderr)
    if isinstance(model, Fitted):
        try:
            return model.fit(variables, examples(experiment, corpus, model.examples), spec)
        except ValueError as error:
            raise ValueError(f"model: cannot begin from the training clips: {error}") from error
    return variables


def _check(base: Loaded, experiment: Experiment, spec: Spec) -> None:
    """Raises ValueError where a network would be told other things than it was there."""
    saved, asked = (
        {"features": to_json(features), "labels": {label.name: _encoded(label) for label in labels}}
        for features, labels in (
            (base.experiment.features, base.spec.labels),
            (experiment.features, spec.labels),
        )
    )
    lines = differences(saved, asked)
    lines = [line for line in lines if line.startswith("features.type:")] or lines  # then all the others differ too
    if not lines and list(saved["labels"]) != list(asked["labels"]):
        lines = [f"labels: saved {', '.join(saved['labels'])}, asked {', '.join(asked['labels'])}"]
    if lines:
        raise ValueError(f"it was told other things: {'; '.join(lines[:5])}. Train both on the same data and features")


def _encoded(label: Any) -> dict[str, Any]:
    fields = {field.name: getattr(label, field.name) for field in dataclasses.fields(label)}
    kept = {name: value for name, value in fields.items() if name not in _SAID_ONLY}
    return to_json({"type": type(label).__name__, **kept})


def _shapes(variables: Variables) -> Any:
    return jax.tree.map(jnp.shape, variables)
