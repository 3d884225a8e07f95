"""Between two steps: what validations found is told to those optimisers that go by it, and the rates they then have."""

from __future__ import annotations

from collections.abc import Mapping

from mgen import parallel
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Told
from mgen.training.step import TrainState


def told(experiment: Experiment, state: TrainState, numbers: Mapping[str, float]) -> TrainState:
    """The state after a validation; all of it but what optimisers that are `Told` remember stays as it was.

    Raises:
      ValueError: an optimiser goes by a number that the validation does not have.
    """
    changed = {
        player: parallel.place(own.told(state.optimiser[player], numbers))
        for player, own in experiment.optimisers.items()
        if isinstance(own, Told)
    }
    return state.replace(optimiser=state.optimiser | changed) if changed else state


def rates(experiment: Experiment, state: TrainState) -> dict[str, float]:
    """Learning rate of each player in the step that was just done, by `player/rate`."""
    found = {}
    for player, own in experiment.optimisers.items():
        scale = own.scale(state.optimiser[player]) if isinstance(own, Told) else 1.0
        found[f"{player}/rate"] = scale * float(own.schedule(experiment.steps)(int(state.step) - 1))
    return found
