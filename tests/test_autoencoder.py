"""The deep autoencoder: shapes, what is learnt of the latents, and how new notes come from them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import controls, panel
from mgen.contracts import Listening, Spec
from mgen.models.autoencoder import Autoencoder

SPEC = Spec(shape=(16, 12))
MODEL = Autoencoder(latent=6, coordinates=20, width=16, depth=1, sliders=3, components=2)


@functools.lru_cache
def trained(model=MODEL, spec=SPEC, steps=30):
    """Variables after some batches have been remembered, the parameters as they began."""
    examples = np.random.default_rng(0).normal(size=(40, *spec.shape)).astype(np.float32)
    variables = model.fit(jax.jit(functools.partial(model.init, spec=spec))(jax.random.key(0)), examples, spec)
    loss = jax.jit(
        lambda variables, batch: model.losses(spec)["autoencoder"](variables, jax.random.key(1), batch, train=True)
    )
    for index in range(steps):
        features = jax.random.normal(jax.random.key(index), (8, *spec.shape))
        output = loss(variables, {"features": features})
        variables = {"autoencoder": {**variables["autoencoder"], **output.updates}}
    return variables


def settings(count, **values):
    rng = np.random.default_rng(0)
    return panel.settle(MODEL.controls(SPEC), values, count=count, rng=rng, vary=False)


@pytest.mark.parametrize("shape", [(16, 12), (16, 12, 2), (4, 5)])
def test_shapes(shape):
    spec = Spec(shape=shape)
    variables = MODEL.init(jax.random.key(0), spec)
    features = jnp.ones((3, *shape))
    code = MODEL.encode(variables, features, spec)
    assert code.shape == (3, 6)
    assert MODEL.decode(variables, code, spec).shape == (3, *shape)


def test_validation_remembers_nothing():
    variables = MODEL.init(jax.random.key(0), SPEC)
    loss = MODEL.losses(SPEC)["autoencoder"]
    batch = {"features": jnp.ones((2, *SPEC.shape))}
    assert not loss(variables, jax.random.key(0), batch, train=False).updates
    assert loss(variables, jax.random.key(0), batch, train=True).updates["memory"]["step"] == 1


def test_no_variety_is_the_mean_and_always_the_same():
    variables = trained()
    made = np.asarray(MODEL.sample(variables, jax.random.key(0), settings(3, variety=0.0), SPEC))
    mean = variables["autoencoder"]["memory"]["mean"]
    np.testing.assert_allclose(made, np.repeat(MODEL.decode(variables, mean[None], SPEC), 3, axis=0), atol=1e-6)


def test_a_slider_moves_along_its_axis():
    from mgen import latents

    variables = trained()
    memory = variables["autoencoder"]["memory"]
    made = MODEL.sample(variables, jax.random.key(0), settings(1, variety=0.0, axis_2=1.5), SPEC)
    code = memory["mean"] + 1.5 * latents.axes(memory, 3)[1]
    np.testing.assert_allclose(made, MODEL.decode(variables, code[None], SPEC), atol=1e-6)


def test_draws_differ_and_follow_the_key():
    variables = trained()
    one, again, other = (np.asarray(MODEL.sample(variables, jax.random.key(k), settings(4), SPEC)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other) and np.any(one[0] != one[1])


def test_controls_are_the_axes():
    names = [knob.name for knob in MODEL.controls(SPEC)]
    clips = ["clip", "clip_to", "mix"]
    assert names == ["variety", "axis_1", "axis_2", "axis_3", *clips]
    assert [knob.name for knob in Autoencoder(sliders=0).controls(SPEC)] == ["variety", *clips]
    assert [knob.name for knob in MODEL.controls(SPEC) if isinstance(knob, controls.Clip)] == clips[:2]


@functools.lru_cache
def learnt():
    """A model that has seen some clips often, and these clips."""
    model = dataclasses.replace(MODEL, refine=100)
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(192, 6)))[0]
    clips = np.random.default_rng(2).normal(size=(40, 6)) @ axes.T
    clips = clips.reshape(40, *SPEC.shape).astype(np.float32)
    variables = model.fit(model.init(jax.random.key(0), SPEC), clips, SPEC)
    loss = model.losses(SPEC)["autoencoder"](variables, jax.random.key(1), {"features": clips}, train=True)
    return model, {"autoencoder": {**variables["autoencoder"], **loss.updates}}, clips


def given(clips, mask):
    model, variables, _ = learnt()
    mask = np.array(mask, bool)
    return controls.Clips(np.where(mask[:, None], model.listen(variables, clips, SPEC), 0), mask)


def test_a_clip_comes_back_and_the_others_are_drawn_as_ever():
    model, variables, clips = learnt()
    assert isinstance(model, Listening)
    sample = functools.partial(model.sample, variables, jax.random.key(4), spec=SPEC)
    without = np.asarray(sample(settings(4, variety=1.0)))
    made = np.asarray(sample(settings(4, variety=1.0) | {"clip": given(clips[:4], [1, 1, 1, 0])}))
    mean = np.asarray(sample(settings(1, variety=0.0)))[0]
    back, apart = (np.mean((clips[:3] - other) ** 2, axis=(1, 2)) for other in (made[:3], mean))
    assert np.all(back < 0.3 * apart), (back, apart)
    np.testing.assert_allclose(made[3], without[3], atol=1e-6)
    # Neither the key nor variety matters then, and the sliders still turn.
    own = settings(4, variety=0.2) | {"clip": given(clips[:4], [1, 1, 1, 1])}
    other = np.asarray(model.sample(variables, jax.random.key(5), own, SPEC))
    np.testing.assert_allclose(other[:3], made[:3], atol=1e-5)
    turned = np.asarray(sample(settings(4, axis_1=2.0) | {"clip": own["clip"]}))
    assert np.all(np.max(abs(turned - other), axis=(1, 2)) > 0.1)


def test_a_mix_is_between_two_clips_or_a_clip_and_a_draw():
    model, variables, clips = learnt()
    sample = functools.partial(model.sample, variables, jax.random.key(4), spec=SPEC)
    one, two = (given(some, [1, 1]) for some in (clips[:2], clips[2:4]))

    def made(mix, **which):
        return np.asarray(sample(settings(2, mix=mix) | which))

    np.testing.assert_allclose(made(1.0, clip=one, clip_to=two), made(0.0, clip=two), atol=1e-5)
    np.testing.assert_array_equal(made(0.0, clip=one, clip_to=two), made(0.0, clip=one))
    np.testing.assert_allclose(made(1.0, clip_to=two), made(0.0, clip=two), atol=1e-5)
    np.testing.assert_allclose(made(1.0, clip=one), made(0.0), atol=1e-5)
    middle = model.decode(variables, (one.features + two.features) / 2, SPEC)
    np.testing.assert_allclose(made(0.5, clip=one, clip_to=two), middle, atol=1e-5)


def test_without_clips_there_is_no_encoder():
    model, variables, _ = learnt()
    plain = settings(2, variety=1.0, axis_1=0.5)
    made = model.sample(variables, jax.random.key(4), plain | {"mix": np.ones(2, np.float32)}, SPEC)
    np.testing.assert_array_equal(made, model.sample(variables, jax.random.key(4), plain, SPEC))
    own = variables["autoencoder"]
    lame = {"autoencoder": {**own, "params": {"decoder": own["params"]["decoder"]}}}
    np.testing.assert_array_equal(made, model.sample(lame, jax.random.key(4), plain, SPEC))


def test_noise_is_only_for_training():
    model = Autoencoder(latent=6, coordinates=20, width=16, depth=1, noise=2.0, components=2)
    variables = trained(model)
    loss, batch = (
        model.losses(SPEC)["autoencoder"],
        {"features": jax.random.normal(jax.random.key(9), (8, *SPEC.shape))},
    )

    def value(key, train):
        return float(loss(variables, jax.random.key(key), batch, train=train).value)

    assert value(0, False) == value(1, False) and value(0, True) != value(1, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent": 0}, "model.latent: expected at least 1, got 0"),
        ({"depth": -1}, "model.depth: expected at least 0, got -1"),
        ({"latent": 9, "coordinates": 8}, "model.latent: 9 is more than the 8 model.coordinates"),
        ({"noise": -1.0}, "model.noise: expected 0 or more"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        Autoencoder(**fields)


def test_refining_mends_a_wrong_guess():
    variables = jax.tree.map(lambda leaf: leaf, trained())  # a copy
    right = 0.5 * jax.random.normal(jax.random.key(3), (4, MODEL.latent))
    features = MODEL.decode(variables, right, SPEC)
    last = variables["autoencoder"]["params"]["encoder"]["Perceptron_0"]["Dense_1"]
    last["bias"] = last["bias"] + 0.7

    def error(model):
        code = model.encode(variables, features, SPEC)
        return float(jnp.mean(jnp.square(model.decode(variables, code, SPEC) - features)))

    guessed, refined = (error(dataclasses.replace(MODEL, refine=steps)) for steps in (0, 30))
    assert refined < 0.5 * guessed


def test_what_is_just_above_the_floor_is_the_floor():
    variables = trained()
    basis = variables["autoencoder"]["basis"]
    code = 3 * jax.random.normal(jax.random.key(5), (50, MODEL.latent))
    decoded = np.asarray(MODEL.decode(variables, code, SPEC))
    edge = float(basis["low"] + (basis["high"] - basis["low"]) / 24)
    assert np.any(decoded == basis["low"]) and not np.any((decoded > basis["low"]) & (decoded < edge))


def test_without_a_floor_nothing_is_bent():
    model = dataclasses.replace(MODEL, floor=False)
    variables = trained()
    basis = variables["autoencoder"]["basis"]
    code = 3 * jax.random.normal(jax.random.key(5), (50, MODEL.latent))
    decoded = np.asarray(model.decode(variables, code, SPEC))
    assert decoded.min() < float(basis["low"]) and not np.any(decoded == basis["low"])
    high = decoded > float(basis["low"]) + 0.5 * float(basis["high"] - basis["low"])
    bent = np.asarray(MODEL.decode(variables, code, SPEC))
    np.testing.assert_allclose(bent[high], decoded.clip(max=float(basis["high"]))[high], atol=1e-3)


def test_it_begins_as_the_pca_of_its_examples():
    examples = np.random.default_rng(0).normal(size=(40, 192)) * np.geomspace(1, 0.01, 192)
    examples = (examples.reshape(40, *SPEC.shape) / 4).astype(np.float32)
    model = dataclasses.replace(MODEL, depth=0, refine=0)
    variables = model.fit(model.init(jax.random.key(0), SPEC), examples, SPEC)
    perceptrons = jax.tree.map(jnp.zeros_like, variables["autoencoder"]["params"])  # what they add is small, not none
    variables["autoencoder"]["params"] = perceptrons
    rebuilt = np.asarray(model.decode(variables, model.encode(variables, examples, SPEC), SPEC))
    flat = examples.reshape(40, -1) - examples.reshape(40, -1).mean(0)
    axes = np.linalg.svd(flat, full_matrices=False)[2][:6]
    expected = (flat @ axes.T @ axes + examples.reshape(40, -1).mean(0)).reshape(examples.shape)
    inside = expected > examples.min() + 0.3 * np.ptp(examples)  # above the soft floor
    np.testing.assert_allclose(rebuilt[inside], expected.clip(examples.min(), examples.max())[inside], atol=5e-3)


def test_features_must_have_frames_and_numbers_enough():
    with pytest.raises(ValueError, match="expected features of frames and bins, such as LogStft's; they are \\(64,\\)"):
        MODEL.init(jax.random.key(0), Spec(shape=(64,)))
    with pytest.raises(ValueError, match="model.latent: 6 is more than the features' 4 coordinates"):
        MODEL.init(jax.random.key(0), Spec(shape=(2, 2)))
