import json
import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import array

from mgen.training import loop
from mgen.training.checkpoint import CheckpointError, digest
from mgen.training.health import Collapse
from mgen.training.loop import TrainingError, train
from tests import toys


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_five_and_five_steps_are_ten(tmp_path):
    """Bit-equal parameters, optimiser and running means, and the same log."""
    whole = train(toys.experiment(), tmp_path / "whole")
    half = train(toys.experiment(), tmp_path / "halves", stop_at=5)
    assert int(half.step) == 5
    rest = train(toys.experiment(), tmp_path / "halves")
    assert int(rest.step) == 10
    assert digest(jax.device_get(whole)) == digest(jax.device_get(rest))
    assert digest(jax.device_get(whole)) != digest(jax.device_get(half))
    timed = {"steps_per_s", "input_wait"}
    logs = [
        [{name: value for name, value in line.items() if name not in timed} for line in lines(tmp_path / run)]
        for run in ("whole", "halves")
    ]
    assert [line["step"] for line in logs[0] if "mean/loss" in line] == [2, 4, 5, 6, 8, 10]
    assert logs[0] == logs[1]


def test_a_killed_run_repeats_nothing_in_its_log(tmp_path):
    train(toys.experiment(), tmp_path, stop_at=5)
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"step": 6, "mean/loss": 1.0}\n{"step": 7, "mea')  # written after the last checkpoint, then killed
    train(toys.experiment(), tmp_path)
    steps = [line["step"] for line in lines(tmp_path) if "mean/loss" in line]
    assert steps == [2, 4, 5, 6, 8, 10]


def test_writes_what_it_found_and_what_it_measured(tmp_path):
    train(toys.experiment(preview_every=10, preview_count=2), tmp_path)
    assert (tmp_path / "data.txt").read_text() == "toy data\n"
    assert json.loads((tmp_path / "experiment.json").read_text())["steps"] == 10
    losses = [line["mean/loss"] for line in lines(tmp_path) if "mean/loss" in line]
    assert losses[-1] < losses[0]
    assert {"mean/rate", "steps_per_s", "input_wait", "refused"} <= set(lines(tmp_path)[0])
    assert [line["step"] for line in lines(tmp_path) if "validation/mean/loss" in line] == [5, 10]
    names = sorted(path.name for path in (tmp_path / "previews").iterdir())
    assert names == [f"0000010_preview_{i}.{suffix}" for i in (0, 1) for suffix in ("png", "wav")]
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["10", "5"]


def test_other_sound_files_in_the_same_place_are_noticed(tmp_path, monkeypatch):
    train(toys.experiment(), tmp_path, stop_at=5)
    monkeypatch.setattr(toys.ToyCorpus, "fingerprint", "changed")
    with pytest.raises(CheckpointError, match="the sound files are not the ones it was trained on"):
        train(toys.experiment(), tmp_path)


def test_validates_the_running_means(tmp_path):
    """Without a mean validation follows the last parameters; with a slow one it lags behind them."""
    losses = {}
    for decay in (0.0, 0.9):
        train(toys.experiment(ema_decay=decay, validate_every=2), tmp_path / str(decay))
        name = "validation/follower/loss"
        losses[decay] = [line[name] for line in lines(tmp_path / str(decay)) if name in line]
    assert all(slow > 1.04 * fast for slow, fast in zip(losses[0.9], losses[0.0], strict=True))


def test_a_finished_run_is_left_as_it_is(tmp_path):
    first = train(toys.experiment(), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    again = train(toys.experiment(), tmp_path)
    assert digest(jax.device_get(first)) == digest(jax.device_get(again))
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_no_validation_data_is_no_obstacle(tmp_path, capsys):
    train(toys.experiment(data=toys.ToyData(held_out=0)), tmp_path)
    assert "no validation: the data has nothing to spare for it" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, number, capsys):
    class Interrupting(toys.ToyCorpus):
        asked = 0

        def item(self, split, index, rng):
            Interrupting.asked += 1
            if Interrupting.asked == 13:
                os.kill(os.getpid(), number)
            return super().item(split, index, rng)

    class Data(toys.ToyData):
        def open(self, *, sample_rate, samples):
            return Interrupting(self, samples)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(toys.experiment(data=Data()), tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert "run the same command to go on" in capsys.readouterr().err
    stopped = int(max((tmp_path / "checkpoints").iterdir(), key=lambda path: int(path.name)).name)
    assert 0 < stopped < 10
    rest = train(toys.experiment(data=Data()), tmp_path)
    whole = train(toys.experiment(), tmp_path.with_name(tmp_path.name + "_whole"))
    assert digest(jax.device_get(rest)) == digest(jax.device_get(whole))


def test_another_experiment_in_the_same_folder_is_refused(tmp_path):
    train(toys.experiment(), tmp_path)
    with pytest.raises(CheckpointError) as error:
        train(toys.experiment(model=toys.ToyModel(start=2.0), batch_size=8), tmp_path)
    assert "model.start: saved 0.0, asked 2.0; batch_size: saved 4, asked 8. Use another --workdir" in str(error.value)
    train(toys.experiment(log_every=1, checkpoint_every=2), tmp_path)  # only what is said, not what is learnt


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    class Model(toys.ToyModel):
        def mean_loss(self, variables, rng, batch, *, train):
            output = super().mean_loss(variables, rng, batch, train=train)
            return output._replace(value=output.value / (batch["labels"].sum() * 0))

    with pytest.raises(
        TrainingError,
        match=r"mean/loss is not finite between steps 1 and 1\. The last checkpoint is good; train with a lower",
    ):
        train(toys.experiment(model=Model(), log_every=10, checkpoint_every=1), tmp_path)
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))  # nothing is saved that was not read


def test_one_bad_batch_costs_nothing_but_itself(tmp_path):
    class Corpus(toys.ToyCorpus):
        def item(self, split, index, rng):
            item = super().item(split, index, rng)
            return item | {"wave": item["wave"] * (np.nan if split == "train" and index == 3 else 1)}

    class Data(toys.ToyData):
        def open(self, *, sample_rate, samples):
            return Corpus(self, samples)

    state = train(toys.experiment(data=Data(), log_every=5), tmp_path)  # it comes once in every three steps
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(state)))
    logged = [line for line in lines(tmp_path) if "mean/loss" in line]
    assert sum(line["refused"] for line in logged) >= 3
    assert all(np.isfinite(line["mean/loss"]) for line in logged)


def collapsing(monkeypatch, steps, healthy):
    """Has the game be found collapsed at these steps, each the first time it is reached."""
    due = list(steps)

    def trained(self, step, values):
        if due and step == due[0]:
            due.pop(0)
            raise Collapse(step, "all sounds are alike", healthy)

    monkeypatch.setattr(loop.Watch, "trained", trained)


def test_a_collapse_goes_back_to_the_last_healthy_checkpoint_and_says_so(tmp_path, monkeypatch, capsys):
    collapsing(monkeypatch, [8], 5)
    state = train(toys.experiment(), tmp_path / "ill")
    assert int(state.step) == 10
    said = (tmp_path / "ill" / "collapses.txt").read_text()
    assert said == "step 8: all sounds are alike; back to step 5, attempt 2\n" and said in capsys.readouterr().err
    assert [line["step"] for line in lines(tmp_path / "ill") if "mean/loss" in line] == [2, 4, 5, 6, 8, 10]
    well = train(toys.experiment(), tmp_path / "well")
    value = [np.asarray(found.variables["mean"]["params"]["value"]) for found in (state, well)]
    assert np.any(value[0] != value[1]), "the second attempt sees other batches"


def test_checkpoints_after_the_last_healthy_step_are_set_aside(tmp_path, monkeypatch):
    collapsing(monkeypatch, [8], 5)
    train(toys.experiment(checkpoint_every=2), tmp_path)
    assert (tmp_path / "collapses.txt").read_text().endswith("back to step 4, attempt 2\n")
    assert [path.name for path in (tmp_path / "checkpoints.broken").iterdir()] == ["6"]


def test_a_collapse_before_any_checkpoint_begins_anew(tmp_path, monkeypatch):
    collapsing(monkeypatch, [4], 2)
    state = train(toys.experiment(), tmp_path)
    assert int(state.step) == 10 and "back to step 0, attempt 2" in (tmp_path / "collapses.txt").read_text()


def test_a_game_that_collapses_again_and_again_is_given_up(tmp_path, monkeypatch):
    collapsing(monkeypatch, [8] * 9, 5)
    with pytest.raises(TrainingError, match=r"collapsed 4 times, see .*collapses.txt; train with lower"):
        train(toys.experiment(), tmp_path)


def test_a_model_may_look_at_clips_first_and_only_once(tmp_path):
    seen = []

    class Model(toys.ToyModel):
        examples = 7

        def fit(self, variables, examples, spec):
            seen.append(examples)
            return {**variables, "mean": {"params": {"value": jnp.full((3,), 5.0)}}}

    experiment = toys.experiment(model=Model(), steps=4, checkpoint_every=2)
    train(experiment, tmp_path, stop_at=2)
    state = train(experiment, tmp_path)
    assert len(seen) == 1 and seen[0].shape == (7, 2048) and seen[0].dtype == np.float32
    assert np.all(state.variables["mean"]["params"]["value"] > 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 6}, "batch_size: 6 does not divide over 4 devices; use a multiple of 4"),
        ({"optimisers": {}}, r"optimisers: expected one for each of \['follower', 'mean'\], got \[\]"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        train(toys.experiment(**changes), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_trains_outside_the_main_thread(tmp_path):
    """Signals cannot be caught there; training goes on without."""
    done = []
    thread = threading.Thread(target=lambda: done.append(train(toys.experiment(steps=2), tmp_path)))
    thread.start()
    thread.join()
    assert int(done[0].step) == 2


def test_metrics_are_fetched_only_when_logged(tmp_path, monkeypatch):
    fetched = []
    real = array.ArrayImpl._value.fget  # every way to the host goes through it
    monkeypatch.setattr(array.ArrayImpl, "_value", property(lambda self: fetched.append(1) or real(self)))
    marks = []
    begin, read = loop._Meter.__init__, loop._Meter.read
    monkeypatch.setattr(loop._Meter, "__init__", lambda self: (begin(self), marks.append(len(fetched)))[0])
    monkeypatch.setattr(loop._Meter, "read", lambda self, step: (marks.append(len(fetched)), read(self, step))[1])
    train(toys.experiment(log_every=10, validate_every=100, checkpoint_every=100), tmp_path)
    start, logged = marks
    assert start == logged < len(fetched)  # ten steps without a look, and then there was something to see
    assert np.isfinite(lines(tmp_path)[0]["mean/loss"])
