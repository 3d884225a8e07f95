"""A flow of an autoencoder's latents: what it begins from, what it sees, and that its autoencoder stays as it is."""

import dataclasses
import functools
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import audio, controls, panel, principal
from mgen.contracts import Based, Fitted, Listening, Spec
from mgen.controls import Switch
from mgen.models.flow import Flow
from mgen.models.latent_flow import LatentFlow
from mgen.models.wave_autoencoder import WaveAutoencoder
from mgen.training.checkpoint import CheckpointError, load
from mgen.training.loop import TrainingError, train
from mgen.training.sampling import generate
from mgen.training.step import averaged
from tests import toys

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
SPEC = Spec(shape=(256,), labels=(Switch("bright"),))
INNER = dataclasses.replace(SPEC, shape=(32, 2))
MODEL = LatentFlow(
    autoencoder=WaveAutoencoder(layers=1, stride=8, channels=2, width=12, windows=(64, 32)),
    flow=Flow(patch=4, coordinates=3, within=(32, 2), examples=9, width=16, depth=1, heads=2, steps=3),
)
CLIPS = np.random.default_rng(0).uniform(-0.5, 0.5, (9, 256)).astype(np.float32)


@functools.lru_cache
def coder():
    """Variables of an autoencoder that is not as it begins."""
    fresh = jax.jit(functools.partial(MODEL.autoencoder.init, spec=SPEC))(jax.random.key(5))
    return jax.tree.map(lambda leaf: 1.1 * leaf, fresh)


@functools.lru_cache
def fresh():
    return jax.jit(functools.partial(MODEL.init, spec=SPEC))(jax.random.key(0))


@functools.lru_cache
def started():
    return MODEL.fit(MODEL.based(fresh(), coder()), CLIPS, SPEC)


LATENTS = jax.jit(functools.partial(MODEL.autoencoder.encode, spec=SPEC))
SAMPLE = jax.jit(MODEL.sample, static_argnames="spec")


def test_it_is_based_fitted_and_listens():
    assert isinstance(MODEL, Based) and isinstance(MODEL, Fitted) and isinstance(MODEL, Listening)
    assert MODEL.examples == 9
    found = jax.jit(functools.partial(MODEL.listen, spec=SPEC))(started(), CLIPS)
    np.testing.assert_allclose(found, LATENTS(coder(), CLIPS), atol=1e-6)


def test_it_has_the_autoencoder_of_the_run_and_the_components_of_its_latents():
    own = started()["flow"]
    known = {"params": coder()["autoencoder"]["params"]}  # and nothing of what it draws from by itself
    jax.tree.map(np.testing.assert_array_equal, own["autoencoder"], known)
    jax.tree.map(np.testing.assert_array_equal, own["params"], fresh()["flow"]["params"])
    assert jax.tree.map(jnp.shape, started()) == jax.tree.map(jnp.shape, fresh())
    known = principal.fit(fresh()["flow"]["basis"], np.asarray(LATENTS(coder(), CLIPS)))
    np.testing.assert_allclose(own["basis"]["mean"], known["mean"], atol=1e-5)
    np.testing.assert_allclose(own["basis"]["scale"], known["scale"], rtol=1e-3)


def test_its_loss_is_the_flows_on_latents():
    batch = {"features": CLIPS[:4], "labels": np.ones((4, 1), np.float32)}
    loss = jax.jit(functools.partial(MODEL.losses(SPEC)["flow"], train=True))
    found = loss(started(), jax.random.key(3), batch)
    inner = jax.jit(functools.partial(MODEL.flow.losses(INNER)["flow"], train=True))
    expected = inner(started(), jax.random.key(3), {**batch, "features": LATENTS(coder(), CLIPS[:4])})
    assert float(found.value) == pytest.approx(float(expected.value), rel=1e-4) and not found.updates


def test_what_it_makes_is_the_flows_latents_decoded():
    settings = toys.settings(MODEL, SPEC, 4, bright=[0, 1, 0, 1], steps=2)
    made = np.asarray(SAMPLE(started(), jax.random.key(1), settings, spec=SPEC))
    latents = MODEL.flow.arrived(started(), jax.random.key(1), settings, INNER)
    waves = MODEL.autoencoder.decode(coder(), latents, jnp.asarray([[0.0], [1.0], [0.0], [1.0]]))
    np.testing.assert_allclose(made, np.clip(waves, -1, 1), atol=1e-4)
    assert made.shape == (4, 256) and len(np.unique(made, axis=0)) == 4
    loud = jax.tree.map(lambda leaf: 9 * leaf, started()["flow"]["autoencoder"])
    loud = np.asarray(
        SAMPLE({"flow": {**started()["flow"], "autoencoder": loud}}, jax.random.key(1), settings, spec=SPEC)
    )
    assert loud.min() == -1 and loud.max() == 1


def test_a_clip_that_may_not_change_comes_back_as_from_the_autoencoder():
    latents = np.asarray(LATENTS(coder(), CLIPS[:4]))
    clip = controls.Clips(latents, np.array([True, False, True, False]))
    settings = toys.settings(MODEL, SPEC, 4, clip=clip, change=0.0)
    made = np.asarray(SAMPLE(started(), jax.random.key(1), settings, spec=SPEC))
    through = np.clip(MODEL.autoencoder.decode(coder(), latents, jnp.zeros((4, 1))), -1, 1)
    np.testing.assert_allclose(made[[0, 2]], through[[0, 2]], atol=1e-4)
    assert np.min(np.max(abs(made - through), axis=1)[[1, 3]]) > 1e-2


def test_data_without_labels():
    spec = dataclasses.replace(SPEC, labels=())
    assert {knob.name for knob in MODEL.controls(spec)} == {"variety", "steps", "clip", "change"}
    assert {knob.name for knob in MODEL.controls(SPEC)} == {"bright", "guidance", "variety", "steps", "clip", "change"}
    variables = jax.jit(functools.partial(MODEL.init, spec=spec))(jax.random.key(0))
    variables = MODEL.fit(variables, CLIPS, spec)
    made = SAMPLE(variables, jax.random.key(1), toys.settings(MODEL, spec, 2), spec=spec)
    assert made.shape == (2, 256) and np.all(np.isfinite(made))


@pytest.mark.parametrize("model", [WaveAutoencoder(layers=2, stride=8, channels=2, width=12, windows=(64,)), None])
def test_another_kind_of_run_is_refused(model):
    base = jax.eval_shape(lambda: model.init(jax.random.key(0), SPEC)) if model else {"flow": {}}
    with pytest.raises(ValueError, match=r"a WaveAutoencoder of layers=1, stride=8, channels=2, width=12, which is"):
        MODEL.based(fresh(), base)


def test_sizes_that_do_not_fit_are_refused():
    for model, shape, message in (
        (MODEL, (252,), "model.autoencoder: .* a multiple of model.autoencoder.stride=8"),
        (dataclasses.replace(MODEL, flow=dataclasses.replace(MODEL.flow, patch=5)), (256,), "model.flow.patch: 5 does"),
    ):
        with pytest.raises(ValueError, match=message):
            model.init(jax.random.key(0), Spec(shape=shape))


def test_one_run_after_the_other_and_a_sound_when_the_first_is_gone(tmp_path):
    """As a person does it: the autoencoder, then the flow with --base, which is then whole by itself."""
    latents = runpy.run_path(str(CONFIGS / "house_latents.py"))["smoke"]
    wave = runpy.run_path(str(CONFIGS / "house_wave.py"))["smoke"]
    wave = dataclasses.replace(wave, model=latents.model.autoencoder)
    first = train(wave, tmp_path / "wave")
    experiment = dataclasses.replace(latents, base=str(tmp_path / "wave"))
    train(experiment, tmp_path / "latents")
    loaded = load(tmp_path / "latents")
    kept = loaded.state.variables["flow"]["autoencoder"]["params"]
    jax.tree.map(np.testing.assert_array_equal, kept, averaged(first)["autoencoder"]["params"])
    (tmp_path / "wave").rename(tmp_path / "away")
    knobs = loaded.experiment.model.controls(loaded.spec)
    settings = panel.settle(knobs, {}, count=2, rng=np.random.default_rng(0), vary=True)
    waves = generate(loaded.experiment, loaded.spec, averaged(loaded.state), settings, seed=0)
    assert waves.shape == (2, 2_048) and np.isfinite(waves).all() and np.abs(waves).max() > 0
    audio.write(tmp_path / "clip.wav", 0.1 * np.sin(np.arange(2_048) / 9).astype(np.float32), sample_rate=8_000)
    given = settings | {"clip": np.array([str(tmp_path / "clip.wav"), ""], object), "change": np.zeros(2, np.float32)}
    led = generate(loaded.experiment, loaded.spec, averaged(loaded.state), given, seed=0)
    np.testing.assert_allclose(led[1], waves[1], atol=1e-5)
    assert np.max(abs(led[0] - waves[0])) > 0.01
    with pytest.raises(CheckpointError, match="^base .*wave: no checkpoint here; train first"):
        train(experiment, tmp_path / "again")
    (tmp_path / "away").rename(tmp_path / "wave")
    deeper = dataclasses.replace(latents.model, autoencoder=dataclasses.replace(latents.model.autoencoder, layers=1))
    with pytest.raises(TrainingError, match=r"^base .*wave: expected a WaveAutoencoder of layers=1, "):
        train(dataclasses.replace(experiment, model=deeper), tmp_path / "deeper")
