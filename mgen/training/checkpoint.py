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


class _BrokenError(Exception):
    """The files of one checkpoint are damaged; an older one may be whole."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory."""

    experiment: Experiment
    spec: Spec
    state: TrainState
    step: int


class Checkpoints:
    """The checkpoints of one run, in WORKDIR/checkpoints/STEP."""

    def __init__(self, workdir: pathlib.Path, *, keep: int = 3, read_only: bool = False):
        """Opens the folder, and makes it unless `read_only`, which touches nothing: a run may be writing there.

        Args:
          workdir: of the run.
          keep: newest checkpoints kept.
          read_only: whether to only look.
        """
        self.folder, self._read_only = (workdir / _FOLDER).absolute(), read_only
        writing = {"max_to_keep": keep, "cleanup_tmp_directories": True}
        options = ocp.CheckpointManagerOptions(**({"read_only": True, "create": False} if read_only else writing))
        self._manager = ocp.CheckpointManager(self.folder, options=options, item_names=("state", "about"))

    def save(self, state: TrainState, experiment: Experiment, spec: Spec, fingerprint: str = "") -> None:
        """Starts to save; `close` waits. A step that is already there is left alone.

        Args:
          state: to be saved, with its step.
          experiment: that it belongs to.
          spec: of its data and features.
          fingerprint: of the data, see `mgen.contracts.Corpus`.
        """
        step = int(state.step)
        if step in self.steps():
            return
        host = jax.device_get(state)
        about = {
            "experiment": to_json(experiment),
            "spec": to_json(spec),
            "fingerprint": fingerprint,
            "structure": structure(host),
            "digest": digest(host),
        }
        items = {"state": ocp.args.StandardSave(host), "about": ocp.args.JsonSave(about)}
        self._manager.save(step, args=ocp.args.Composite(**items))

    def steps(self) -> list[int]:
        """The steps that were saved, oldest first."""
        return sorted(self._manager.all_steps())

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()

    def about(self, step: int) -> dict[str, Any]:
        """What was saved beside the arrays of a step, as JSON; see `save`."""
        return self._restore(step, about=ocp.args.JsonRestore())

    def restore(self, template: TrainState, step: int) -> TrainState:
        """The state of a step, in the shape of `template`.

        Raises:
          CheckpointError: the step holds arrays of other names, shapes or types.
        """
        about = self.about(step)
        if about["structure"] != structure(template):
            raise CheckpointError(
                f"{self.folder / str(step)}: its arrays are not those of this experiment; "
                "it was saved by another version of mgen"
            )
        abstract = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
        state = self._restore(step, state=ocp.args.StandardRestore(abstract))
        if digest(jax.device_get(state)) != about["digest"]:
            raise _BrokenError("the arrays are not the ones that were saved: their digest differs")
        return state

    def newest(self, load: Callable[[int], Any]) -> Any:
        """The first of `load(step)`, from the newest step back, whose files are whole; None where nothing was saved.

        Newer checkpoints that are broken are set aside in WORKDIR/checkpoints.broken, so that the run can save those
        steps again; where only looking, and where none is whole, everything is left as it is.

        Raises:
          CheckpointError: something was saved, and none of it can be read.
        """
        steps, broken = self.steps()[::-1], []
        for step in steps:
            try:
                found = load(step)
            except _BrokenError as error:
                _log.warning(
                    "checkpoint %s is broken (%s); going back to the one before", self.folder / str(step), error
                )
                broken.append(step)
                continue
            if not self._read_only:
                self._set_aside(broken)
            return found
        if steps:
            raise CheckpointError(
                f"{self.folder}: none of the checkpoints {steps[::-1]} can be read; train again in another folder"
            )
        return None

    def go_back(self, step: int, load: Callable[[int], Any]) -> Any:
        """`load` of the newest whole checkpoint up to `step`; later ones are set aside. None where there is none."""
        self._manager.wait_until_finished()
        self._set_aside([number for number in self.steps() if number > step])
        return self.newest(load)

    def _restore(self, step: int, **item: Any) -> Any:
        (name,) = item
        try:
            found = self._manager.restore(step, args=ocp.args.Composite(**item))[name]
        except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
            raise _BrokenError((str(error).splitlines() or [type(error).__name__])[0]) from error
        if found is None:
            raise _BrokenError(f"{name} is missing")
        return found

    def _set_aside(self, steps: list[int]) -> None:
        aside = self.folder.with_name(f"{_FOLDER}.broken")
        for step in steps:
            aside.mkdir(exist_ok=True)
            shutil.rmtree(aside / str(step), ignore_errors=True)
            shutil.move(self.folder / str(step), aside / str(step))
        if steps:
            self._manager.reload()


def digest(tree: Any) -> str:
    """A fingerprint of every array of a tree: names, shapes, types and bytes."""
    total = hashlib.blake2b(structure(tree).encode(), digest_size=16)
    for leaf in jax.tree.leaves(tree):
        total.update(np.ascontiguousarray(leaf).tobytes())
    return total.hexdigest()


def structure(tree: Any) -> str:
    """A fingerprint of a tree's names, shapes and types."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    text = "\n".join(f"{jax.tree_util.keystr(path)} {leaf.dtype} {tuple(leaf.shape)}" for path, leaf in leaves)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def template(experiment: Experiment, spec: Spec) -> TrainState:
    """Shapes of the experiment's state, with nothing computed."""

    def build() -> TrainState:
        variables = experiment.model.init(jax.random.key(0), spec)
        optimisers = {player: own.build(experiment.steps) for player, own in experiment.optimisers.items()}
        return create_state(variables, optimisers)

    return jax.eval_shape(build)


def load(workdir: pathlib.Path, *, step: int | None = None) -> Loaded:
    """Reads a checkpoint for sampling: the experiment comes from it, no config file and no data are needed.

    Nothing is written, so a run that is training there is not disturbed.

    Args:
      workdir: of the run.
      step: which one; None is the newest that is whole.

    Raises:
      CheckpointError: the folder has no checkpoint, or not that one, or none that can be read by this version.
    """
    if not (workdir / _FOLDER).is_dir():
        raise CheckpointError(f"{workdir}: no checkpoint here; train first: mgen train CONFIG --workdir {workdir}")
    checkpoints = Checkpoints(workdir, read_only=True)

    def read(number: int) -> Loaded:
        about = checkpoints.about(number)
        try:
            experiment, spec = from_json(about["experiment"]), from_json(about["spec"])
            shapes = template(experiment, spec)
        except ValueError as error:
            raise CheckpointError(f"{checkpoints.folder / str(number)}: {error}") from error
        return Loaded(experiment, spec, checkpoints.restore(shapes, number), number)

    try:
        if step is not None and step not in checkpoints.steps():
            raise CheckpointError(f"{workdir}: no checkpoint of step {step}; there are {checkpoints.steps() or 'none'}")
        loaded = read(step) if step is not None else checkpoints.newest(read)
    except _BrokenError as error:
        raise CheckpointError(f"{checkpoints.folder / str(step)} is broken: {error}") from error
    finally:
        checkpoints.close()
    if loaded is None:
        raise CheckpointError(f"{workdir}: no checkpoint was finished here; train first")
    return loaded
