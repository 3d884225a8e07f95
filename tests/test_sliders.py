"""Judging sliders: a model that is the truth is perfect, and each way of being wrong shows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.contracts import Spec, Synthetic
from mgen.data.tones import STEMS, Tones
from mgen.evaluation import sliders
from mgen.features import Waveform
from mgen.training.checkpoint import Loaded
from mgen.training.step import create_state
from tests import toys

RATE, SAMPLES = 18_000, 54_000


@dataclasses.dataclass(frozen=True)
class Player(toys.ToyModel):
    """Plays what `Tones` plays at other settings."""

    wrong: str = ""
    brightness: tuple[float, float] = (0.6, 0.6)

    def sample(self, variables, rng, settings, spec):
        corpus = data(self.brightness).open(sample_rate=RATE, samples=SAMPLES)
        settings = dict(settings)
        if self.wrong == "dead":
            settings["drums"] = jnp.full_like(settings["drums"], 0.5)
        if self.wrong == "tied":
            settings["bass"] = settings["drums"]
        if self.wrong == "dull":
            settings["brightness"] = jnp.full_like(settings["brightness"], 0.2)
        shape = jax.ShapeDtypeStruct((len(settings["drums"]), SAMPLES), jnp.float32)
        return jax.pure_callback(lambda asked: corpus.render(asked), shape, settings)


def data(brightness=(0.6, 0.6)):
    return Tones(pattern=("house",), key=("A",), tempo=(120.0, 120.0), pitch=(72, 72), brightness=brightness)


def judge(wrong, brightness=(0.6, 0.6)):
    experiment = toys.experiment(
        data=data(brightness),
        features=Waveform(sample_rate=RATE, samples=SAMPLES),
        model=Player(wrong=wrong, brightness=brightness),
    )
    corpus = experiment.data.open(sample_rate=RATE, samples=SAMPLES)
    spec = Spec(shape=(SAMPLES,), labels=corpus.labels)
    optimisers = {player: own.build(1) for player, own in experiment.optimisers.items()}
    state = create_state(experiment.model.init(jax.random.key(0), spec), optimisers)
    return sliders.judge(Loaded(experiment, spec, state, 7), corpus, count=sliders.FEWEST, points=3, seed=0)


def test_the_truth_is_perfect():
    found = judge("")
    assert found.names == list(STEMS)
    assert min(found.model.monotonicity) == pytest.approx(1)
    assert max(found.model.leak) < 0.2
    assert found.model.disentanglement > 0.7 and found.model.informativeness > 0.9
    np.testing.assert_allclose(found.model.leak, found.truth.leak, atol=1e-3)
    assert found.verdict() == []
    rows = found.rows()
    assert rows[0]["slider"] == "drums" and rows[0]["moves its own, model"] == "1.00"
    assert rows[-1]["slider"] == "all: informativeness"


def test_a_dead_slider_and_a_tied_one_are_named():
    dead = judge("dead")
    assert dead.model.monotonicity[0] == 0 and min(dead.model.monotonicity[1:]) == pytest.approx(1)
    assert dead.verdict() == ["slider drums: follows what it should move at 0.00, the true one at 1.00"]
    tied = judge("tied")
    assert tied.model.leak[0] > 0.9 and tied.model.leak_to[0] == "bass"
    assert any(line.startswith("slider drums: also moves bass") for line in tied.verdict())
    assert any(line.startswith("slider bass: follows") for line in tied.verdict())


@pytest.mark.slow
def test_what_the_drums_drown_is_heard_without_them():
    found = judge("", brightness=(0.0, 1.0))
    assert dict(zip(found.names, found.without, strict=True)) == dict.fromkeys(STEMS, "") | {"brightness": "drums"}
    assert found.model.monotonicity[-1] == pytest.approx(1) and found.model.leak[-1] < 0.2
    assert found.rows()[4]["slider"] == "brightness, without drums"
    dull = judge("dull", brightness=(0.0, 1.0))
    assert "slider brightness: follows what it should move at 0.00, the true one at 1.00" in dull.verdict()


def test_only_where_the_truth_is_known():
    assert isinstance(data().open(sample_rate=RATE, samples=SAMPLES), Synthetic)
    assert not isinstance(toys.ToyCorpus(toys.ToyData(), 100), Synthetic)


def test_nothing_to_judge():
    """A label is no control of the model."""

    class Other(Player):
        def controls(self, spec):
            return spec.labels[1:]

    experiment = toys.experiment(data=data(), features=Waveform(sample_rate=RATE, samples=SAMPLES), model=Other())
    corpus = experiment.data.open(sample_rate=RATE, samples=SAMPLES)
    loaded = Loaded(experiment, Spec(shape=(SAMPLES,), labels=corpus.labels), None, 0)
    assert sliders.judge(loaded, corpus, count=20, points=3, seed=0) is None


def test_the_corpus_plays_its_own_items():
    """What `render` makes of an item's labels is that item, to the 16 bits that items are kept in."""
    corpus = Tones(clips=3).open(sample_rate=RATE, samples=SAMPLES)
    items = [corpus.item("train", index, None) for index in range(3)]
    asked = {label.name: np.array([item["labels"][i] for item in items]) for i, label in enumerate(corpus.labels)}
    for played, item in zip(corpus.render(asked), items, strict=True):
        assert np.corrcoef(played, item["wave"])[0, 1] > 0.999, "labels are float32, and so may a beat be a sample off"
    assert corpus.levels == STEMS
