"""The training loop: data, features, model and optimisers of an experiment, stepped until it is done or stopped.

Kill it at any moment and call it again: it goes on from the last checkpoint, and ends with the same parameters. A game
of several players that collapses goes back to the last checkpoint at which it was well, and tries again.
"""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
import optax

from mgen import panel, parallel
from mgen.contracts import Corpus, Loss, Spec
from mgen.data.loader import batches
from mgen.training.beginning import base_of, beginning
from mgen.training.checkpoint import CheckpointError, Checkpoints, template
from mgen.training.experiment import Experiment, differences, to_json
from mgen.training.health import Collapse, Watch
from mgen.training.log import Log
from mgen.training.optimisers import Told
from mgen.training.sampling import generate
from mgen.training.step import TrainState, averaged, create_state, encoder, make_step
from mgen.training.stopping import stopping_signals
from mgen.training.telling import rates, told
from mgen.training.validation import Validation, means

_ATTEMPTS = 3  # after a collapse, before a run gives up


class TrainingError(Exception):
    """Training cannot go on: the message says why, and the way out."""


def train(experiment: Experiment, workdir: pathlib.Path, *, stop_at: int | None = None) -> TrainState:
    """Trains an experiment in a folder, from its newest checkpoint if it has one.

    Writes WORKDIR/experiment.json, data.txt (what was found), metrics.jsonl, tensorboard/, previews/ and checkpoints/.

    Args:
      experiment: what to train.
      workdir: made if need be.
      stop_at: step at which to save and return, as if stopped by hand; None goes on to the end.

    Returns:
      The last state.

    Raises:
      KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state is saved.
      TrainingError: the loss is not finite, a game collapses again and again, or a field cannot be used.
      CheckpointError: the folder holds another experiment or one on other data, or only broken checkpoints; or there
        is no run to begin from.
      mgen.data.DataError: no usable data.
    """
    features, model = experiment.features, experiment.model
    # Before anything is looked at or made; a run that goes on needs its base only if it has to begin anew.
    base = base_of(experiment) if not (workdir / "checkpoints").exists() else None
    optimisers = {player: own.build(experiment.steps) for player, own in experiment.optimisers.items()}
    try:
        parallel.check_batch_size(experiment.batch_size)
        corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
        spec = Spec(shape=tuple(features.shape), labels=tuple(corpus.labels))
        losses = model.losses(spec)
        state = create_state(model.init(jax.random.key(experiment.seed), spec), optimisers)
    except ValueError as error:  # a field that does not fit the data, the features or this machine
        raise TrainingError(str(error)) from error

    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"--workdir {workdir}: {error.strerror}") from error
    checkpoints = Checkpoints(workdir, keep=experiment.keep_checkpoints)
    restored = _resume(checkpoints, state, experiment, spec, corpus.fingerprint)

    def begin() -> TrainState:
        try:
            return create_state(beginning(experiment, corpus, spec, base or base_of(experiment)), optimisers)
        except ValueError as error:
            raise TrainingError(str(error)) from error

    state = parallel.place(restored or begin())
    if jax.process_index() == 0:
        (workdir / "experiment.json").write_text(json.dumps(to_json(experiment), indent=2) + "\n")
        (workdir / "data.txt").write_text(corpus.report + "\n", errors="backslashreplace")
    run = _Run(experiment, workdir, corpus, spec, losses, optimisers, checkpoints)
    with stopping_signals() as stop, contextlib.closing(checkpoints):
        while True:
            try:
                return run(
                    state, min(experiment.steps, stop_at or experiment.steps), stop, resumed=restored is not None
                )
            except Collapse as collapse:
                restored = run.go_back(collapse)
                state = parallel.place(restored or begin())


class _Run:
    """What stays the same when a run goes back to an earlier step and tries again."""

    def __init__(
        self,
        experiment: Experiment,
        workdir: pathlib.Path,
        corpus: Corpus,
        spec: Spec,
        losses: Mapping[str, Loss],
        optimisers: Mapping[str, optax.GradientTransformation],
        checkpoints: Checkpoints,
    ):
        self._experiment, self._workdir, self._corpus, self._spec = experiment, workdir, corpus, spec
        self._checkpoints, self._players = checkpoints, len(losses)
        encode = encoder(experiment.features, corpus)
        self._step = parallel.replicate(
            make_step(losses, optimisers, encode=encode, ema_decay=experiment.ema_decay), donate=True
        )
        self._validate = Validation(experiment, corpus, spec, losses)

    def __call__(self, state: TrainState, end: int, stop: list[int], *, resumed: bool) -> TrainState:
        """Trains from the state's step to `end`. Raises Collapse, and what `train` raises."""
        experiment, start = self._experiment, int(state.step)
        log = Log(self._workdir, steps=experiment.steps, start=start, active=jax.process_index() == 0)
        self._introduce(log, start, end, resumed)
        validate, watch, meter = self._validate, self._watch(), _Meter()
        # Another attempt sees other batches and other noise: the same would collapse again.
        seed = experiment.seed + 1_000_003 * len(self._collapses())
        telling = any(isinstance(own, Told) for own in experiment.optimisers.values())
        stream = batches(self._corpus, "train", batch_size=experiment.batch_size, seed=seed, start=start)
        rng = jax.random.key(seed + 1)
        with contextlib.closing(log):
            for number in range(start + 1, end + 1):
                with meter.waiting():
                    batch = parallel.split(next(stream))
                state, metrics = self._step(state, rng, batch)
                meter.add(metrics)
                log.advance()
                stopping = bool(stop)  # read once: a signal that comes later than this waits for the next step
                last = number == end or stopping
                saving = number % experiment.checkpoint_every == 0 or last
                if number % experiment.log_every == 0 or saving:  # also before saving: no state is kept unread
                    numbers = meter.read(number)
                    log.scalars(number, numbers | rates(experiment, state))
                    watch.trained(number, numbers)
                due = number % experiment.validate_every == 0
                if validate.possible and (due or number == end) and (telling or not stopping):
                    numbers = validate(state)
                    log.scalars(number, numbers)
                    watch.validated(number, numbers)
                    if due:  # and not at a mere end: a run that goes on from there would be told once more than others
                        state = self._told(state, numbers)
                if saving:
                    self._checkpoints.save(state, experiment, self._spec, self._corpus.fingerprint)
                if experiment.preview_every and (number % experiment.preview_every == 0 or number == experiment.steps):
                    _preview(log, experiment, self._spec, state)
                if stopping:
                    log.say(f"stopped at step {number}, saved in {self._workdir}; run the same command to go on")
                    raise KeyboardInterrupt
        return state

    def _told(self, state: TrainState, numbers: Mapping[str, float]) -> TrainState:
        try:
            return told(self._experiment, state, numbers)
        except ValueError as error:
            raise TrainingError(str(error)) from error

    def _introduce(self, log: Log, start: int, end: int, resumed: bool) -> None:
        if not resumed:
            log.say(self._corpus.report)
        elif start < end:
            log.say(f"going on from step {start} in {self._workdir}")
        if not self._validate.possible:
            log.say("no validation: the data has nothing to spare for it")

    def _watch(self) -> Watch:
        """A watch that has seen what the log says of the steps before."""
        watch, path = Watch(self._players), self._workdir / "metrics.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            values = json.loads(line)
            watch.remember(values.pop("step"), values)
        return watch

    def _collapses(self) -> list[str]:
        path = self._workdir / "collapses.txt"
        return path.read_text().splitlines() if path.exists() else []

    def go_back(self, collapse: Collapse) -> TrainState | None:
        """The newest checkpoint from before a collapse; later ones are set aside. None: begin anew.

        Raises:
          TrainingError: it has been tried often enough.
        """
        like = template(self._experiment, self._spec)
        found = self._checkpoints.go_back(collapse.healthy, lambda step: self._checkpoints.restore(like, step))
        attempt, step = len(self._collapses()) + 1, 0 if found is None else int(found.step)
        words = f"step {collapse.step}: {collapse.findings}; back to step {step}, attempt {attempt + 1}"
        if jax.process_index() == 0:
            with (self._workdir / "collapses.txt").open("a") as file:
                file.write(words + "\n")
            print(words, file=sys.stderr)
        if attempt > _ATTEMPTS:
            raise TrainingError(
                f"collapsed {attempt} times, see {self._workdir / 'collapses.txt'}; "
                "train with lower optimisers.*.rate or a stronger model.r1 in another --workdir"
            )
        return found


def _resume(
    checkpoints: Checkpoints, state: TrainState, experiment: Experiment, spec: Spec, fingerprint: str
) -> TrainState | None:
    """The newest state that is whole, if it is one of this experiment on this data."""

    def load(step: int) -> TrainState | list[str]:
        about = checkpoints.about(step)
        lines = differences(about["experiment"], to_json(experiment))
        if not lines and (about["fingerprint"] != fingerprint or about["spec"] != to_json(spec)):
            lines = ["the sound files are not the ones it was trained on"]
        return lines or checkpoints.restore(state, step)

    found = checkpoints.newest(load)
    if isinstance(found, list):
        raise CheckpointError(
            f"{checkpoints.folder.parent} holds another experiment: {'; '.join(found[:5])}. Use another --workdir"
        )
    return found


class _Meter:
    """Gathers metrics on the device, and fetches them only when they are read: no step waits for the host."""

    def __init__(self):
        self._start()

    def _start(self) -> None:
        self._rows, self._waited, self._since = [], 0.0, time.perf_counter()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self._waited += time.perf_counter() - before

    def add(self, metrics: dict[str, jax.Array]) -> None:
        self._rows.append(metrics)

    def read(self, step: int) -> dict[str, float]:
        """Means over the steps since the last reading, those that were refused left out.

        Raises:
          TrainingError: all of them were refused, or a loss is not finite.
        """
        rows = jax.device_get(self._rows)
        seconds, waited = time.perf_counter() - self._since, self._waited
        self._start()
        taken = [row for row in rows if not row["refused"]]
        seen = means(taken or rows)
        broken = [name for name, value in seen.items() if name.endswith("/loss") and not math.isfinite(value)]
        if broken or not taken:
            raise TrainingError(
                f"{(broken or ['the gradient'])[0]} is not finite between steps {step - len(rows) + 1} and {step}. "
                "The last checkpoint is good; train with a lower optimisers.*.rate in another --workdir"
            )
        seen["refused"] = float(len(rows) - len(taken))
        return seen | {"steps_per_s": len(rows) / seconds, "input_wait": waited / seconds}


def _preview(log: Log, experiment: Experiment, spec: Spec, state: TrainState) -> None:
    """Lets a person hear how far it is: the default settings first, then settings drawn from the step number."""
    if not log.active:
        return
    knobs = experiment.model.controls(spec)
    step = int(state.step)
    rng = np.random.default_rng(step)
    first = panel.settle(knobs, {}, count=1, rng=rng, vary=False)
    drawn = panel.settle(knobs, {}, count=experiment.preview_count, rng=rng, vary=True)
    settings = {name: np.concatenate([first[name], drawn[name]])[: experiment.preview_count] for name in first}
    waves = generate(experiment, spec, averaged(state), settings, seed=0)
    for index, wave in enumerate(waves):
        title = panel.caption(panel.shown(knobs, settings, index))
        log.sound(step, f"preview_{index}", wave, sample_rate=experiment.features.sample_rate, title=title)
