"""The flow: the Gaussian that it begins as, what it learns of a few clips, and what each control does with it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import controls, principal
from mgen.contracts import Fitted, Spec
from mgen.controls import Choice
from mgen.models.flow import Flow
from tests import toys

SPEC = Spec(shape=(4, 6), labels=(Choice("kind", ("first", "second")),))
MODEL = Flow(coordinates=3, within=(9, 9), width=32, depth=1, unconditioned=0.2, steps=8, guidance=1.0)
CLIPS = np.random.default_rng(0).choice([-0.5, 0.5], (3, *SPEC.shape)).astype(np.float32)
SHARES = np.array([[0.75, 0.25, 0.0], [0.0, 0.25, 0.75]])  # of the clips, for each kind


def fitted(model, spec, examples):
    """Variables that have seen the examples, the network as it begins."""
    return model.fit(jax.jit(functools.partial(model.init, spec=spec))(jax.random.key(0)), examples, spec)


BASIS = principal.fit(principal.fresh(SPEC.shape, 3, (9, 9)), CLIPS)  # the last coordinate is 0 in every clip


def white(features, basis=BASIS):
    return principal.project(basis, jnp.asarray(features)) / basis["scale"]


def heard(x, basis=BASIS):
    """The sounds at whitened coordinates, in range and without what is nearly silent."""
    features = np.clip(principal.unproject(basis, x * basis["scale"]), basis["low"], basis["high"])
    return np.where(features < basis["low"] + (basis["high"] - basis["low"]) / 48, basis["low"], features)


def noise(key, count, coordinates=3):
    return jax.random.normal(jax.random.key(key), (count, coordinates))


started = functools.lru_cache(lambda: fitted(MODEL, SPEC, CLIPS))


@functools.lru_cache
def trained(steps=600):
    """Variables that have learnt the clips: either kind has one of its own, and the second clip is of both."""
    adam, begun = optax.adam(optax.cosine_decay_schedule(0.01, steps)), started()

    def step(carry, key):
        params, state = carry
        kind, which, rng = jax.random.split(key, 3)
        kinds = jax.random.randint(kind, (64,), 0, 2)
        clips = jax.random.categorical(which, jnp.log(SHARES.clip(1e-9))[kinds])
        batch = {"features": jnp.asarray(CLIPS)[clips], "labels": kinds[:, None].astype(jnp.float32)}

        def loss(params):
            return MODEL.losses(SPEC)["flow"]({"flow": begun["flow"] | {"params": params}}, rng, batch, train=True)[0]

        value, slope = jax.value_and_grad(loss)(params)
        updates, state = adam.update(slope, state, params)
        return (optax.apply_updates(params, updates), state), value

    params = begun["flow"]["params"]
    keys = jax.random.split(jax.random.key(1), steps)
    (params, _), values = jax.jit(functools.partial(jax.lax.scan, step))((params, adam.init(params)), keys)
    assert np.mean(values[-50:]) < 0.5 * np.mean(values[:5])
    return {"flow": begun["flow"] | {"params": params}}


SAMPLE = jax.jit(MODEL.sample, static_argnames="spec")


def made(count=4, key=0, **values):
    return np.asarray(SAMPLE(trained(), jax.random.key(key), toys.settings(MODEL, SPEC, count, **values), spec=SPEC))


def given(clips, mask):
    mask = np.array(mask, bool)
    return controls.Clips(np.where(mask[:, None, None], np.float32(clips), 0), mask)


def root_mean_square(array):
    return np.sqrt(np.mean(np.square(array), axis=(-2, -1)))


def nearest(sounds):
    """Which clip each sound is nearest to, and how far from it, root mean square."""
    apart = root_mean_square(sounds[:, None] - CLIPS)
    return np.argmin(apart, axis=1), np.min(apart, axis=1)


def shares(**values):
    return np.bincount(nearest(made(256, **values))[0], minlength=3) / 256


def test_sounds_are_the_clips_and_not_their_average():
    """Nearly all: from noise to one clip and noise to the next there is no gap, and so there are sounds between."""
    for kind in (0, 1):
        sounds = made(256, kind=kind)
        assert np.quantile(nearest(sounds)[1], 0.95) < 0.15
        for average in (CLIPS.mean(axis=0), CLIPS[kind : kind + 2].mean(axis=0)):
            assert np.quantile(root_mean_square(sounds - average), 0.05) > 0.25


def test_the_label_says_which_clips_and_how_often():
    np.testing.assert_allclose([shares(kind=kind) for kind in (0, 1)], SHARES, atol=0.1)


def test_guidance_leads_to_what_is_of_the_label_alone():
    """The second clip is of either kind: the more strictly a kind is asked for, the rarer it is."""
    np.testing.assert_array_equal(made(guidance=0.0, kind=0), made(guidance=0.0, kind=1))
    np.testing.assert_allclose(shares(guidance=0.0), SHARES.mean(axis=0), atol=0.1)
    own = [[shares(kind=kind, guidance=guidance)[2 * kind] for guidance in (0.0, 0.5, 5.0)] for kind in (0, 1)]
    assert np.all(np.diff(own, axis=1) > 0.1), own


def test_no_variety_is_one_sound_for_each_setting():
    same, other = (made(key=key, variety=0.0, kind=[0, 0, 1, 1]) for key in (0, 1))
    np.testing.assert_array_equal(same, other)
    np.testing.assert_array_equal(same[0], same[1])
    assert np.max(abs(same[0] - same[2])) > 0.1
    drawn = made(kind=0)
    assert len(np.unique(drawn[:, 0, 0])) == 4 and np.any(drawn != made(key=1, kind=0))


def test_each_sound_has_its_own_number_of_steps():
    mixed = made(steps=[1, 3, 8, 3])
    for index, steps in enumerate((1, 3, 8, 3)):
        np.testing.assert_allclose(mixed[index], made(steps=steps)[index], atol=1e-6)
        assert np.max(abs(mixed[index] - made(steps=steps + 1)[index])) > 1e-4


VELOCITY = jax.jit(MODEL._velocity)


def velocity(variables, x, times, kinds, known=1.0):
    """Of points [count, coordinates], each at its time."""
    conditions = controls.encode(SPEC.labels, jnp.asarray(kinds, jnp.float32)[:, None])
    return VELOCITY(variables, x, jnp.asarray(times, jnp.float32), conditions, jnp.full(len(x), known))


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_two_steps_by_hand(guidance):
    """The midpoint method, from noise or from as much of a clip as is not to change."""
    kind, start = [0, 1, 0], np.array([0.0, 0.4, 0.4])
    length = (1 - start) / 2
    x = (1 - start)[:, None] * noise(3, 3) + start[:, None] * white(CLIPS)

    def led(x, times):
        told, free = (velocity(trained(), x, times, kind, known) for known in (1.0, 0.0))
        return told if guidance == 1 else free + guidance * (told - free)

    for time in (start, start + length):
        middle = x + length[:, None] / 2 * led(x, time)
        x = x + length[:, None] * led(middle, time + length / 2)
    found = made(3, 3, kind=kind, steps=2, guidance=guidance, clip=given(CLIPS, [0, 1, 1]), change=0.6)
    np.testing.assert_allclose(found, heard(x), atol=1e-4)


def test_a_clip_that_may_not_change_comes_back():
    np.testing.assert_allclose(made(3, clip=given(CLIPS, [1, 1, 1]), change=0.0), CLIPS, atol=1e-5)


def test_what_is_nearly_silent_is_silent():
    """Within 1/48 of the range of the training clips from their lowest value, which is not -1."""
    examples = np.random.default_rng(1).uniform(-0.7, 0.3, (3, *SPEC.shape)).astype(np.float32)
    examples[:, 0, :4] = -0.7, -0.685, -0.675, 0.3  # the haze ends at -0.679
    settings = toys.settings(MODEL, SPEC, 3, clip=given(examples, [1, 1, 1]), change=0.0)
    back = np.asarray(SAMPLE(fitted(MODEL, SPEC, examples), jax.random.key(0), settings, spec=SPEC))
    np.testing.assert_allclose(back, np.where(examples < -0.7 + 1 / 48, -0.7, examples), atol=1e-5)
    assert np.all(back[:, 0, :2] == np.float32(-0.7)) and np.all(back[:, 0, 2] > -0.69)


def test_a_clip_leads_as_far_as_it_may_not_change_and_only_its_own_sound():
    without, clips = made(kind=0), np.repeat(CLIPS[2:], 4, axis=0)  # one that is never of this kind
    some = {change: made(kind=0, clip=given(clips, [1, 0, 1, 0]), change=change) for change in (0.0, 0.3, 0.7, 1.0)}
    for sounds in some.values():
        np.testing.assert_allclose(sounds[[1, 3]], without[[1, 3]], atol=1e-6)
    np.testing.assert_allclose(some[1.0], without, atol=1e-6)
    apart = [np.mean(root_mean_square(sounds[[0, 2]] - CLIPS[2])) for sounds in some.values()]
    assert apart[0] < 1e-5 and np.all(np.diff(apart[:3]) > 0) and apart[2] <= apart[3] + 0.05, apart


def test_the_velocity_at_first_by_hand():
    """The mean of clip - noise over standard normal clips and noise where the line between them passes."""
    x, slopes = noise(6, 3), np.array([[-1.0], [-0.8], [0.8]])
    for kinds, known in (([0, 1, 0], 1.0), ([1, 1, 1], 0.0)):
        found = velocity(started(), x, [0.0, 0.25, 0.75], kinds, known)
        np.testing.assert_allclose(found, slopes * x, atol=1e-6)


def test_at_first_sounds_are_of_the_gaussian_of_the_clips():
    """Of their mean and spread in each coordinate, and in no direction that they have not: each is as its noise was."""
    rng = np.random.default_rng(7)
    examples = np.float32(0.3 + 0.4 * rng.normal(size=(30, 2)) @ rng.normal(size=(2, 24))).reshape(30, *SPEC.shape)
    own = fitted(MODEL, SPEC, examples)["flow"]
    basis = own["basis"] | {"low": -99.0, "high": 99.0}  # what a Gaussian has beyond the clips is not cut off
    settings = toys.settings(MODEL, SPEC, 4000, steps=64, guidance=4.0)
    sounds = np.asarray(SAMPLE({"flow": own | {"basis": basis}}, jax.random.key(5), settings, spec=SPEC))
    drawn, were = (np.asarray(principal.project(basis, features)) for features in (sounds, examples))
    np.testing.assert_allclose(drawn[:, :2].mean(axis=0), 0, atol=0.05 * basis["scale"][0])
    np.testing.assert_allclose(drawn.std(axis=0)[:2], were.std(axis=0)[:2], rtol=0.05)
    np.testing.assert_allclose(sounds, heard(noise(5, 4000), basis), atol=0.01)


def test_it_takes_the_principal_components_of_the_clips():
    assert isinstance(MODEL, Fitted)
    fresh = jax.jit(functools.partial(MODEL.init, spec=SPEC))(jax.random.key(0))
    examples = np.random.default_rng(2).normal(size=(7, *SPEC.shape)).astype(np.float32)
    variables = MODEL.fit(fresh, examples, SPEC)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, fresh)
    jax.tree.map(np.testing.assert_array_equal, variables["flow"]["params"], fresh["flow"]["params"])
    basis, flat = variables["flow"]["basis"], (examples - examples.mean(axis=0)).reshape(7, -1)
    largest = np.linalg.svd(flat, compute_uv=False)[:3] / np.sqrt(7)
    np.testing.assert_allclose(basis["scale"], largest, rtol=1e-4)
    np.testing.assert_allclose(white(examples, basis).T @ white(examples, basis) / 7, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(white(examples, basis).mean(axis=0), 0, atol=1e-5)


def test_features_with_parts_and_without_labels():
    spec, model = Spec(shape=(4, 6, 2)), dataclasses.replace(MODEL, coordinates=40, within=(3, 20))
    assert [knob.name for knob in model.controls(spec)] == ["variety", "guidance", "steps", "clip", "change"]
    examples = np.random.default_rng(3).uniform(-1, 1, (5, *spec.shape)).astype(np.float32)
    examples[:, 3] = examples[:, 2]  # three axes are all that their frames have
    variables = fitted(model, spec, examples)
    basis = variables["flow"]["basis"]
    assert basis["axes"].shape == (36, 3, 12), "no more than there are"
    loss = jax.jit(functools.partial(model.losses(spec)["flow"], train=True))
    output = loss(variables, jax.random.key(0), {"features": examples, "labels": np.zeros((5, 0), np.float32)})
    assert 0 < float(output.value) < 10
    sample = jax.jit(functools.partial(model.sample, spec=spec))
    found = sample(variables, jax.random.key(0), toys.settings(model, spec, 2, steps=64))
    np.testing.assert_allclose(found, heard(noise(0, 2, 36), basis), atol=0.01)
    guided = sample(variables, jax.random.key(0), toys.settings(model, spec, 2, steps=64, guidance=3.0))
    np.testing.assert_array_equal(guided, found)
    clips = controls.Clips(examples[:2], np.ones(2, bool))
    back = sample(variables, jax.random.key(0), toys.settings(model, spec, 2, clip=clips, change=0.0))
    np.testing.assert_allclose(back, examples[:2], atol=2 / 48)


def batch_of(features, kind=0.0):
    return {"features": jnp.asarray(features), "labels": jnp.full((len(features), 1), kind)}


def test_the_loss_by_hand():
    """The squared error of where the line from noise to the clip goes, by the root of each coordinate's share."""
    clips, weight = white(CLIPS), np.sqrt(BASIS["scale"] / np.mean(BASIS["scale"]))
    at, noisy, _ = jax.random.split(jax.random.key(4), 3)
    begun, times = jax.random.normal(noisy, clips.shape), jax.nn.sigmoid(jax.random.normal(at, (3,)))
    points = (1 - times)[:, None] * begun + times[:, None] * clips
    gaussian = ((2 * times - 1) / (times**2 + (1 - times) ** 2))[:, None] * points
    loss = jax.jit(functools.partial(MODEL.losses(SPEC)["flow"], train=False))
    for variables, found in ((started(), gaussian), (trained(), velocity(trained(), points, times, [0, 0, 0]))):
        output = loss(variables, jax.random.key(4), batch_of(CLIPS))
        expected = np.mean(weight * np.square(found - (clips - begun)))
        assert float(output.value) == pytest.approx(float(expected), rel=1e-3) and not output.updates


def test_labels_are_left_out_of_some_training_clips_only():
    many = np.repeat(CLIPS[:1], 300, axis=0)  # of the first kind alone: told the second, the network errs

    def told(unconditioned, train=True):
        """What another label changes of the loss."""
        model = dataclasses.replace(MODEL, unconditioned=unconditioned)
        loss = jax.jit(functools.partial(model.losses(SPEC)["flow"], train=train))
        first, second = (loss(trained(), jax.random.key(0), batch_of(many, kind)).value for kind in (0.0, 1.0))
        return float(second - first)

    always = told(0.9999, train=False)
    assert always > 0.1 and told(0.9999) == pytest.approx(0, abs=1e-3)
    assert told(0.5) == pytest.approx(always / 2, rel=0.25), always


def test_the_fields_are_the_defaults_of_the_controls():
    knobs = {knob.name: knob for knob in dataclasses.replace(MODEL, steps=5, guidance=2.5).controls(SPEC)}
    assert knobs["steps"].default == 5 and knobs["guidance"].default == 2.5
    assert list(knobs)[0] == "kind"


def test_refusals():
    for name, value, least in (
        *(("coordinates", 0, 1), ("examples", 1, 2), ("width", 0, 1)),
        *(("depth", -1, 0), ("steps", 0, 1), ("guidance", -0.5, 0)),
    ):
        with pytest.raises(ValueError, match=f"model.{name}: expected at least {least}, got {value}"):
            Flow(**{name: value})
    for value in (1.0, -0.1):
        with pytest.raises(ValueError, match=f"model.unconditioned: expected 0 <= unconditioned < 1, got {value}"):
            Flow(unconditioned=value)
    with pytest.raises(ValueError, match=r"model: expected features of frames and bins.*; they are \(64,\)"):
        MODEL.init(jax.random.key(0), Spec(shape=(64,)))
    with pytest.raises(ValueError, match="model.within: expected at least 1, got 0"):
        dataclasses.replace(MODEL, within=(4, 0)).init(jax.random.key(0), SPEC)
