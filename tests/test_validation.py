"""What is seen of held-out sound while a run is trained."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import parallel
from mgen.contracts import Spec
from mgen.features import Waveform
from mgen.training.loop import train
from mgen.training.step import create_state
from mgen.training.validation import Validation
from tests import toys

FEATURES = Waveform(sample_rate=8_000, samples=8_192)


def validate(**changes):
    experiment = toys.experiment(**{"features": FEATURES, "validation_sounds": 4} | changes)
    corpus = experiment.data.open(sample_rate=8_000, samples=experiment.features.samples)
    spec = Spec(shape=experiment.features.shape, labels=corpus.labels)
    optimisers = {player: own.build(1) for player, own in experiment.optimisers.items()}
    state = parallel.place(create_state(experiment.model.init(jax.random.key(0), spec), optimisers))
    return Validation(experiment, corpus, spec, experiment.model.losses(spec))(state)


@dataclasses.dataclass(frozen=True)
class Quiet(toys.ToyModel):
    """Plays all of it 40 dB too quiet."""

    def sample(self, variables, rng, settings, spec):
        return 0.01 * super().sample(variables, rng, settings, spec)


def test_sounds_are_measured_beside_the_losses():
    """The toy plays noise of the level it is asked for, as its data is: near in level, and flat."""
    found, quiet = validate(), validate(model=Quiet())
    assert found["validation/mean/loss"] > 0
    assert found["validation/sound/kernel_distance"] < 1 < quiet["validation/sound/kernel_distance"]
    assert found["validation/sound/flatness"] > 0.5
    assert 0 < found["validation/sound/log_mel_db"] < 10 < quiet["validation/sound/log_mel_db"]


def test_real_sounds_are_heard_as_those_of_the_model_are():
    """Of both as much as the label says; of whole ones a model that plays what it should would be far off."""
    found, plain = validate(data=toys.WarpedData()), validate()
    assert 0 < found["validation/sound/log_mel_db"] < 1.2 * plain["validation/sound/log_mel_db"]
    assert found["validation/sound/kernel_distance"] < 1


@pytest.mark.parametrize(
    "changes",
    [
        {"validation_sounds": 0},
        {"data": toys.ToyData(held_out=2)},
        {"features": Waveform(sample_rate=8_000, samples=2_048)},
    ],
)
def test_too_few_or_too_short_sounds_are_not_measured(changes):
    found = validate(**changes)
    assert found and not any(name.startswith("validation/sound/") for name in found)


@dataclasses.dataclass(frozen=True)
class Breaking(toys.ToyModel):
    """Its sounds hold NaN from some level on."""

    least: float = 0.3

    def sample(self, variables, rng, settings, spec):
        made = super().sample(variables, rng, settings, spec)
        return jnp.where(settings["level"][:, None] > self.least, jnp.nan, made)


def test_broken_sounds_do_not_end_the_run():
    some, all_of_them = validate(model=Breaking(least=0.8)), validate(model=Breaking(least=0.0))
    assert some["validation/sound/broken"] == 0.25 and np.isfinite(some["validation/sound/kernel_distance"])
    assert all_of_them["validation/sound/broken"] == 1 and "validation/sound/kernel_distance" not in all_of_them


def test_the_same_sounds_each_time():
    assert validate() == validate()


def test_a_run_logs_them(tmp_path):
    train(toys.experiment(features=FEATURES, validation_sounds=4), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    seen = [line["validation/sound/kernel_distance"] for line in lines if "validation/sound/kernel_distance" in line]
    assert len(seen) == 2 and np.all(np.isfinite(seen))
