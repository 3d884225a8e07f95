"""`mgen evaluate`: the sets it compares, and what the command writes and refuses."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

from mgen.contracts import Spec
from mgen.controls import Slider
from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, collect, library
from mgen.features import Waveform
from mgen.training.checkpoint import Loaded
from mgen.training.step import create_state
from tests import toys
from tests.test_scorecard import RATE


def toy(**changes):
    """A toy run as loaded from a checkpoint, and its corpus."""
    experiment = toys.experiment(features=Waveform(sample_rate=RATE, samples=12_000), **changes)
    corpus = experiment.data.open(sample_rate=RATE, samples=12_000)
    spec = Spec(shape=(12_000,), labels=corpus.labels)
    optimisers = {player: own.build(1) for player, own in experiment.optimisers.items()}
    state = create_state(experiment.model.init(jax.random.key(0), spec), optimisers)
    return Loaded(experiment, spec, state, 7), corpus


def test_generated_sounds_have_the_labels_of_the_real_ones():
    loaded, corpus = toy()
    sets = collect(loaded, corpus, count=3, seed=0)
    assert sets.paired and sets.held_out
    levels = np.abs(sets.named[REAL]).max(axis=1)
    np.testing.assert_allclose(sets.settings["level"], levels, rtol=0.01)
    np.testing.assert_allclose(np.abs(sets.named[GENERATED]).max(axis=1), levels, rtol=0.01)
    np.testing.assert_allclose(sets.named[RECONSTRUCTED], sets.named[REAL], atol=1e-6)
    assert sets.named[MEAN].shape == sets.named[NOISE].shape == sets.named[GENERATED].shape == (3, 12_000)
    np.testing.assert_array_equal(sets.named[MEAN][0], sets.named[MEAN][1])


def test_a_seed_is_a_draw():
    one, again, other = (collect(*toy(), count=3, seed=seed).named for seed in (1, 1, 2))
    for name in (REAL, GENERATED, NOISE):
        np.testing.assert_array_equal(one[name], again[name])
        assert np.any(one[name] != other[name])


def test_data_without_validation_gives_training_clips_and_says_so():
    sets = collect(*toy(data=toys.ToyData(held_out=0)), count=5, seed=0)
    assert not sets.held_out and len(sets.named[REAL]) == 5


@dataclasses.dataclass(frozen=True)
class Free(toys.ToyModel):
    """Has a knob of its own, beside the level."""

    def controls(self, spec):
        return (*spec.labels, Slider("variety", 0.0, 1.5, 1.0))

    def sample(self, variables, rng, settings, spec):
        return settings["variety"][:, None] * super().sample(variables, rng, settings, spec)


def test_a_knob_of_the_models_own_stays_at_its_default():
    """Else a perfect model would be judged by sounds that nobody asked it for; and as many are made as were asked."""
    sets = collect(*toy(model=Free()), count=9, seed=0)
    assert not sets.paired and len(sets.named[REAL]) == 4
    np.testing.assert_array_equal(sets.settings["variety"], np.ones(9))
    assert set(sets.settings["level"]) <= set(sets.labels["level"]) and len(sets.named[GENERATED]) == 9


def test_the_library_is_of_all_training_clips_at_one_level():
    loaded, corpus = toy()
    known = library(loaded.experiment, corpus)
    assert len(known) == corpus.size("train") == 12
    assert np.ptp(known[:, :20].mean(axis=1)) < 0.1, "clips of levels from 0.08 to 1"
    assert len(library(loaded.experiment, corpus, most=5)) == 5


def heard(waves, levels):
    """As much of each as its level says."""
    return np.where(np.arange(waves.shape[1]) < np.asarray(levels)[:, None] * waves.shape[1], waves, 0)


@dataclasses.dataclass(frozen=True)
class Deaf(Free):
    """Is not asked what the level is to be."""

    def controls(self, spec):
        return (Slider("variety", 0.0, 1.5, 1.0),)

    def sample(self, variables, rng, settings, spec):
        return super().sample(variables, rng, {**settings, "level": settings["variety"]}, spec)


@pytest.mark.parametrize(("model", "count", "generated"), [(toys.ToyModel(), 3, 3), (Free(), 9, 9), (Deaf(), 3, 3)])
def test_all_but_noise_is_heard_as_its_labels_say(model, count, generated):
    plain, found = (
        collect(*toy(model=model, data=data()), count=count, seed=0) for data in (toys.ToyData, toys.WarpedData)
    )
    real, asked = plain.labels["level"], plain.settings.get("level", np.full(generated, 0.5))
    for name, levels in ((REAL, real), (RECONSTRUCTED, real), (GENERATED, asked), (MEAN, asked)):
        assert len(plain.named[name]) == len(levels) and np.any(plain.named[name][:, -1])
        np.testing.assert_array_equal(found.named[name], heard(plain.named[name], levels))
    np.testing.assert_array_equal(found.named[NOISE], plain.named[NOISE])
    of_train = np.round(12 * np.abs(plain.train).max(axis=1)) / 12
    np.testing.assert_allclose(found.train, heard(plain.train, of_train))
    np.testing.assert_array_equal(found.labels["level"], real)


def test_the_library_is_of_clips_as_they_are_heard(monkeypatch):
    monkeypatch.setattr("mgen.evaluation.sets.levelled", lambda waves, *, sample_rate: waves)
    plain, found = (
        library(loaded.experiment, corpus) for loaded, corpus in (toy(data=toys.ToyData()), toy(data=toys.WarpedData()))
    )
    np.testing.assert_allclose(found, heard(plain, np.round(12 * np.abs(plain).max(axis=1)) / 12))


@pytest.mark.slow
def test_evaluate_judges_the_sliders_of_tones(run, tmp_path):
    assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, out, err = run("evaluate", "run", "--count", "3", "--seeds", "1", "--shown", "1")
    assert status == 0, err
    found = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert found["sliders"]["names"] == ["drums", "bass", "chords", "lead", "brightness"]
    assert "disentanglement" in out
    assert run("train", "demo:smoke", "--workdir", "short", "--features.frames", "8")[0] == 0
    status, _, err = run("evaluate", "short")
    assert (status, "short: its sounds have 1792 samples; 4096 are needed" in err) == (1, True)


def test_evaluate_writes_numbers_and_a_page(run, tmp_path):
    assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, out, err = run("evaluate", "run", "--count", "4", "--seeds", "2", "--shown", "2", "--no-sliders")
    assert status == 0, err
    assert "white noise" in out and "kernel distance" in out and "index.html" in out
    found = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert found["step"] == 2 and found["paired"] and len(found["runs"]) == 2
    score = found["summary"][GENERATED]["kernel distance"]
    assert score["low"] < score["high"] and score["of"] == 2 and found["counts"][GENERATED] == 4
    assert found["sliders"] is None
    page = (tmp_path / "run" / "evaluation" / "index.html").read_text()
    for kind in ("png", "wav"):
        names = re.findall(rf'src="([^"]+\.{kind})"', page)
        assert len(names) == 2 * 5
        assert all((tmp_path / "run" / "evaluation" / name).stat().st_size > 500 for name in names)
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--count", "2"], "--count: at least 3, got 2"),
        (["run", "--seeds", "0"], "--seeds: at least 1, got 0"),
        (["nowhere"], "nowhere: no checkpoint here; train first"),
        (["run", "--data-path", "x"], "--data-path: Tones has no path"),
    ],
)
def test_refusals(run, words, message, tmp_path):
    if words[0] == "run" and "--data-path" in words:
        assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, _, err = run("evaluate", *words)
    assert status == 1 and message in err
