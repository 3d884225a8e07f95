"""The genre classifier: the original's numbers and shapes, what it sees, that it learns, and what it plays."""

import dataclasses
import functools
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import audio, controls
from mgen.commands import studio
from mgen.contracts import Spec
from mgen.controls import Choice, Slider
from mgen.data.genres import Genres
from mgen.features import LogMel
from mgen.models import style
from mgen.models.genre import Genre
from mgen.studio.player import Player
from mgen.training.checkpoint import Loaded
from mgen.training.sampling import generate, listened
from mgen.training.step import create_state
from tests import toys

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
GENRES = Choice("genre", tuple("abcdefghij"))
SPEC = Spec(shape=(24, 16), labels=(Slider("tempo", 80.0, 160.0, 120.0), Choice("genre", ("rain", "house"))))
MODEL = Genre(widths=(4, 4), kernels=(3, 3), strides=(2, 2), hidden=8)


def of_config(name: str) -> tuple[Genre, Spec]:
    experiment = runpy.run_path(str(CONFIGS / f"{name}.py"))["experiment"]
    return experiment.model, Spec(shape=tuple(experiment.features.shape), labels=(GENRES,))


def size(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name, trained, whole", [("genre_original", 62_604, 62_670), ("genre_mfcc", 49_356, 49_422)])
def test_as_many_numbers_as_the_original(name, trained, whole):
    model, spec = of_config(name)
    own = jax.eval_shape(functools.partial(model.init, spec=spec), jax.random.key(0))["genre"]
    assert size(own["params"]) == trained
    assert size(own) == whole


def test_shapes_are_the_originals():
    """System 004's table, time before frequency: pools 7 and 8 have stride 1, so that 512 numbers are left."""
    model, spec = of_config("genre_original")
    variables = jax.eval_shape(functools.partial(model.init, spec=spec), jax.random.key(0))
    body = model._networks(spec)[0]
    found = jax.eval_shape(
        lambda own, clip: body.apply(own, clip, train=False),
        {name: variables["genre"][name]["body"] for name in ("params", "batch_stats")},
        jnp.zeros((1, *spec.shape)),
    )
    convolutions = [(430, 383), (214, 191), (106, 95), (52, 47), (25, 23), (12, 11), (5, 5), (4, 4)]
    assert [found[f"conv{number}"].shape[1:] for number in range(1, 9)] == [(*hw, 32) for hw in convolutions]
    assert found["out"].shape[1:] == (4, 4, 32)
    dense = variables["genre"]["params"]["head"]
    assert (dense["hidden"]["kernel"].shape, dense["genres"]["kernel"].shape) == ((512, 64), (64, 10))
    # Stride 2 everywhere, as the text has it, leaves 32 numbers.
    said = dataclasses.replace(model, strides=(2,) * 8)
    assert size(jax.eval_shape(functools.partial(said.init, spec=spec), jax.random.key(0))) == 31_950


def test_sees_amplitudes_and_cepstra():
    """What the first batch norm is given: 10 ** (dB / 20) above the floor and 0 at it, or librosa's MFCCs over 40."""
    import librosa

    decibels = np.array([[[0.0, -20.0, -79.0, -80.0]]], np.float32)
    features = jnp.asarray(1 + decibels / 40)
    given = {}
    for sees in ("amplitude", "mfcc"):
        model = Genre(sees=sees, cepstral=3, widths=(1,), kernels=(1,), strides=(1,), padded=False)
        body = model._networks(dataclasses.replace(SPEC, shape=(1, 4)))[0]
        own = body.init(jax.random.key(0), features, train=False)
        own["params"]["conv1"] = {"kernel": jnp.ones((1, 1, 1, 1)), "bias": jnp.full(1, 100.0)}  # nothing is below 0
        own["batch_stats"]["norm"] = {"mean": jnp.zeros(1), "var": jnp.full(1, 1 - 1e-3)}
        given[sees] = body.apply(own, features, train=False)["conv1"][0, 0, :, 0] - 100
    np.testing.assert_allclose(given["amplitude"], [1.0, 0.1, 10 ** (-79 / 20), 0.0], atol=1e-5)
    cepstra = librosa.feature.mfcc(S=decibels[0].T, n_mfcc=3)[:, 0] / 40
    cepstra[0] += 2  # features are 1 where decibels are 0, and the first of 4 bands' cosines is a half
    np.testing.assert_allclose(given["mfcc"], cepstra, atol=1e-4)


@functools.lru_cache
def learnt():
    """Two genres of noise, dark and bright, after 60 steps in which batch statistics are carried along."""
    rng = np.random.default_rng(0)
    variables = MODEL.init(jax.random.key(0), SPEC)
    loss = MODEL.losses(SPEC)["genre"]

    @jax.jit
    def step(variables, rng, batch):
        def own(params):
            found = loss({"genre": {**variables["genre"], "params": params}}, rng, batch, train=True)
            return found.value, found

        slope, found = jax.grad(own, has_aux=True)(variables["genre"]["params"])
        params = jax.tree.map(lambda value, down: value - 0.1 * down, variables["genre"]["params"], slope)
        return {"genre": {**variables["genre"], **found.updates, "params": params}}, found

    for number in range(60):
        variables, found = step(variables, jax.random.key(number), batch(rng))
    return variables, found


def batch(rng, count=16):
    truth = rng.integers(2, size=count)
    tilt = np.linspace(-0.4, 0.4, 16) * (2 * truth[:, None, None] - 1)
    features = 0.2 * rng.standard_normal((count, 24, 16)) + tilt
    labels = np.stack([np.full(count, 120.0), truth], axis=1)
    return {"features": jnp.asarray(features, jnp.float32), "labels": jnp.asarray(labels, jnp.float32)}


def test_learns_and_says_how_often_it_is_right():
    variables, found = learnt()
    assert set(found.updates) == {"batch_stats"} and found.metrics["accuracy"] > 0.9
    held = batch(np.random.default_rng(1), 64)
    said = MODEL.losses(SPEC)["genre"](variables, jax.random.key(0), held, train=False)
    assert said.metrics["accuracy"] > 0.95 and said.updates == {}
    likely = MODEL.classify(variables, held["features"], SPEC)
    np.testing.assert_allclose(jnp.sum(likely, axis=1), 1, atol=1e-5)
    assert jnp.mean(jnp.argmax(likely, axis=1) == held["labels"][:, 1]) == said.metrics["accuracy"]
    seen = variables["genre"]["batch_stats"]["body"]["norm"]
    assert abs(seen["mean"][0]) < 0.1 and 0.02 < seen["var"][0] < 0.3


def test_masks_hide_in_training_alone():
    variables, _ = learnt()
    held, loss = batch(np.random.default_rng(1)), MODEL.losses(SPEC)["genre"]
    quiet = [loss(variables, jax.random.key(seed), held, train=False).value for seed in (0, 1)]
    loud = [loss(variables, jax.random.key(seed), held, train=True).value for seed in (0, 1)]
    assert quiet[0] == quiet[1] and loud[0] != loud[1]


def pair(given=None, count=1, **values):
    """Settings of `count` sounds that are given random clips."""
    rng = np.random.default_rng(0)
    tilts = {"content": np.linspace(0, 0.5, 16), "style": np.linspace(-0.3, -0.6, 16), "style_to": np.zeros(16)}
    clips = {
        name: controls.Clips((tilt + rng.uniform(-0.4, 0.4, (count, 24, 16))).astype(np.float32), np.ones(count, bool))
        for name, tilt in tilts.items()
    }
    if given is not None:
        clips["style_to"] = clips["style_to"]._replace(given=given)
    return toys.settings(MODEL, SPEC, count, **clips, **values)


@functools.lru_cache
def play():
    return jax.jit(functools.partial(MODEL.transfer, spec=SPEC))


@pytest.mark.parametrize("start", style.STARTS)
def test_descends_from_every_start_at_every_layer(start):
    weights = {f"{side}_conv{number}": 1.0 for side in ("content", "style") for number in (1, 2)}
    for more, share in (({}, 0.5), (weights, 0.85)):  # of a style that is far from the content a network keeps more
        share = 0.95 if start == "transport" else share  # which is near already
        asked = pair(start=float(style.STARTS.index(start)), iterations=60, rate=0.05, **more)
        found = play()(learnt()[0], jax.random.key(0), asked)
        assert np.isfinite(found.features).all() and found.features.min() >= -1
        assert found.after[0] < share * found.before[0], (found.after, found.before)


def test_every_start_leads_to_the_same():
    weights = {f"{side}_conv{number}": 1.0 for side in ("content", "style") for number in (1, 2)}
    asked = [pair(start=float(number), iterations=300, rate=0.05, **weights) for number in range(len(style.STARTS))]
    ends = [float(play()(learnt()[0], jax.random.key(0), one).after[0]) for one in asked]
    assert max(ends) < 1.05 * min(ends)


def test_pairs_do_not_depend_on_each_other():
    """A batch equals its items, each with its own number of iterations."""
    start = float(style.STARTS.index("content"))
    asked = pair(count=3, iterations=[3.0, 9.0, 0.0], style_weight=[1.0, 5.0, 1.0], start=start)
    together = play()(learnt()[0], jax.random.key(0), asked).features
    content = asked["content"].features[2]
    np.testing.assert_array_equal(together[2], np.where(content < -0.8, np.float32(-1), content))  # nothing was done
    for number in (0, 1):
        alone = jax.tree.map(lambda values, number=number: values[number : number + 1], asked)
        own = play()(learnt()[0], jax.random.key(0), alone).features[0]
        np.testing.assert_allclose(together[number], own, atol=2e-4)


def test_a_second_style_is_mixed_in_where_it_is_given():
    asked = pair(count=2, mix=1.0, iterations=5, given=np.array([True, False]))
    found = play()(learnt()[0], jax.random.key(0), asked).features
    swapped = dict(asked) | {"style": asked["style_to"]._replace(given=np.ones(2, bool))}
    swapped["mix"] = np.zeros(2, np.float32)
    other = play()(learnt()[0], jax.random.key(0), swapped).features
    np.testing.assert_allclose(found[0], other[0], atol=1e-4)
    plain = {name: values for name, values in asked.items() if name != "style_to"}
    np.testing.assert_allclose(found[1], play()(learnt()[0], jax.random.key(0), plain).features[1], atol=1e-4)


def test_what_content_was_filled_up_with_stays_silent():
    asked = pair(iterations=5)
    short, again = np.full((1, 24, 16), -1, np.float32), asked["content"].features[:, np.arange(24) % 10]
    short[:, :10] = again[:, :10]
    ends = [
        play()(learnt()[0], jax.random.key(0), asked | {"content": asked["content"]._replace(features=clip)}).features
        for clip in (short, again)
    ]
    assert np.all(ends[0][:, 10:] == -1)
    np.testing.assert_allclose(ends[0][:, :10], ends[1][:, :10], atol=1e-6)
    assert np.mean(ends[0][:, :10]) > -0.8
    # And it is gone on from as it was made.
    begin = {"begin": controls.Clips(ends[0], np.ones(1, bool)), "content": asked["content"]._replace(features=short)}
    more = play()(learnt()[0], jax.random.key(0), asked | begin | {"iterations": np.zeros(1, np.float32)}).features
    np.testing.assert_allclose(more, ends[0], atol=1e-6)


def test_an_earlier_result_can_be_gone_on_from():
    silence = float(style.STARTS.index("zeros"))
    first = play()(learnt()[0], jax.random.key(0), pair(count=2, iterations=40, rate=0.05, start=silence))
    begin = controls.Clips(np.asarray(first.features), np.array([True, False]))
    more = play()(learnt()[0], jax.random.key(0), pair(count=2, iterations=20, start=silence) | {"begin": begin})
    assert more.before[0] < 0.7 * first.before[0]  # what was silenced is to be found again
    np.testing.assert_allclose(more.before[1], first.before[1], rtol=1e-5)
    assert more.after[0] < more.before[0]


def test_two_styles_are_a_start_between_them():
    begins = style.STARTS.index("style")
    ends = [
        play()(learnt()[0], jax.random.key(0), pair(mix=mix, iterations=0, start=begins)) for mix in (0.0, 0.5, 1.0)
    ]
    shown = [np.where(end.features < -0.8, np.nan, end.features) for end in ends]
    np.testing.assert_allclose(np.nanmean(shown[1] - (shown[0] + shown[2]) / 2), 0, atol=1e-5)


def test_a_longer_pair_is_one_transfer():
    """Twice the frames, by the same variables: the whole clip at once, and so no seams."""
    asked = pair(iterations=3)
    for name in ("content", "style", "style_to"):
        asked[name] = asked[name]._replace(features=np.tile(asked[name].features, (1, 2, 1)))
    found = play()(learnt()[0], jax.random.key(0), asked).features
    assert found.shape == (1, 48, 16)


def experiment():
    features = LogMel(sample_rate=8_000, frames=24, n_fft=512, hop_length=256, n_mels=16, n_iter=2)
    return dataclasses.replace(toys.experiment(), features=features, model=MODEL)


def test_a_missing_clip_is_one_clear_line(tmp_path):
    audio.write(tmp_path / "a.wav", 0.1 * np.ones(8_000, np.float32), sample_rate=8_000)
    one = np.array([str(tmp_path / "a.wav"), ""], object)
    for given, missing in (({}, "content"), ({"content": one[[0, 0]]}, "style"), ({"content": one}, "content")):
        asked = toys.settings(MODEL, SPEC, 2) | given
        with pytest.raises(audio.AudioError, match=rf"^{missing}=: the .*: give a sound file, as in {missing}=a\.wav$"):
            generate(experiment(), SPEC, learnt()[0], asked, seed=0)


def test_the_studio_asks_for_a_sound(tmp_path, caplog):
    state = create_state(learnt()[0], {"genre": optax.sgd(0.1)})
    player = Player(Loaded(experiment(), SPEC, state, 0), tmp_path)
    with pytest.raises(ValueError, match=r"^content: the music that is kept: choose a sound$"):
        player.check({"style": "b.wav"})
    player.check({"style": "b.wav", "content": "a.wav"})
    content = player.describe()["controls"][0]
    assert content["kind"] == "clip" and content["needed"]
    studio._warm_up([player])  # there is nothing to warm up with, which is no error
    assert not caplog.records


def test_the_studio_descends_less_while_a_slider_is_held(tmp_path):
    """While it is held the closed map and ten steps are heard, and at rest all of them."""
    rng = np.random.default_rng(0)
    for name in ("content", "style"):
        audio.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(8_000), sample_rate=8_000)
    player = Player(Loaded(experiment(), SPEC, create_state(learnt()[0], {"genre": optax.sgd(0.1)}), 0), tmp_path)

    def heard(draft, iterations):
        given = {name: str(tmp_path / f"{name}.wav") for name in ("content", "style")}
        return player.play(given | {"iterations": iterations, "rate": 0.1}, seed=0, draft=draft).wave

    np.testing.assert_array_equal(heard(True, 50), heard(True, 10))
    assert np.any(heard(True, 5) != heard(True, 10)) and np.any(heard(False, 50) != heard(False, 10))


def test_an_earlier_result_is_heard_as_loud_as_it_was(tmp_path):
    """What a model has made is not brought to the level of the data; what a person gives is."""
    levelled = dataclasses.replace(experiment(), data=Genres(level_db=-30.0))
    audio.write(tmp_path / "a.wav", 0.3 * np.random.default_rng(0).standard_normal(8_000), sample_rate=8_000)
    given = {name: np.array([str(tmp_path / "a.wav")], object) for name in ("content", "begin")}
    seen = listened(levelled, SPEC, learnt()[0], given)
    apart = seen["begin"].features - seen["content"].features
    assert np.median(apart) == pytest.approx((10 * np.log10(0.09) + 30) / 40, abs=0.02)  # of half the range of 80 dB


def test_plays_what_is_given(tmp_path):
    rng = np.random.default_rng(0)
    asked = toys.settings(MODEL, SPEC, 1, iterations=2)
    for name in ("content", "style"):
        audio.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(8_000), sample_rate=8_000)
        asked[name] = np.array([str(tmp_path / f"{name}.wav")], object)
    made = generate(experiment(), SPEC, learnt()[0], asked, seed=0)
    assert made.shape == (1, 23 * 256) and np.isfinite(made).all() and np.std(made) > 1e-3


def test_longer_sounds_are_asked_for_by_their_seconds(tmp_path):
    rng = np.random.default_rng(0)
    asked = toys.settings(MODEL, SPEC, 1, iterations=1)
    for name in ("content", "style"):
        audio.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(20_000), sample_rate=8_000)
        asked[name] = np.array([str(tmp_path / f"{name}.wav")], object)
    made = generate(experiment(), SPEC, learnt()[0], asked | {"seconds": np.array([2.0], np.float32)}, seed=0)
    assert made.shape == (1, 16_000) and np.std(made[0, -2_000:]) > 1e-3


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"widths": (4,)}, r"model\.widths, .*: expected one for each block, got \(1, 2, 2\)"),
        ({"kernels": (3, 0)}, r"model\.kernels: expected 1 or more"),
        ({"hidden": 0}, r"model\.hidden: expected at least 1, got 0"),
        ({"dropout": 1.0}, r"model\.dropout: expected 0 <= dropout < 1"),
        ({"sees": "colour"}, r"model\.sees: expected decibels, amplitude or mfcc, got colour"),
    ],
)
def test_refuses_what_is_no_network(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MODEL, **fields)


@pytest.mark.parametrize(
    "fields, spec, message",
    [
        ({"label": "mood"}, SPEC, r"model\.label=mood: the data has no such choice to learn; its choices: genre"),
        ({}, Spec((24, 16)), r"model\.label=: .*; its choices: none"),
        ({}, dataclasses.replace(SPEC, shape=(24,)), r"features: a genre is told from \[frames, bins\], got .*24"),
        ({"padded": False}, dataclasses.replace(SPEC, shape=(4, 4)), r"model\.kernels: nothing is left of \(4, 4\)"),
    ],
)
def test_refuses_data_that_do_not_fit(fields, spec, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MODEL, **fields).init(jax.random.key(0), spec)
