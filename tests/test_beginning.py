"""What a run begins from: another run's network, or a part of it, and never what does not fit."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from mgen.contracts import Spec
from mgen.controls import Choice, Slider
from mgen.features import FftBlocks, Waveform
from mgen.training import beginning
from mgen.training.checkpoint import CheckpointError, Loaded, digest
from mgen.training.health import Collapse, Watch
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
        if "mean" not in base:
            raise ValueError("expected a run of a toy")
        return variables | {"mean": base["mean"]}

    def fit(self, variables, examples, spec):
        return variables | {"follower": {**variables["follower"], "params": {"value": np.full(3, 7, np.float32)}}}


def begun(base=None, **changes):
    """Variables before the first step, of a corpus of toys."""
    experiment = toys.experiment(base="there" if base else "", **changes)
    corpus = experiment.data.open(sample_rate=8_000, samples=2_048)
    return beginning.beginning(experiment, corpus, Spec(shape=(2_048,), labels=corpus.labels), base)


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A run of five steps, as it is read, in `there`. (Only types of mgen can be read from disk.)"""
    experiment = toys.experiment()
    state = jax.tree.map(np.array, train(experiment, tmp_path / "base", stop_at=5))
    corpus = experiment.data.open(sample_rate=8_000, samples=2_048)
    loaded = Loaded(experiment, Spec(shape=(2_048,), labels=corpus.labels), state, 5)
    monkeypatch.setattr(beginning, "load", {pathlib.Path("there"): loaded}.__getitem__)
    return loaded


def same(first, second):
    return digest(jax.device_get(first)) == digest(jax.device_get(second))


def test_it_begins_with_the_running_means_of_the_other_run(base):
    assert same(begun(base), averaged(base.state))
    assert not same(begun(), averaged(base.state))


def test_a_model_that_looks_at_clips_does_not_once_it_knows_others(base):
    assert same(begun(base, model=Fitting()), averaged(base.state))
    assert not same(begun(model=Fitting())["mean"], begun()["mean"])


def test_a_model_may_have_a_part_and_then_looks_at_clips(base):
    """Its own network is of another size, or it would begin with all of the other."""
    part = {name: own for name, own in averaged(base.state).items() if name == "mean"}
    state = dataclasses.replace(base.state, variables=part, ema={"mean": part["mean"]["params"]})
    found = begun(dataclasses.replace(base, state=state), model=Basing())
    assert same(found["mean"], part["mean"]) and not same(found["mean"], begun()["mean"])
    np.testing.assert_array_equal(found["follower"]["params"]["value"], [7, 7, 7])
    assert same(begun(base, model=Basing()), averaged(base.state))


def test_a_part_that_is_missing_is_said(capsys):
    begun(model=Basing())
    assert "no base: what Basing has from another run is at its random beginning" in capsys.readouterr().err
    begun(model=Fitting())
    assert not capsys.readouterr().err


def test_a_run_that_goes_on_needs_the_other_no_more(tmp_path, base, monkeypatch):
    train(toys.experiment(base="there"), tmp_path / "run", stop_at=5)
    monkeypatch.delattr(beginning, "load")
    state = train(toys.experiment(base="moved"), tmp_path / "run")
    assert int(state.step) == 10


def test_a_collapse_before_any_checkpoint_begins_with_it_again(tmp_path, base, monkeypatch, capsys):
    seen = []

    def look(self, step, values):
        seen.append(step)
        if len(seen) == 1:
            raise Collapse(step, "nothing moves", 0)

    monkeypatch.setattr(Watch, "trained", look)
    state = train(toys.experiment(base="there"), tmp_path / "run")
    assert int(state.step) == 10 and "back to step 0" in capsys.readouterr().err


def test_no_run_is_said_in_a_line_before_anything_is_made(tmp_path):
    with pytest.raises(CheckpointError, match="^base .*nowhere: no checkpoint here; train first"):
        train(toys.experiment(base=str(tmp_path / "nowhere")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_network_is_said_in_a_line(tmp_path, base, monkeypatch):
    init = toys.ToyModel.init

    def larger(self, rng, spec):
        return init(self, rng, spec) | {"mean": {"params": {"value": np.zeros(4, np.float32)}}}

    monkeypatch.setattr(toys.ToyModel, "init", larger)
    with pytest.raises(TrainingError, match="^base there: it is of another network: model.start: saved 0.0, asked 1.0"):
        train(toys.experiment(base="there", model=toys.ToyModel(start=1.0)), tmp_path / "run")
    with pytest.raises(TrainingError, match="^base there: expected a run of a toy"):
        monkeypatch.setattr(beginning, "averaged", lambda state: {"other": {}})
        train(toys.experiment(base="there", model=Basing()), tmp_path / "run")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((Slider("level", 0.0, 2.0),), "labels.level.high: saved 1.0, asked 2.0"),
        ((Choice("level", ("low", "high")),), "labels.level.type: saved Slider, asked Choice"),
        ((), r"labels.level: saved .*, asked \(missing\)"),
    ],
)
def test_other_labels_are_said_in_a_line(tmp_path, base, labels, said, monkeypatch):
    monkeypatch.setattr(toys.ToyCorpus, "labels", labels)
    with pytest.raises(TrainingError, match=rf"^base there: it was told other things: {said}.*Train both on the same"):
        train(toys.experiment(base="there"), tmp_path / "run")


def test_labels_in_another_order_are_others(base):
    two = (Slider("level", 0.0, 1.0, 0.5), Slider("tone"))
    spec = dataclasses.replace(base.spec, labels=two)
    beginning._check(dataclasses.replace(base, spec=spec), base.experiment, spec)
    with pytest.raises(ValueError, match="labels: saved level, tone, asked tone, level"):
        other = dataclasses.replace(base.spec, labels=two[::-1])
        beginning._check(dataclasses.replace(base, spec=spec), base.experiment, other)


def test_where_a_label_begins_and_what_is_said_of_it_is_free(tmp_path, base, monkeypatch):
    monkeypatch.setattr(toys.ToyCorpus, "labels", (Slider("level", 0.0, 1.0, 0.7, help="of the noise"),))
    train(toys.experiment(base="there"), tmp_path / "run", stop_at=1)


def test_features_of_the_same_shape_are_told_apart(tmp_path, base):
    with pytest.raises(TrainingError, match="features.sample_rate: saved 8000, asked 9000"):
        features = Waveform(sample_rate=9_000, samples=2_048)
        train(toys.experiment(base="there", features=features), tmp_path / "run")
    features = FftBlocks(sample_rate=8_000, blocks=4, block=512)
    with pytest.raises(
        TrainingError, match=r"other things: features.type: saved \S+Waveform, asked \S+FftBlocks. Train"
    ):
        train(toys.experiment(base="there", features=features), tmp_path / "run")
