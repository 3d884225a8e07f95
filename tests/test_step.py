import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import parallel
from mgen.contracts import LossOutput, Spec
from mgen.features import Waveform
from mgen.training.clips import clips
from mgen.training.step import averaged, create_state, encoder, make_step, make_validation
from tests import toys
from tests.toys import ToyModel

SPEC = Spec(shape=(8,))
BATCH = {"wave": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)}


def play(losses=None, steps=1, ema_decay=0.9, batch=BATCH, rate=0.1):
    model = ToyModel()
    optimisers = {player: optax.sgd(rate) for player in ("mean", "follower")}
    state = create_state(model.init(jax.random.key(0), SPEC), optimisers)
    first = jax.device_get(state)
    step = parallel.replicate(
        make_step(losses or model.losses(SPEC), optimisers, encode=lambda batch: batch["wave"], ema_decay=ema_decay)
    )
    for _ in range(steps):
        state, metrics = step(state, jax.random.key(1), parallel.split(batch))
    return first, state, metrics


def test_each_player_moves_only_itself_and_sees_the_one_before_moved():
    first, state, metrics = play()
    before, after = first.variables, state.variables
    assert not np.allclose(before["mean"]["params"]["value"], after["mean"]["params"]["value"])
    gap = before["follower"]["params"]["value"] - after["mean"]["params"]["value"]  # mean has played already
    expected = before["follower"]["params"]["value"] - 0.1 * 2 * gap / 3
    np.testing.assert_allclose(after["follower"]["params"]["value"], expected, rtol=1e-6)
    assert {"mean/loss", "mean/square", "mean/gradient_norm", "follower/loss", "refused"} <= set(metrics)
    assert int(state.step) == 1


def test_other_collections_are_carried_and_averaged_over_devices():
    def loss(variables, rng, batch, *, train):
        own = variables["follower"]
        seen = own["batch_stats"]["seen"] + batch["features"].sum()  # another number on every device
        return LossOutput(jnp.sum(own["params"]["value"] ** 2), {}, {"batch_stats": {"seen": seen}})

    batch = {"wave": np.arange(64, dtype=np.float32).reshape(8, 8)}
    _, state, _ = play({"follower": loss}, steps=3, batch=batch)
    mean = batch["wave"].sum() / jax.local_device_count()
    assert float(state.variables["follower"]["batch_stats"]["seen"]) == pytest.approx(3 * mean)


def test_every_step_draws_its_own_noise():
    drawn = []

    def loss(variables, rng, batch, *, train):
        return LossOutput(jnp.sum(variables["mean"]["params"]["value"] ** 2), {"draw": jax.random.uniform(rng)})

    for steps in (1, 2, 3):
        _, _, metrics = play({"mean": loss}, steps=steps)
        drawn.append(float(metrics["mean/draw"]))
    assert len(set(drawn)) == 3


def test_the_logged_loss_is_the_loss():
    first, _, metrics = play()
    value = np.asarray(first.variables["mean"]["params"]["value"])
    levels = np.abs(BATCH["wave"].reshape(4, -1)).mean(axis=1)  # of each device
    expected = np.mean((value - levels[:, None]) ** 2)
    assert float(metrics["mean/loss"]) == pytest.approx(expected, rel=0.2)  # the loss adds a little noise
    assert float(metrics["mean/loss"]) == float(metrics["mean/square"])


def test_an_update_that_is_not_finite_is_refused_whole():
    bad = {"wave": BATCH["wave"].copy()}
    bad["wave"][0, 0] = np.nan
    first, state, metrics = play(batch=bad)
    np.testing.assert_array_equal(
        first.variables["mean"]["params"]["value"], state.variables["mean"]["params"]["value"]
    )
    assert np.isnan(metrics["mean/loss"])
    assert metrics["refused"] == 1
    assert state.variables["follower"]["params"]["value"][0] != first.variables["follower"]["params"]["value"][0]
    assert play()[2]["refused"] == 0


def test_running_mean_follows():
    first, state, _ = play()
    new, old = state.variables["mean"]["params"]["value"], first.variables["mean"]["params"]["value"]
    np.testing.assert_allclose(state.ema["mean"]["value"], old + 0.9 * (new - old), rtol=1e-5)  # warm-up: 1 / 10
    np.testing.assert_array_equal(averaged(state)["mean"]["params"]["value"], state.ema["mean"]["value"])
    _, state, _ = play(ema_decay=0.0, steps=2)
    np.testing.assert_array_equal(state.ema["mean"]["value"], state.variables["mean"]["params"]["value"])


def test_gradients_do_not_depend_on_the_number_of_devices():
    def loss(variables, rng, batch, *, train):
        value = jnp.mean((variables["mean"]["params"]["value"].sum() * batch["features"]) ** 2)
        return LossOutput(value, {})

    _, state, _ = play({"mean": loss})
    x, before = BATCH["wave"], ToyModel().init(jax.random.key(0), SPEC)["mean"]["params"]["value"]
    gradient = jax.grad(lambda value: jnp.mean((value.sum() * x) ** 2))(before)
    np.testing.assert_allclose(state.variables["mean"]["params"]["value"], before - 0.1 * gradient, rtol=1e-5)


def test_validation_trains_nothing_and_draws_no_noise():
    model = ToyModel()
    variables = model.init(jax.random.key(0), SPEC)
    run = parallel.replicate(make_validation(model.losses(SPEC), encode=lambda batch: batch["wave"]))
    one = run(variables, jax.random.key(0), parallel.split(BATCH))
    two = run(variables, jax.random.key(5), parallel.split(BATCH))
    assert float(one["mean/loss"]) == float(two["mean/loss"])


def test_one_optimiser_for_each_player():
    variables = ToyModel().init(jax.random.key(0), SPEC)
    with pytest.raises(
        ValueError, match=r"optimisers: expected one for each of \['follower', 'mean'\], got \['mean'\]"
    ):
        create_state(variables, {"mean": optax.sgd(0.1)})


class Louder(toys.ToyCorpus):
    """Leaves it to the device to bring each wave to its label."""

    def process(self, wave, labels):
        return wave * 10 * labels[..., :1]


def test_what_a_corpus_leaves_to_the_device_is_done_before_encoding():
    data, features = toys.ToyData(), Waveform(sample_rate=8_000, samples=64)
    plain, louder = toys.ToyCorpus(data, 64), Louder(data, 64)
    rngs = [np.random.default_rng(index) for index in range(3)]
    waves, labels = clips(plain, "train", [0, 5, 11], rngs)
    batch = {"wave": waves, "labels": labels}
    np.testing.assert_array_equal(encoder(features, plain)(batch), waves)
    expected = waves * 10 * labels[:, :1]
    np.testing.assert_allclose(encoder(features, louder)(batch), expected, rtol=1e-6)
    rngs = [np.random.default_rng(index) for index in range(3)]
    np.testing.assert_allclose(clips(louder, "train", [0, 5, 11], rngs)[0], expected, rtol=1e-6)
