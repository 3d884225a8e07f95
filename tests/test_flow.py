"""The flow: the Gaussian that it begins as, what it learns of a few clips, and what each control does with it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import controls, rectified
from mgen.contracts import Fitted, Spec
from mgen.controls import Choice
from mgen.models import flow
from mgen.models.flow import Flow
from tests import toys

SPEC = Spec(shape=(4, 6), labels=(Choice("kind", ("first", "second")),))
MODEL = Flow(coordinates=3, within=(9, 9), patch=2, width=32, depth=1, heads=2, unconditioned=0.2)
CLIPS = np.random.default_rng(0).choice([-0.5, 0.5], (3, *SPEC.shape)).astype(np.float32)
SHARES = np.array([[0.75, 0.25, 0.0], [0.0, 0.25, 0.75]])  # of the clips, for each kind


def fitted(model, spec, examples):
    """Variables that have seen the examples, the network as it begins."""
    return model.fit(jax.jit(functools.partial(model.init, spec=spec))(jax.random.key(0)), examples, spec)


def noise(key):
    return jax.random.normal(jax.random.key(key), (4, *SPEC.shape))


def scattered(elsewhere):
    """Clips with three directions of different size, and as much as is said in any other."""
    rng = np.random.default_rng(7)
    large = rng.normal(size=(30, 3)) * (0.6, 0.4, 0.3) @ rng.normal(size=(3, 24))
    return np.float32(0.3 + large + elsewhere * rng.normal(size=(30, 24))).reshape(-1, *SPEC.shape)


def covariance(examples):
    """Of the normalised clips, float64 [numbers, numbers]: three principal components, and one variance elsewhere."""
    flat = np.float64(examples - examples.mean(axis=0)).reshape(len(examples), -1)
    _, sizes, axes = np.linalg.svd(flat / np.sqrt(np.mean(flat**2) * len(flat)))
    rest = max(np.mean(sizes[3:] ** 2), 1e-4)
    return axes[:3].T @ np.diag(sizes[:3] ** 2 - rest) @ axes[:3] + rest * np.eye(24)


started = functools.lru_cache(lambda: fitted(MODEL, SPEC, CLIPS))
FOUR = CLIPS[[0, 1, 2, 0]]
MEAN, SCALE = CLIPS.mean(axis=0), np.sqrt(np.mean(CLIPS.var(axis=0)))  # the flow's features have mean variance 1


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


@jax.jit
def VELOCITY(variables, *at):  # noqa: N802 - compiled once, as what is above it
    return rectified.velocity(MODEL._beyond(variables), flow._gaussian(variables["flow"]["basis"]), *at)


def left_by_gaussian(variables, times):
    return rectified.left(flow._gaussian(variables["flow"]["basis"]), jnp.asarray(times), 24)


def made(count=4, key=0, **values):
    return np.asarray(SAMPLE(trained(), jax.random.key(key), toys.settings(MODEL, SPEC, count, **values), spec=SPEC))


def given(clips, mask):
    mask = np.array(mask, bool)
    return controls.Clips(np.where(mask[:, None, None], np.float32(clips), 0), mask)


def root_mean_square(array):
    return np.sqrt(np.mean(np.square(array), axis=(-2, -1)))


def shares(**values):
    """Of 256 sounds, how many are nearest to each clip."""
    apart = root_mean_square(made(256, **values)[:, None] - CLIPS)
    return np.bincount(np.argmin(apart, axis=1), minlength=3) / 256


def test_sounds_are_the_clips_and_not_their_average():
    """Nearly all: from noise to one clip and noise to the next there is no gap, and so there are sounds between."""
    for kind in (0, 1):
        sounds = made(256, kind=kind)
        assert np.quantile(root_mean_square(sounds[:, None] - CLIPS).min(axis=1), 0.95) < 0.15
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
    assert len(np.unique(drawn.reshape(4, -1), axis=0)) == 4 and np.any(drawn != made(key=1, kind=0))


def test_each_sound_has_its_own_number_of_steps():
    mixed = made(steps=[1, 3, 8, 3])
    for index, steps in enumerate((1, 3, 8, 3)):
        np.testing.assert_allclose(mixed[index], made(steps=steps)[index], atol=1e-6)
        assert np.max(abs(mixed[index] - made(steps=steps + 1)[index])) > 1e-4


def velocity(variables, x, times, kinds, known=1.0):
    """Of normalised features [count, frames, bins], each at its time."""
    conditions = controls.encode(SPEC.labels, jnp.asarray(kinds, jnp.float32)[:, None])
    return VELOCITY(
        variables, jnp.asarray(x), jnp.asarray(times, jnp.float32), conditions, jnp.full(len(x), jnp.asarray(known))
    )


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_three_steps_by_hand(guidance):
    """The midpoint method, short steps first, from noise or from as much of a clip as is not to change."""
    kind, start = [0, 1, 0, 1], np.array([0.0, 0.4, 0.4, 0.0])
    x = (1 - start)[:, None, None] * noise(3) + start[:, None, None] * (FOUR - MEAN) / SCALE

    def led(x, times):
        told, free = (velocity(trained(), x, times, kind, known) for known in (1.0, 0.0))
        return told if guidance == 1 else free + guidance * (told - free)

    for first, last in ((0, 1 / 9), (1 / 9, 4 / 9), (4 / 9, 1)):
        time, length = start + (1 - start) * first, (1 - start) * (last - first)
        middle = x + length[:, None, None] / 2 * led(x, time)
        x = x + length[:, None, None] * led(middle, time + length / 2)
    found = made(key=3, kind=kind, steps=3, guidance=guidance, clip=given(FOUR, [0, 1, 1, 0]), change=0.6)
    features = np.clip(x * SCALE + MEAN, -0.5, 0.5)
    np.testing.assert_allclose(found, np.where(features < -0.5 + 1 / 24, -0.5, features), atol=1e-4)


def test_what_is_nearly_silent_is_silent():
    """Within 1/24 of the range of the training clips from their lowest value, which is not -1."""
    examples = np.random.default_rng(1).uniform(-0.7, 0.3, (4, *SPEC.shape)).astype(np.float32)
    examples[:, 0, :4] = -0.7, -0.66, -0.655, 0.3  # the haze ends at -0.658
    settings = toys.settings(MODEL, SPEC, 4, clip=given(examples, [1, 1, 1, 1]), change=0.0)
    back = np.asarray(SAMPLE(fitted(MODEL, SPEC, examples), jax.random.key(0), settings, spec=SPEC))
    np.testing.assert_allclose(back, np.where(examples < -0.7 + 1 / 24, -0.7, examples), atol=1e-5)
    assert np.all(back[:, 0, :2] == np.float32(-0.7)) and np.all(back[:, 0, 2] > -0.66)


def test_a_clip_leads_as_far_as_it_may_not_change_and_only_its_own_sound():
    without, clips = made(kind=0), np.repeat(CLIPS[2:], 4, axis=0)  # one that is never of this kind
    some = {change: made(kind=0, clip=given(clips, [1, 0, 1, 0]), change=change) for change in (0.0, 0.3, 0.7, 1.0)}
    for sounds in some.values():
        np.testing.assert_allclose(sounds[[1, 3]], without[[1, 3]], atol=1e-6)
    np.testing.assert_allclose(some[1.0], without, atol=1e-6)
    apart = [np.mean(root_mean_square(sounds[[0, 2]] - CLIPS[2])) for sounds in some.values()]
    assert apart[0] < 1e-5 and np.all(np.diff(apart[:3]) > 0) and apart[2] <= apart[3] + 0.05, apart


@pytest.mark.parametrize("elsewhere", [0.2, 0.0])
def test_the_velocity_at_first_is_that_of_the_gaussian_of_the_clips(elsewhere):
    """The mean of clip - noise given (1 - time) * noise + time * clip, and how much of it that leaves unknown."""
    examples, times = scattered(elsewhere), [0.0, 0.3, 0.8, 0.97]
    variables, own, x = fitted(MODEL, SPEC, examples), covariance(examples), np.asarray(noise(6))
    means, left = [], []
    for time, point in zip(times, x.reshape(4, -1), strict=True):
        seen, shared = time**2 * own + (1 - time) ** 2 * np.eye(24), time * own - (1 - time) * np.eye(24)
        means.append(shared @ np.linalg.solve(seen, point))
        left.append(np.sqrt(np.trace(own + np.eye(24) - shared @ np.linalg.solve(seen, shared)) / 24))
    found = velocity(variables, x, times, [0, 1, 0, 1], [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(found, np.reshape(means, x.shape), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(left_by_gaussian(variables, times), left, rtol=1e-3)
    out = jax.tree.map(lambda leaf: leaf + (leaf.shape == (12,)), variables["flow"]["params"])  # bias of a token's bins
    more = velocity({"flow": variables["flow"] | {"params": out}}, x, times, [0, 1, 0, 1], [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(more - found, np.ones((4, 6)) * np.reshape(left, (4, 1, 1)), rtol=1e-3, atol=1e-3)


def test_at_first_sounds_are_of_the_gaussian_of_the_clips():
    """Along the components and elsewhere: each sound is its noise, as wide as the clips are, whatever its label."""
    examples = scattered(0.05)
    own, (sizes, axes) = fitted(MODEL, SPEC, examples)["flow"], np.linalg.eigh(covariance(examples))
    assert np.ptp(sizes[:21]) < 1e-9 and np.sqrt(sizes[0]) < 0.1 and np.sqrt(sizes[21]) > 1
    basis = own["basis"] | {"low": jnp.float32(-99.0), "high": jnp.float32(99.0)}  # nothing of a Gaussian is cut off
    settings = toys.settings(MODEL, SPEC, 4, steps=64, kind=[0, 1, 0, 1], guidance=4.0)
    sounds = SAMPLE({"flow": own | {"basis": basis}}, jax.random.key(5), settings, spec=SPEC)
    ends = np.asarray((sounds - examples.mean(axis=0)) / np.sqrt(np.mean(examples.var(axis=0))))
    begun = np.asarray(noise(5)).reshape(4, 24) @ axes
    np.testing.assert_allclose(ends.reshape(4, 24) @ axes / np.sqrt(sizes), begun, atol=0.02)


def test_a_block_leaves_its_tokens_as_they_are_at_first():
    x, condition = jax.random.normal(jax.random.key(0), (2, 3, 8)), jax.random.normal(jax.random.key(1), (2, 5))
    block = rectified.Block(heads=2)
    params, apply = jax.jit(block.init)(jax.random.key(2), x, condition), jax.jit(block.apply)
    np.testing.assert_array_equal(apply(params, x, condition), x)
    assert np.all(np.max(abs(apply(jax.tree.map(lambda leaf: leaf + 0.1, params), x, condition) - x), axis=-1) > 0.01)


def test_it_takes_the_principal_components_of_the_clips():
    assert isinstance(MODEL, Fitted)
    fresh = jax.jit(functools.partial(MODEL.init, spec=SPEC))(jax.random.key(0))
    examples = np.random.default_rng(2).normal(size=(7, *SPEC.shape)).astype(np.float32)
    variables = MODEL.fit(fresh, examples, SPEC)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, fresh)
    jax.tree.map(np.testing.assert_array_equal, variables["flow"]["params"], fresh["flow"]["params"])
    largest = np.linalg.svd((examples - examples.mean(axis=0)).reshape(7, -1), compute_uv=False)[:3] / np.sqrt(7)
    np.testing.assert_allclose(variables["flow"]["basis"]["scale"], largest, rtol=1e-4)


def test_data_without_labels():
    changes = {"coordinates": 40, "within": (3, 20), "guidance": 2.5, "steps": 5, "variety": 0.5}
    spec, model = Spec(shape=SPEC.shape), dataclasses.replace(MODEL, **changes)
    knobs = {knob.name: knob.default for knob in model.controls(spec) if knob.name != "clip"}
    assert knobs == {"variety": 0.5, "steps": 5.0, "change": 0.6}, "there is nothing to be guided by"
    variables = fitted(model, spec, CLIPS)
    assert variables["flow"]["basis"]["axes"].shape == (18, 3, 6), "no more than there are"
    loss = jax.jit(functools.partial(model.losses(spec)["flow"], train=True))
    output = loss(variables, jax.random.key(0), {"features": CLIPS, "labels": np.zeros((3, 0), np.float32)})
    assert 0 < float(output.value) < 10
    values = toys.settings(model, spec, 2, variety=0.0)
    found = jax.jit(functools.partial(model.sample, spec=spec))(variables, jax.random.key(0), values)
    np.testing.assert_array_equal(found[0], found[1])
    assert found.shape == (2, *spec.shape) and np.all(np.isfinite(found))


def batch_of(features, kind=0.0):
    return {"features": jnp.asarray(features), "labels": jnp.full((len(features), 1), kind)}


def test_the_loss_by_hand():
    """The squared error of where the line from noise to the clip goes, beside what the Gaussian leaves of it."""
    clips = (FOUR - MEAN) / SCALE
    at, noisy, _ = jax.random.split(jax.random.key(4), 3)
    begun, times = jax.random.normal(noisy, clips.shape), jax.nn.sigmoid(-1 + 1.5 * jax.random.normal(at, (4,)))
    points = (1 - times)[:, None, None] * begun + times[:, None, None] * clips
    loss = jax.jit(functools.partial(MODEL.losses(SPEC)["flow"], train=False))
    for variables in (started(), trained()):
        output = loss(variables, jax.random.key(4), batch_of(FOUR))
        wrong = velocity(variables, points, times, [0, 0, 0, 0]) - (clips - begun)
        expected = np.mean(np.square(wrong / left_by_gaussian(variables, times)[:, None, None]))
        assert float(output.value) == pytest.approx(float(expected), rel=1e-3) and not output.updates


def test_labels_are_left_out_of_some_training_clips_only():
    many, model = np.repeat(CLIPS[:1], 300, axis=0), dataclasses.replace(MODEL, unconditioned=0.5)

    def told(train):
        """What the wrong label changes of the loss: these clips are of the first kind alone."""
        loss = jax.jit(functools.partial(model.losses(SPEC)["flow"], train=train))
        first, second = (loss(trained(), jax.random.key(0), batch_of(many, kind)).value for kind in (0.0, 1.0))
        return float(second - first)

    always = told(train=False)
    assert always > 0.1 and told(train=True) == pytest.approx(always / 2, rel=0.25), always


def test_refusals():
    least = {"patch": 1, "width": 1, "depth": 1, "heads": 1, "coordinates": 1, "examples": 2, "steps": 1}
    least |= {"guidance": 0, "variety": 0}
    for fields, message in (
        *(({name: value - 1}, f"{name}: expected at least {value}, got {value - 1}") for name, value in least.items()),
        ({"unconditioned": 1.0}, "unconditioned: expected 0 <= unconditioned < 1, got 1.0"),
        ({"unconditioned": -0.1}, "unconditioned: expected 0 <= unconditioned < 1, got -0.1"),
        ({"steps": 65}, "steps: expected at most 64, got 65"),
        ({"guidance": 6.5}, "guidance: expected at most 6, got 6.5"),
        ({"variety": 1.75}, "variety: expected at most 1.5, got 1.75"),
        ({"width": 32, "heads": 3}, "heads: 3 does not divide model.width=32"),
    ):
        with pytest.raises(ValueError, match=f"model.{message}"):
            Flow(**fields)
    for shape, message in (
        ((64,), r": expected features of frames and bins, such as LogMel's; they are \(64,\)"),
        ((4, 6, 2), r": expected features of frames and bins, such as LogMel's; they are \(4, 6, 2\)"),
        ((5, 6), r"\.patch: 2 does not divide the features' 5 frames"),
    ):
        with pytest.raises(ValueError, match=f"model{message}"):
            MODEL.init(jax.random.key(0), Spec(shape=shape))
