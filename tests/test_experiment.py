import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from mgen.contracts import Spec
from mgen.controls import Choice, Slider
from mgen.data.tones import Tones
from mgen.features import LogMel
from mgen.models.switch_decoder import SwitchDecoder
from mgen.training.experiment import Experiment, differences, from_json, to_json
from mgen.training.optimisers import Adam, RmsProp, Sgd

EXPERIMENT = Experiment(
    data=Tones(tempo=(120.0, 120.0)),
    features=LogMel(),
    model=SwitchDecoder(upscale=4),
    optimisers={"decoder": Adam(rate=0.1)},
)


def test_survives_json():
    assert from_json(json.loads(json.dumps(to_json(EXPERIMENT)))) == EXPERIMENT
    spec = Spec(shape=(512, 128), labels=(Slider("a", 1, 2, 1.5, "Hz", "help"), Choice("b", ("x", "y"))))
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"type": "os.system", "command": "true"}, "os.system is not a type of mgen; a checkpoint may only name those"),
        ({"type": "mgenius.x.Y"}, "mgenius.x.Y is not a type of mgen"),
        ({"type": "mgen.features.Gone"}, "mgen.features.Gone does not exist in this version of mgen"),
        ({"type": "mgen.commands.main"}, "mgen.commands.main is not a dataclass"),
        ({"type": "mgen.features.LogMel", "bands": 3}, "unexpected keyword argument 'bands'; it was saved by another"),
        ({"type": "mgen.features.LogMel", "floor_db": 3}, "features.floor_db: expected less than 0, got 3"),
    ],
)
def test_a_checkpoint_cannot_name_what_it_likes(value, message):
    with pytest.raises(ValueError) as error:
        from_json(value)
    assert message in str(error.value)


def test_differences_are_named_and_what_is_only_said_is_free():
    other = dataclasses.replace(EXPERIMENT, model=SwitchDecoder(upscale=8), seed=3, log_every=7, preview_count=1)
    assert differences(to_json(EXPERIMENT), to_json(other)) == [
        "model.upscale: saved 4, asked 8",
        "seed: saved 0, asked 3",
    ]
    assert differences(to_json(EXPERIMENT), to_json(EXPERIMENT)) == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch_size", 0, "batch_size: expected at least 1, got 0"),
        ("steps", -1, "steps: expected at least 1, got -1"),
        ("ema_decay", 1.0, "ema_decay: expected 0 <= ema_decay < 1, got 1.0"),
    ],
)
def test_what_cannot_be_trained_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EXPERIMENT, **{field: value})


def test_learning_rate_rises_and_falls():
    rate = Adam(rate=1.0, warmup=10, final=0.1).schedule(110)
    assert [round(float(rate(step)), 3) for step in (0, 5, 10, 60, 110)] == [0.1, 0.55, 1.0, 0.55, 0.1]
    assert float(Adam(rate=1.0, warmup=100, decay="none").schedule(20)(2)) == 1.0  # at most a tenth of the run
    assert float(Adam(rate=1.0, warmup=0, decay="linear", final=0.0).schedule(10)(5)) == pytest.approx(0.5)


@pytest.mark.parametrize(("field", "value"), [("rate", -1.0), ("clip", -1.0), ("warmup", -5), ("rate", float("nan"))])
def test_what_would_not_descend_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"optimisers\.\*\.{field}: expected 0 or more, got"):
        Adam(**{field: value})
    with pytest.raises(ValueError, match=r"optimisers\.\*\.b2: expected 0 <= b2 < 1, got 1"):
        Adam(b2=1)


def test_gradients_are_clipped_and_weights_decay():
    params, gradient = {"w": jnp.full(4, 3.0)}, {"w": jnp.array([1e3, 0.0, 0.0, 0.0])}

    def moved(**options):
        own = Adam(rate=0.1, warmup=0, decay="none", b1=0.0, b2=0.0, **options).build(10)
        return own.update(gradient, own.init(params), params)[0]["w"]

    np.testing.assert_allclose(moved(clip=0.0), [-0.1, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(moved(clip=0.0, weight_decay=0.5), [-0.25, -0.15, -0.15, -0.15], atol=1e-6)
    # Adam does not see the scale of a gradient but through its epsilon, which a tiny clip makes felt.
    assert -0.06 < float(moved(clip=1e-8)[0]) < -0.04


def test_momentum_keeps_part_of_the_last_update():
    own, gradient = Sgd(rate=0.1, momentum=0.5).build(10), {"w": jnp.array([1.0])}
    first, state = own.update(gradient, own.init(gradient))
    second, _ = own.update(gradient, state)
    np.testing.assert_allclose([first["w"][0], second["w"][0]], [-0.1, -0.15], atol=1e-6)
    for fields, words in (({"rate": -1.0}, "rate: expected 0 or more"), ({"momentum": 1.0}, "momentum: expected 0 <=")):
        with pytest.raises(ValueError, match=words):
            Sgd(**fields)


def test_rms_prop_is_keras_s():
    """The step is the rate over the root of the running mean square, which begins at 0."""
    own, gradient = RmsProp(rate=0.1, decay=0.9).build(10), {"w": jnp.array([2.0])}
    updates, state = own.update(gradient, own.init(gradient))
    np.testing.assert_allclose(updates["w"], -0.1 * 2 / np.sqrt(0.1 * 4 + 1e-6), rtol=1e-5)
    updates, _ = own.update({"w": jnp.array([1.0])}, state)
    np.testing.assert_allclose(updates["w"], -0.1 / np.sqrt(0.9 * 0.4 + 0.1 + 1e-6), rtol=1e-5)
    for fields, message in (
        ({"rate": -1.0}, "rate: expected 0 or more"),
        ({"decay": 1.0}, "decay: expected 0 <= decay"),
    ):
        with pytest.raises(ValueError, match=message):
            RmsProp(**fields)
