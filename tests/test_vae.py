"""The variational autoencoder: its bound by hand, what the divergence counts when, and where new clips come from.

Over 300 lines, because its tests are of one model that is trained once.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import controls, latents, principal
from mgen.contracts import Fitted, Spec
from mgen.controls import Switch
from mgen.models.vae import Vae
from tests import toys

SPEC = Spec(shape=(6, 5), labels=(Switch("bright"),))
MODEL = Vae(
    latent=2, coordinates=8, within=(6, 5), width=16, depth=1, dropout=0.0, warmup=0, free_bits=0.0, components=2
)
CLIPS = np.random.default_rng(0).uniform(-0.9, 0.9, (8, *SPEC.shape)).astype(np.float32)
BOTH = np.concatenate([CLIPS, -CLIPS])  # as they are, and upside down


@functools.lru_cache
def started(model=MODEL, spec=SPEC):
    """Variables that have seen the clips, the networks as they begin."""
    return model.fit(jax.jit(functools.partial(model.init, spec=spec))(jax.random.key(0)), BOTH, spec)


@functools.lru_cache
def compiled(model=MODEL, train=True):
    return jax.jit(functools.partial(model.losses(SPEC)["vae"], train=train))


def batch_of(features, bright=0.0):
    return {"features": jnp.asarray(features), "labels": jnp.full((len(features), 1), bright)}


def with_own(variables, **own):
    return {"vae": variables["vae"] | own}


def at_step(variables, step):
    return with_own(variables, memory=variables["vae"]["memory"] | {"step": jnp.float32(step)})


ENCODE, DECODE, DECODED = (jax.jit(part) for part in (MODEL.encode, MODEL.decode, MODEL._decoded))


def of_each(variables, batch):
    """Nats that each latent is from the standard normal, mean over clips, in NumPy."""
    mean, deviation = (
        np.asarray(part, np.float64)
        for part in ENCODE(variables, batch["features"], controls.encode(SPEC.labels, batch["labels"]))
    )
    return np.mean((mean**2 + deviation**2 - 1) / 2 - np.log(deviation), axis=0)


def likelihood(variables, batch, key):
    """Half the log of the mean squared error of coordinates, decoded from a draw of the posterior."""
    basis, conditions = variables["vae"]["basis"], controls.encode(SPEC.labels, batch["labels"])
    mean, deviation = ENCODE(variables, batch["features"], conditions)
    code = mean + deviation * jax.random.normal(jax.random.split(key)[1], mean.shape)
    found = DECODED(variables, code, conditions) * basis["scale"]
    error = np.mean(np.square(found - principal.project(basis, batch["features"])))
    return np.log(error / np.mean(np.square(basis["scale"]))) / 2, error


@pytest.mark.parametrize("model", [MODEL, dataclasses.replace(MODEL, beta=3.0, free_bits=5.0, warmup=100, dropout=0.5)])
def test_validation_is_the_bound_whatever_training_counts(model):
    variables, batch, key = started(), batch_of(CLIPS), jax.random.key(1)
    output = compiled(model, train=False)(variables, key, batch)
    log_error, _ = likelihood(variables, batch, key)
    divergence = np.sum(of_each(variables, batch))
    assert float(output.value) == pytest.approx(log_error + model.beta * divergence / model.coordinates, rel=1e-4)
    assert float(output.metrics["divergence"]) == pytest.approx(divergence, rel=1e-4)
    assert float(output.metrics["error"]) == pytest.approx(np.exp(2 * log_error), rel=1e-4)
    assert not output.updates


def test_the_noise_of_the_decoder_is_the_best_that_it_could_be():
    """The bound of a Gaussian decoder, least over its deviation, but for what does not depend on the parameters."""
    variables, batch, key = started(), batch_of(CLIPS), jax.random.key(1)
    log_error, error = likelihood(variables, batch, key)
    deviations = np.geomspace(0.1, 10, 2001) * np.sqrt(error)
    least = np.min(error / (2 * deviations**2) + np.log(deviations))
    scale = np.mean(np.square(variables["vae"]["basis"]["scale"]))
    assert log_error == pytest.approx(least - 0.5 - np.log(scale) / 2, abs=1e-4)


def test_the_divergence_comes_to_count_over_the_warm_up():
    model = dataclasses.replace(MODEL, warmup=10, beta=2.0)
    variables, batch, key = started(), batch_of(CLIPS), jax.random.key(1)
    log_error, _ = likelihood(variables, batch, key)
    whole = 2.0 * np.sum(of_each(variables, batch)) / model.coordinates
    for step, share in ((0, 0.0), (5, 0.5), (10, 1.0), (50, 1.0)):
        output = compiled(model)(at_step(variables, step), key, batch)
        assert float(output.value) == pytest.approx(log_error + share * whole, rel=1e-4)
        assert float(output.updates["memory"]["step"]) == step + 1
    assert float(compiled()(variables, key, batch).value) == pytest.approx(log_error + whole / 2, rel=1e-4)


def slopes(model, batch):
    def value(params):
        return model._loss(SPEC, with_own(started(), params=params), jax.random.key(1), batch, train=True).value

    return jax.jit(jax.grad(value))(started()["vae"]["params"])


def test_below_its_free_bits_a_dimension_costs_nothing():
    variables, batch, key = started(), batch_of(CLIPS), jax.random.key(1)
    nats = of_each(variables, batch)
    between = float(np.mean(nats))
    log_error, _ = likelihood(variables, batch, key)
    for free_bits in (0.0, between, 100.0):
        model = dataclasses.replace(MODEL, free_bits=free_bits)
        expected = log_error + np.sum(np.maximum(nats, free_bits)) / MODEL.coordinates
        assert float(compiled(model)(variables, key, batch).value) == pytest.approx(expected, rel=1e-4)
    assert nats.min() < between - 1e-3 < between < nats.max()
    free, none, full = (
        slopes(dataclasses.replace(MODEL, **fields), batch) for fields in ({"free_bits": 100.0}, {"beta": 0.0}, {})
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), free, none)
    apart = jax.tree.map(lambda a, b: float(jnp.max(abs(a - b))), full["encoder"], none["encoder"])
    assert max(jax.tree.leaves(apart)) > 0.01
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(full)), "every part is learnt"


def test_dimensions_that_say_something_are_counted():
    variables = jax.tree.map(lambda leaf: leaf, started())  # a copy
    last = variables["vae"]["params"]["encoder"]["Perceptron_0"]["Dense_1"]
    last["kernel"] = jnp.zeros_like(last["kernel"])
    middle = np.repeat(variables["vae"]["basis"]["mean"][None], 4, axis=0)  # whose latents are all 0
    for deviations, used in (((1, 1), 0.0), ((1, 0.5), 0.5), ((0.9, 1.1), 0.0), ((0.5, 3), 1.0)):
        last["bias"] = jnp.concatenate([jnp.zeros(2), jnp.log(jnp.array(deviations) / 0.1)])
        metrics = compiled(train=False)(variables, jax.random.key(0), batch_of(middle)).metrics
        assert float(metrics["used"]) == used
        expected = sum((deviation**2 - 1) / 2 - np.log(deviation) for deviation in deviations)
        assert float(metrics["divergence"]) == pytest.approx(expected, abs=1e-5)


@functools.lru_cache
def trained(steps=400):
    """Variables after some training, in which bright clips are the others upside down."""
    model, begun = dataclasses.replace(MODEL, beta=0.1), started()
    adam = optax.adam(optax.cosine_decay_schedule(0.01, steps))
    batch = {
        "features": jnp.asarray(BOTH),
        "labels": jnp.repeat(jnp.array([[0.0], [1.0]]), len(CLIPS), axis=0),
    }

    def step(carry, key):
        params, memory, state = carry

        def loss(params):
            output = model.losses(SPEC)["vae"](with_own(begun, params=params, memory=memory), key, batch, train=True)
            return output.value, output.updates["memory"]

        slope, memory = jax.grad(loss, has_aux=True)(params)
        updates, state = adam.update(slope, state, params)
        return (optax.apply_updates(params, updates), memory, state), None

    own = begun["vae"]
    keys = jax.random.split(jax.random.key(2), steps)
    carry = own["params"], own["memory"], adam.init(own["params"])
    params, memory, _ = jax.jit(functools.partial(jax.lax.scan, step))(carry, keys)[0]
    return with_own(begun, params=params, memory=memory)


def back(variables, clips, bright):
    """Clips from their posterior means."""
    conditions = controls.encode(SPEC.labels, jnp.full((len(clips), 1), bright))
    return np.asarray(DECODE(variables, ENCODE(variables, clips, conditions)[0], conditions))


def test_training_clips_come_back_as_their_labels_say():
    for sign, bright in ((1, 0.0), (-1, 1.0)):
        before, after = (
            np.mean((back(variables, sign * CLIPS, bright) - sign * CLIPS) ** 2) for variables in (started(), trained())
        )
        assert after < 0.01 * before


SAMPLE = jax.jit(MODEL.sample, static_argnames="spec")


def made(count=4, key=0, model=MODEL, **values):
    sample = SAMPLE if model == MODEL else jax.jit(model.sample, static_argnames="spec")
    return np.asarray(sample(trained(), jax.random.key(key), toys.settings(MODEL, SPEC, count, **values), spec=SPEC))


def given(clips, mask=None):
    mask = np.ones(len(clips), bool) if mask is None else np.array(mask, bool)
    return controls.Clips(np.where(mask[:, None, None], clips, np.float32(0)), mask)


def test_a_given_clip_is_its_posterior_mean_and_the_others_are_drawn_as_ever():
    found = made(clip=given(CLIPS[:4], [1, 0, 1, 0]))
    np.testing.assert_allclose(found[[0, 2]], back(trained(), CLIPS[[0, 2]], 0.0), atol=1e-5)
    np.testing.assert_allclose(found[[1, 3]], made()[[1, 3]], atol=1e-6)
    np.testing.assert_allclose(
        made(4, 9, variety=0.1, clip=given(CLIPS[:4], [1, 0, 1, 0]))[[0, 2]], found[[0, 2]], atol=1e-6
    )


def test_a_mix_is_between_two_clips_or_a_clip_and_a_draw():
    one, two = given(CLIPS[:4]), given(CLIPS[4:8])
    np.testing.assert_allclose(made(clip=one, clip_to=two, mix=0.0), made(clip=one), atol=1e-6)
    np.testing.assert_allclose(made(clip=one, clip_to=two, mix=1.0), made(clip=two), atol=1e-5)
    np.testing.assert_allclose(made(clip_to=two, mix=1.0), made(clip=two), atol=1e-5)
    np.testing.assert_allclose(made(clip_to=two, mix=0.0), made(), atol=1e-6)
    np.testing.assert_allclose(made(clip=one, mix=1.0), made(), atol=1e-5)
    conditions = controls.encode(SPEC.labels, jnp.zeros((4, 1)))
    ends = [ENCODE(trained(), clips.features, conditions)[0] for clips in (one, two)]
    quarter = DECODE(trained(), 0.75 * ends[0] + 0.25 * ends[1], conditions)
    np.testing.assert_allclose(made(clip=one, clip_to=two, mix=0.25), quarter, atol=1e-5)


def test_conditions_change_what_is_decoded():
    dark, bright = made(64, bright=0.0), made(64, bright=1.0)
    for sounds, sign in ((dark, 1), (bright, -1)):
        own, other = (
            np.min(np.mean(np.square(sounds[:, None] - clips), axis=(2, 3)), axis=1)
            for clips in (sign * CLIPS, -sign * CLIPS)
        )
        assert np.mean(own < other) > 0.7 and np.mean(own) < 0.5 * np.mean(other)
    assert np.min(np.max(abs(dark - bright), axis=(1, 2))) > 0.1


def test_new_clips_are_of_the_prior():
    """The mixture is of the latents that were seen, wherever they lie; the normal one is where the bound wants them."""
    normal = dataclasses.replace(MODEL, prior="normal")
    conditions = controls.encode(SPEC.labels, jnp.zeros((4, 1)))
    noise = jax.random.normal(jax.random.key(3), (4, MODEL.latent))
    np.testing.assert_allclose(made(4, 3, normal, variety=0.7), DECODE(trained(), 0.7 * noise, conditions), atol=1e-5)
    memory = trained()["vae"]["memory"]
    shifted = jnp.array([3.0, -2.0]) + 1e-3 * jax.random.normal(jax.random.key(0), (64, 2))
    variables = with_own(trained(), memory=latents.seen(memory | {"step": jnp.zeros(())}, shifted))
    there = DECODE(variables, jnp.array([[3.0, -2.0]]), conditions[:1])
    found = SAMPLE(variables, jax.random.key(3), toys.settings(MODEL, SPEC, 4), spec=SPEC)
    np.testing.assert_allclose(found, np.repeat(there, 4, axis=0), atol=0.05)
    mean = DECODE(trained(), jnp.repeat(memory["mean"][None], 4, axis=0), conditions)
    np.testing.assert_allclose(made(variety=0.0), mean, atol=1e-5)
    zero = DECODE(trained(), jnp.zeros((4, 2)), conditions)
    np.testing.assert_allclose(made(4, 0, normal, variety=0.0), zero, atol=1e-5)


def test_draws_differ_and_follow_the_key():
    np.testing.assert_array_equal(made(), made())
    assert np.any(made() != made(key=1)) and len(np.unique(made(), axis=0)) == 4


def test_dropout_is_only_for_training():
    model = dataclasses.replace(MODEL, dropout=0.5)
    variables, batch, key = started(), batch_of(CLIPS), jax.random.key(1)
    plain = float(compiled(train=False)(variables, key, batch).value)
    assert float(compiled(model, train=False)(variables, key, batch).value) == pytest.approx(plain)
    assert abs(float(compiled(model)(variables, key, batch).value) - plain) > 1e-4


def test_data_without_labels():
    spec = Spec(shape=SPEC.shape)
    variables = started(spec=spec)
    batch = {"features": CLIPS, "labels": np.zeros((8, 0), np.float32)}
    output = jax.jit(functools.partial(MODEL.losses(spec)["vae"], train=True))(variables, jax.random.key(0), batch)
    assert np.isfinite(float(output.value))
    assert [knob.name for knob in MODEL.controls(spec)] == ["variety", "clip", "clip_to", "mix"]
    found = SAMPLE(variables, jax.random.key(0), toys.settings(MODEL, spec, 3), spec=spec)
    assert found.shape == (3, *SPEC.shape) and np.all(np.isfinite(found))


def test_the_basis_is_of_the_examples_and_shapes_stay():
    assert isinstance(MODEL, Fitted)
    fresh = jax.eval_shape(functools.partial(MODEL.init, spec=SPEC), jax.random.key(0))
    assert jax.tree.map(jnp.shape, started()) == jax.tree.map(jnp.shape, fresh)
    np.testing.assert_allclose(started()["vae"]["basis"]["mean"], BOTH.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent": 0}, "model.latent: expected at least 1, got 0"),
        ({"coordinates": 0}, "model.coordinates: expected at least 1, got 0"),
        ({"examples": 1}, "model.examples: expected at least 2, got 1"),
        ({"width": 0}, "model.width: expected at least 1, got 0"),
        ({"components": 0}, "model.components: expected at least 1, got 0"),
        ({"depth": -1}, "model.depth: expected at least 0, got -1"),
        ({"beta": -1.0}, "model.beta: expected at least 0, got -1.0"),
        ({"warmup": -1}, "model.warmup: expected at least 0, got -1"),
        ({"free_bits": -0.1}, "model.free_bits: expected at least 0, got -0.1"),
        ({"latent": 9, "coordinates": 8}, "model.latent: 9 is more than the 8 model.coordinates"),
        ({"dropout": 1.0}, "model.dropout: expected 0 <= dropout < 1, got 1.0"),
        ({"dropout": -0.1}, "model.dropout: expected 0 <= dropout < 1, got -0.1"),
        ({"prior": "flow"}, "model.prior: expected normal or mixture, got 'flow'"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        Vae(**fields)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((64,), r"model: expected features of frames and bins, such as LogStft's; they are \(64,\)"),
        ((1, 1), "model.latent: 2 is more than the features' 1 coordinates"),
    ],
)
def test_features_must_have_frames_and_numbers_enough(shape, message):
    with pytest.raises(ValueError, match=message):
        MODEL.init(jax.random.key(0), Spec(shape=shape))
