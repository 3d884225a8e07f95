"""What a run begins from: another run's network, or a part of it, and never what does not fit."""

import jax
import numpy as np
import pytest

from mgen.contracts import Spec
from mgen.controls import Slider, Switch
from mgen.training import beginning
from mgen.training.checkpoint import CheckpointError, Loaded, digest
from mgen.training.loop import TrainingError, train
from mgen.training.step import averaged
from tests import toys


class Fitting(toys.ToyModel):
    """Its `mean` begins as the mean of what it is shown."""

    examples = 5

    def fit(self, variables, examples, spec):
        return variables | {"mean": {"params": {"value": np.full(3, np.mean(abs(examples)), np.float32)}}}


class Basing(Fitting):
    """Has its `mean` from another run, and looks at clips too: what these say is its `follower`."""

    def based(self, variables, base):
        if set(base) != set(variables):
            raise ValueError("expected a run of a toy")
        return variables | {"mean": base["mean"]}

    def fit(self, variables, examples, spec):
        return variables | {"follower": {**variables["follower"], "params": {"value": np.full(3, 7, np.float32)}}}


def begun(tmp_path, **changes):
    """Variables before the first step, of a corpus of toys."""
    experiment = toys.experiment(**changes)
    corpus = experiment.data.open(sample_rate=8_000, samples=2_048)
    return beginning.beginning(experiment, corpus, Spec(shape=(2_048,), labels=corpus.labels))


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A run of five steps: its folder, and what would be sampled of it. (Only types of mgen can be read from disk.)"""
    folder, experiment = tmp_path / "base", toys.experiment()
    state = train(experiment, folder, stop_at=5)
    corpus = experiment.data.open(sample_rate=8_000, samples=2_048)
    loaded = Loaded(experiment, Spec(shape=(2_048,), labels=corpus.labels), state, 5)
    monkeypatch.setattr(beginning, "load", {folder: loaded}.__getitem__)
    return folder, averaged(state)


def same(first, second):
    return digest(jax.device_get(first)) == digest(jax.device_get(second))


def test_it_begins_with_the_running_means_of_the_other_run(tmp_path, base):
    folder, variables = base
    assert same(begun(tmp_path, base=str(folder)), variables)
    assert not same(begun(tmp_path), variables)


def test_a_model_that_looks_at_clips_does_not_once_it_knows_others(tmp_path, base):
    folder, variables = base
    assert same(begun(tmp_path, base=str(folder), model=Fitting()), variables)
    assert not same(begun(tmp_path, model=Fitting())["mean"], begun(tmp_path)["mean"])


def test_a_model_may_have_a_part_and_then_looks_at_clips(tmp_path, base):
    folder, variables = base
    found, alone = begun(tmp_path, base=str(folder), model=Basing()), begun(tmp_path)
    assert same(found["mean"], variables["mean"]) and not same(found["mean"], alone["mean"])
    np.testing.assert_array_equal(found["follower"]["params"]["value"], [7, 7, 7])


def test_a_run_that_goes_on_needs_the_other_no_more(tmp_path, base, monkeypatch):
    experiment = toys.experiment(base=str(base[0]))
    train(experiment, tmp_path / "run", stop_at=5)
    monkeypatch.delattr(beginning, "load")
    assert int(train(experiment, tmp_path / "run").step) == 10


def test_no_run_is_said_in_a_line(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no checkpoint here; train first"):
        train(toys.experiment(base=str(tmp_path / "nowhere")), tmp_path / "run")


def test_another_network_is_said_in_a_line(tmp_path, base, monkeypatch):
    init = toys.ToyModel.init

    def larger(self, rng, spec):
        found = init(self, rng, spec)
        return found | {"mean": {"params": {"value": np.zeros(4, np.float32)}}}

    monkeypatch.setattr(toys.ToyModel, "init", larger)
    with pytest.raises(TrainingError, match=r"base .*base: it is of another network; .* fields that this ToyModel"):
        train(toys.experiment(base=str(base[0])), tmp_path / "run")


def test_what_a_based_model_cannot_use_is_said_in_a_line(tmp_path, base, monkeypatch):
    folder, variables = base
    monkeypatch.setattr(beginning, "averaged", lambda state: {"other": variables["mean"]})
    with pytest.raises(TrainingError, match=r"base .*base: expected a run of a toy"):
        train(toys.experiment(base=str(folder), model=Basing()), tmp_path / "run")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((Slider("level", 0.0, 2.0),), "labels level from 0 to 2"),
        ((Switch("on"),), "labels on"),
        ((), "no labels"),
    ],
)
def test_other_labels_are_said_in_a_line(tmp_path, base, labels, said, monkeypatch):
    monkeypatch.setattr(toys.ToyCorpus, "labels", labels)
    words = rf"it is of features \(2048,\) and labels level from 0 to 1, and this of features \(2048,\) and {said}; "
    with pytest.raises(TrainingError, match=words + "train both on the same data"):
        train(toys.experiment(base=str(base[0])), tmp_path / "run")
