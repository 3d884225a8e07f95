"""The GAN: its conditions, its two losses by hand, and what a sample follows."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import controls, principal
from mgen.contracts import Spec
from mgen.controls import Choice, Slider, Switch
from mgen.models.gan import Gan

LABELS = (
    Slider("pitch", 60, 63, 60, "MIDI"),
    Slider("velocity", 0.0, 1.0, 0.8),
    Choice("family", ("bass", "flute")),
    Switch("bright"),
)
SPEC = Spec(shape=(8, 6), labels=LABELS)
MODEL = Gan(latent=3, coordinates=12, width=8, depth=1, dropout=0.0)


def test_conditions_are_whole_and_between():
    columns = jnp.array([[61, 0.5, 1, 1], [62.25, 0.0, 0.5, 0]])
    found = np.asarray(controls.encode(SPEC.labels, columns))
    np.testing.assert_allclose(found[0], [0, 1, 0, 0, 0.5, 0, 1, 1])
    np.testing.assert_allclose(found[1], [0, 0, 0.75, 0.25, 0.0, 0.5, 0.5, 0], atol=1e-5)


def batch_of(count=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.stack(
        [rng.integers(60, 64, count), rng.random(count), rng.integers(2, size=count), rng.integers(2, size=count)]
    )
    return {"features": rng.normal(size=(count, *SPEC.shape)).astype(np.float32), "labels": labels.T.astype(np.float32)}


@functools.lru_cache
def started(model=MODEL, spec=SPEC):
    """Variables that have seen examples."""
    examples = np.random.default_rng(3).normal(size=(30, *spec.shape)).astype(np.float32)
    return model.fit(jax.jit(functools.partial(model.init, spec=spec))(jax.random.key(0)), examples, spec)


SAMPLE = jax.jit(MODEL.sample, static_argnames="spec")


def played(model=MODEL, spec=SPEC, batch=None):
    variables = started(model, spec)
    batch = batch_of() if batch is None else batch
    run = jax.jit(
        lambda variables, batch: {
            player: loss(variables, jax.random.key(1), batch, train=True) for player, loss in model.losses(spec).items()
        }
    )
    return run(variables, batch)


def balanced(variables, features):
    """Real coordinates as the players are given them."""
    basis = variables["generator"]["basis"]
    scale = np.asarray(basis["scale"])
    return np.asarray(principal.project(basis, features)) / np.sqrt(scale * scale.mean())


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_losses_by_hand(loss):
    model = dataclasses.replace(MODEL, loss=loss, r1=0.0)
    variables, batch = started(model), batch_of()
    conditions = controls.encode(SPEC.labels, batch["labels"])
    made = model._made(variables, jax.random.key(1), conditions)
    real_logits, made_logits = (
        np.asarray(model._judged(variables, coordinates, conditions))
        for coordinates in (balanced(variables, batch["features"]), made)
    )
    if loss == "logistic":
        expected = np.mean(np.log1p(np.exp(-real_logits))) + np.mean(np.log1p(np.exp(made_logits)))
        own = np.mean(np.log1p(np.exp(-made_logits)))
    else:
        expected = np.mean(np.maximum(0, 1 - real_logits)) + np.mean(np.maximum(0, 1 + made_logits))
        own = -np.mean(made_logits)
    outputs = played(model, batch=batch)
    assert float(outputs["discriminator"].value) == pytest.approx(float(expected), rel=1e-4)
    assert float(outputs["generator"].value) == pytest.approx(float(own), rel=1e-4)
    assert float(outputs["discriminator"].metrics["real_right"]) == np.mean(real_logits > 0)


def test_r1_is_the_squared_slope_at_real_coordinates():
    variables, batch = started(), batch_of()
    conditions = controls.encode(SPEC.labels, batch["labels"])
    outputs = played(batch=batch)

    def total(coordinates):
        return jnp.sum(MODEL._judged(variables, coordinates, conditions))

    slope = np.asarray(jax.grad(total)(jnp.asarray(balanced(variables, batch["features"]))))
    metrics = outputs["discriminator"].metrics
    assert float(metrics["r1"]) == pytest.approx(float(np.mean(np.sum(slope**2, axis=1))), rel=1e-4)
    expected = float(metrics["game"] + MODEL.r1 / 2 * metrics["r1"])
    assert float(outputs["discriminator"].value) == pytest.approx(expected, rel=1e-5)


def test_each_player_moves_only_itself():
    variables, batch = started(), batch_of()
    losses = MODEL.losses(SPEC)

    def slope(player, of):
        def value(params):
            changed = {**variables, of: {**variables[of], "params": params}}
            return losses[player](changed, jax.random.key(1), batch, train=True).value

        slopes = jax.jit(jax.grad(value))(variables[of]["params"])
        return sum(float(jnp.sum(jnp.abs(leaf))) for leaf in jax.tree.leaves(slopes))

    assert slope("discriminator", "generator") == 0
    assert slope("discriminator", "discriminator") > 0 and slope("generator", "generator") > 0


def settings(count, **values):
    return {knob.name: np.full(count, values.get(knob.name, knob.default), np.float32) for knob in MODEL.controls(SPEC)}


def test_a_sample_follows_its_settings_and_its_noise():
    variables = started()

    def made(key=0, **values):
        return np.asarray(SAMPLE(variables, jax.random.key(key), settings(2, **values), spec=SPEC))

    np.testing.assert_array_equal(made(), made())
    for values in (
        {"pitch": 61.0},
        {"pitch": 60.5},
        {"family": 1},
        {"family_to": 2, "family_mix": 0.5},
        {"velocity": 0.1},
        {"bright": 1.0},
        {"variety": 0.5},
    ):
        assert np.any(made(**values) != made()), values
    assert np.any(made(key=1) != made())
    np.testing.assert_array_equal(made(family_mix=1.0), made())  # towards none
    np.testing.assert_array_equal(made(family_to=2, family_mix=0.0), made())
    np.testing.assert_allclose(made(family=0, family_to=2, family_mix=1.0), made(family=1), atol=1e-5)
    still = made(variety=0.0)
    np.testing.assert_allclose(still[0], still[1], atol=1e-6)


def test_without_labels_it_is_a_plain_gan():
    spec = Spec(shape=(8, 6))
    outputs = played(spec=spec, batch={**batch_of(), "labels": np.zeros((4, 0), np.float32)})
    assert all(np.isfinite(float(output.value)) for output in outputs.values())
    variables = started(spec=spec)
    assert [knob.name for knob in MODEL.controls(spec)] == ["variety"]
    assert MODEL.sample(variables, jax.random.key(0), {"variety": np.ones(2)}, spec).shape == (2, 8, 6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent": 0}, "model.latent: expected at least 1, got 0"),
        ({"dropout": 1.0}, "model.dropout: expected 0 <= dropout < 1, got 1.0"),
        ({"r1": -1.0}, "model.r1: expected at least 0"),
        ({"loss": "wasserstein"}, "model.loss: expected logistic or hinge, got 'wasserstein'"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        Gan(**fields)
