"""The rate that falls when validation stands still: the original's log, a run that is stopped, what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.training.checkpoint import digest
from mgen.training.loop import TrainingError, train
from mgen.training.optimisers import Adam, Plateau, Told
from tests import toys

# Validation accuracy of each epoch of system 004's published run, and the rate that the log gives for the epoch:
# trainingLogs/...n_mels-384_withLearningRates.log of pranigopu/ambience-to-music-neuralStyleTransfer.
ACCURACY = (
    *(0.1686, 0.4474, 0.5092, 0.3957, 0.6795, 0.2972, 0.6995, 0.4691, 0.6578, 0.5760),
    *(0.6344, 0.7312, 0.7880, 0.7212, 0.7563, 0.8147, 0.8114, 0.8147, 0.8230, 0.8114),
    *(0.8013, 0.8230, 0.8197, 0.8264, 0.8297, 0.8230, 0.8264, 0.8247, 0.8297, 0.8230),
)
HALVINGS = (0,) * 9 + (1,) * 2 + (2,) * 4 + (3,) * 3 + (4,) * 3 + (5,) * 2 + (6,) * 4 + (7,) * 2 + (8,)
PLATEAU = Plateau(rate=1e-3, clip=0.0, watch="accuracy")


def replayed(plateau: Plateau) -> list[float]:
    """The rate in each epoch of the log."""
    state, rates = plateau.build(30).init({"w": jnp.zeros(2)}), []
    for accuracy in ACCURACY:
        rates.append(plateau.rate * plateau.scale(state))
        state = plateau.told(state, {"accuracy": accuracy})
    return rates


def test_replays_the_originals_learning_rates():
    logged = [1e-3 * 0.5**count for count in HALVINGS]
    np.testing.assert_allclose(replayed(PLATEAU), logged, rtol=1e-6)


def test_the_published_gain_does_not():
    """The text says 0.05: its rates differ from the log's in 23 of 30 epochs."""
    logged = np.array([1e-3 * 0.5**count for count in HALVINGS])
    assert np.sum(np.isclose(replayed(dataclasses.replace(PLATEAU, least_gain=0.05)), logged)) == 7


def test_a_loss_falls_and_nan_is_no_gain():
    plateau = dataclasses.replace(PLATEAU, falls=True, patience=1)
    state = plateau.build(10).init({"w": jnp.zeros(2)})
    for value, scale in ((3.0, 1.0), (2.0, 1.0), (2.0, 0.5), (float("nan"), 0.25), (1.0, 0.25)):
        state = plateau.told(state, {"accuracy": value})
        assert plateau.scale(state) == scale


def test_updates_are_adams_times_the_scale():
    params, gradient = {"w": jnp.ones(3)}, {"w": jnp.array([1.0, -2.0, 0.5])}
    adam, plateau = Adam(rate=1e-3, decay="none", warmup=0, clip=0.0).build(10), PLATEAU.build(10)
    state = PLATEAU.told(plateau.init(params), {"accuracy": 0.5})
    for accuracy in (0.5, 0.5):
        state = PLATEAU.told(state, {"accuracy": accuracy})
    ours, _ = plateau.update(gradient, state, params)
    theirs, _ = adam.update(gradient, adam.init(params), params)
    np.testing.assert_allclose(ours["w"], 0.5 * theirs["w"], rtol=1e-6)


@pytest.mark.parametrize("field, value", [("factor", 1.0), ("patience", 0), ("least_gain", -1.0), ("rate", -1.0)])
def test_refuses_what_is_no_plateau(field, value):
    with pytest.raises(ValueError, match=f"optimisers.*{field}"):
        Plateau(**{field: value})


def experiment(**changes):
    """The toy game, in which `follower` goes by a loss that never gains as much as is asked for."""
    own = Plateau(rate=0.05, watch="validation/follower/loss", falls=True, patience=1, least_gain=1e3)
    optimisers = {"mean": Adam(rate=0.05, warmup=0, decay="none"), "follower": own}
    return toys.experiment(optimisers=optimisers, steps=12, validate_every=3, checkpoint_every=4, **changes)


def logged(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["follower/rate"] for row in rows if "follower/rate" in row}


def test_a_run_is_told_after_each_validation_and_goes_on_where_it_was_stopped(tmp_path):
    """Also where it was stopped at a step that is no validation's: nothing is told twice, and nothing is missed."""
    whole = train(experiment(), tmp_path / "whole")
    for stop_at in (4, 5, 6):
        train(experiment(), tmp_path / "parts", stop_at=stop_at)
    parts = train(experiment(), tmp_path / "parts")
    assert digest(jax.device_get(whole)) == digest(jax.device_get(parts))
    rates = logged(tmp_path / "whole")
    # The first validation is a gain over nothing; each later one halves the rate of the steps after it.
    assert [rates[step] for step in (2, 4, 6, 8, 10, 12)] == pytest.approx([0.05, 0.05, 0.05, 0.025, 0.0125, 0.0125])


def test_a_number_that_validations_lack_is_named(tmp_path):
    wrong = experiment()
    own = dataclasses.replace(wrong.optimisers["follower"], watch="validation/follower/accuracy")
    wrong = dataclasses.replace(wrong, optimisers=wrong.optimisers | {"follower": own})
    with pytest.raises(TrainingError, match=r"watch=validation/follower/accuracy: expected one of .*follower/loss"):
        train(wrong, tmp_path)


def test_who_is_told():
    assert isinstance(Plateau(), Told)
    assert not isinstance(Adam(), Told)
