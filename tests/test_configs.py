"""Every config, found by itself: its smoke twin trains, samples, decodes, saves and restores."""

import dataclasses
import functools
import pathlib
import runpy

import jax
import numpy as np
import pytest

from mgen import audio, controls, panel, parallel
from mgen.contracts import Fitted, Listening, Spec
from mgen.data.loader import batches
from mgen.training.checkpoint import digest, load
from mgen.training.clips import examples
from mgen.training.experiment import Experiment, from_json, to_json
from mgen.training.loop import train
from mgen.training.sampling import generate
from mgen.training.step import averaged, create_state, encoder, make_step

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def opened(experiment: Experiment):
    features = experiment.features
    corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
    return corpus, Spec(shape=tuple(features.shape), labels=tuple(corpus.labels))


@each_config
def test_is_a_card_an_experiment_and_a_smoke_twin(path):
    found = runpy.run_path(str(path))
    assert "python train.py" in found["__doc__"]
    for name in ("experiment", "smoke"):
        assert isinstance(found[name], Experiment)
        assert from_json(to_json(found[name])) == found[name]


def needed(knobs, folder) -> dict[str, str]:
    """Sound files for those controls without which nothing is made."""
    given = {}
    for number, knob in enumerate(knobs):
        if isinstance(knob, controls.Clip) and knob.needed:
            given[knob.name] = str(folder / f"{knob.name}.wav")
            wave = 0.1 * np.random.default_rng(number).standard_normal(8_000).astype(np.float32)
            audio.write(given[knob.name], wave, sample_rate=8_000)
    return given


@each_config
def test_smoke_trains_samples_saves_and_restores(path, tmp_path):
    experiment = runpy.run_path(str(path))["smoke"]
    state = train(experiment, tmp_path)
    loaded = load(tmp_path)
    assert digest(jax.device_get(loaded.state)) == digest(jax.device_get(state))
    assert loaded.experiment == experiment
    knobs = loaded.experiment.model.controls(loaded.spec)
    assert knobs
    settings = panel.settle(knobs, needed(knobs, tmp_path), count=3, rng=np.random.default_rng(0), vary=True)
    waves = generate(loaded.experiment, loaded.spec, averaged(loaded.state), settings, seed=1)
    assert waves.shape == (3, experiment.features.samples)
    assert np.isfinite(waves).all()
    again = generate(loaded.experiment, loaded.spec, averaged(loaded.state), settings, seed=1)
    np.testing.assert_array_equal(waves, again)


@each_config
def test_every_players_gradient_is_nonzero_and_a_batch_can_be_learnt(path):
    experiment = runpy.run_path(str(path))["smoke"]
    corpus, spec = opened(experiment)
    optimisers = {player: own.build(120) for player, own in experiment.optimisers.items()}
    variables = experiment.model.init(jax.random.key(0), spec)
    if isinstance(experiment.model, Fitted):
        seen = examples(experiment, corpus, experiment.model.examples)
        variables = experiment.model.fit(variables, seen, spec)
    state = parallel.place(create_state(variables, optimisers))
    step = parallel.replicate(
        make_step(experiment.model.losses(spec), optimisers, encode=encoder(experiment.features, corpus), ema_decay=0.0)
    )
    batch = parallel.split(next(batches(corpus, "train", batch_size=experiment.batch_size, seed=0)))
    history = []
    for _ in range(120 if len(optimisers) == 1 else 2):  # the loss of a game need not fall
        state, metrics = step(state, jax.random.key(0), batch)
        history.append(jax.device_get(metrics))
    for player in optimisers:
        assert history[0][f"{player}/gradient_norm"] > 0
        assert np.isfinite(history[-1][f"{player}/loss"])
    if len(optimisers) == 1:
        (player,) = optimisers
        # The mean of some: a loss that draws its noise anew at each step is itself noise around what has been learnt.
        learnt = np.mean([metrics[f"{player}/loss"] for metrics in history[-10:]])
        assert learnt < 0.7 * history[0][f"{player}/loss"]


@each_config
def test_full_size_is_consistent(path):
    """Shapes of the real experiment, without its data: the model makes what the features decode."""
    experiment = runpy.run_path(str(path))["experiment"]
    smoke = runpy.run_path(str(path))["smoke"]
    _, spec = opened(smoke)
    spec = dataclasses.replace(spec, shape=tuple(experiment.features.shape))
    variables = jax.eval_shape(lambda: experiment.model.init(jax.random.key(0), spec))
    model = experiment.model
    knobs = model.controls(spec)
    plain = panel.settle(knobs, {}, count=2, rng=np.random.default_rng(0), vary=False)
    clips = [knob for knob in knobs if isinstance(knob, controls.Clip)]

    def sample(variables, with_clips):
        heard = np.zeros((2, *spec.shape), np.float32)
        if isinstance(model, Listening):
            heard = model.listen(variables, heard, spec)
        given = {
            knob.name: controls.Clips(heard, np.array([True, knob.needed]))
            for knob in clips
            if with_clips or knob.needed
        }
        return model.sample(variables, jax.random.key(0), plain | given, spec)

    for with_clips in (False, True):
        made = jax.eval_shape(functools.partial(sample, with_clips=with_clips), variables)
        assert made.shape == (2, *experiment.features.shape)
