"""Checkpoints: the state, the experiment and the spec together, so that sampling needs nothing else.

Orbax writes them (asynchronously, renamed into place when whole). Two things are added, because Orbax neither notices
a flipped bit in an array file nor goes back to an older checkpoint when the newest is broken: a digest of the arrays is
stored and verified, and restoring falls back to the newest checkpoint that is whole, saying which was not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mgen.contracts import Spec
from mgen.training.experiment import Experiment, from_json, to_json
from mgen.training.step import TrainState, create_state

_FOLDER = "checkpoints"
_log = logging.getLogger(__name__)


class CheckpointError(Exception):
    """No checkpoint can be used: the message names the folder, what was wrong, and the way out."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory."""

    experiment: Experiment
    spec: Spec
    state: TrainState
    step: int


class Checkpoints:
    """The checkpoints of one run, in WORKDIR/checkpoints/STEP."""

    def __init__(self, workdir: pathlib.Path, *, keep: int = 3):
        """Opens (and makes) the folder. `keep` is the number of newest checkpoints kept."""
        self.folder = (workdir / _FOLDER).absolute()
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True),
            item_names=("state", "experiment"),
        )

    def save(self, state: TrainState, experiment: Experiment, spec: Spec) -> None:
        """Starts to save; `close` waits. A step that is already there is left alone."""
        step = int(state.step)
        if step in self.steps():
            return
        host = jax.device_get(state)
        about = {"experiment": to_json(experiment), "spec": to_json(spec), "digest": digest(host)}
        self._manager.save(
            step, args=ocp.args.Composite(state=ocp.args.StandardSave(host), experiment=ocp.args.JsonSave(about))
        )

    def steps(self) -> list[int]:
        """The steps that were saved, oldest first."""
        return sorted(self._manager.all_steps())

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()

    def saved(self, step: int) -> dict[str, Any]:
        """The experiment, the spec and the digest of a step, as JSON."""
        args = ocp.args.Composite(experiment=ocp.args.JsonRestore())
        return self._manager.restore(step, args=args)["experiment"]

    def restore(self, template: TrainState, step: int) -> TrainState:
        """The state of a step, in the shape of `template`. Raises ValueError where its digest is not the stored one."""
        abstract = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
        state = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract)))["state"]
        if digest(jax.device_get(state)) != self.saved(step)["digest"]:
            raise ValueError("the arrays are not the ones that were saved (their digest differs)")
        return state

    def newest(self, load: Callable[[int], Any]) -> Any:
        """The first of `load(step)`, from the newest step back, that raises nothing; None where nothing was saved.

        A broken checkpoint is set aside in WORKDIR/checkpoints.broken, so that the run can save that step again.

        Raises:
          CheckpointError: something was saved, and none of it can be read.
        """
        steps = self.steps()[::-1]
        for step in steps:
            try:
                return load(step)
            except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                _log.warning(
                    "checkpoint %s is broken (%s); going back to the one before", self.folder / str(step), first
                )
                broken = self.folder.with_name(f"{_FOLDER}.broken")
                broken.mkdir(exist_ok=True)
                shutil.rmtree(broken / str(step), ignore_errors=True)
                shutil.move(self.folder / str(step), broken / str(step))
                self._manager.reload()
        if steps:
            raise CheckpointError(
                f"{self.folder}: none of the checkpoints {steps[::-1]} can be read; train again elsewhere"
            )
        return None


def digest(tree: Any) -> str:
    """A fingerprint of every array of a tree (names, types and bytes)."""
    total = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        total.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def template(experiment: Experiment, spec: Spec) -> TrainState:
    """Shapes of the experiment's state, with nothing computed."""

    def build() -> TrainState:
        variables = experiment.model.init(jax.random.key(0), spec)
        optimisers = {player: own.build(experiment.steps) for player, own in experiment.optimisers.items()}
        return create_state(variables, optimisers)

    return jax.eval_shape(build)


def load(workdir: pathlib.Path, *, step: int | None = None) -> Loaded:
    """Reads a checkpoint for sampling: the experiment comes from it, no config file and no data are needed.

    Args:
      workdir: of the run.
      step: which one; None is the newest that is whole.

    Raises:
      CheckpointError: the folder has no checkpoint, or not that one, or none that can be read.
    """
    if not (workdir / _FOLDER).is_dir():
        raise CheckpointError(f"{workdir}: no checkpoint here; train first: python train.py CONFIG --workdir {workdir}")
    checkpoints = Checkpoints(workdir)

    def read(number: int) -> Loaded:
        about = checkpoints.saved(number)
        experiment, spec = from_json(about["experiment"]), from_json(about["spec"])
        return Loaded(experiment, spec, checkpoints.restore(template(experiment, spec), number), number)

    try:
        steps = checkpoints.steps()
        if step is not None and step not in steps:
            raise CheckpointError(f"{workdir}: no checkpoint of step {step}; there are {steps or 'none'}")
        loaded = read(step) if step is not None else checkpoints.newest(read)
    finally:
        checkpoints.close()
    if loaded is None:
        raise CheckpointError(f"{workdir}: no checkpoint was finished here; train first")
    return loaded
