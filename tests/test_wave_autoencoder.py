"""The autoencoder of the waveform: one bottleneck however many layers, and the mixture that new clips come from.

Over 300 lines, because its tests are of one model that is trained once.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import controls, losses, sketches
from mgen.contracts import Fitted, Listening, Spec
from mgen.controls import Switch
from mgen.models.wave_autoencoder import Residual, WaveAutoencoder, lapped
from tests import toys

SPEC = Spec(shape=(256,), labels=(Switch("bright"),))
MODEL = WaveAutoencoder(layers=2, stride=8, channels=2, width=12, windows=(64, 32))


def waves(count, seed):
    """Sines of any pitch and phase."""
    rng = np.random.default_rng(seed)
    pitch, phase, level = (
        rng.uniform(0.01, 0.06, (count, 1)),
        rng.uniform(0, 1, (count, 1)),
        rng.uniform(0.2, 0.8, (count, 1)),
    )
    return (level * np.sin(2 * np.pi * (pitch * np.arange(256) + phase))).astype(np.float32)


def batch_of(features, bright=0.0):
    return {"features": jnp.asarray(features), "labels": jnp.full((len(features), 1), bright)}


@functools.lru_cache
def started(model=MODEL, spec=SPEC):
    return jax.jit(functools.partial(model.init, spec=spec))(jax.random.key(0))


LOSS = jax.jit(functools.partial(MODEL.losses(SPEC)["autoencoder"], train=False))
ENCODE = jax.jit(functools.partial(MODEL.encode, spec=SPEC))
DECODE = jax.jit(MODEL.decode)
SAMPLE = jax.jit(MODEL.sample, static_argnames="spec")


@functools.lru_cache
def trained(steps=150):
    """Variables after some training on sines."""
    adam, begun = optax.adam(optax.cosine_decay_schedule(0.01, steps)), started()["autoencoder"]

    @jax.jit
    def step(params, memory, state, batch):
        def loss(params):
            own = {"autoencoder": {"params": params, "memory": memory}}
            output = MODEL.losses(SPEC)["autoencoder"](own, jax.random.key(0), batch, train=True)
            return output.value, output.updates["memory"]

        slope, memory = jax.grad(loss, has_aux=True)(params)
        updates, state = adam.update(slope, state, params)
        return optax.apply_updates(params, updates), memory, state

    params, memory, state = begun["params"], begun["memory"], adam.init(begun["params"])
    for index in range(steps):
        params, memory, state = step(params, memory, state, batch_of(waves(16, index)))
    return {"autoencoder": {"params": params, "memory": memory}}


def test_a_short_training_lowers_the_error_of_sounds_it_never_heard():
    held_out = batch_of(waves(16, 10_000))
    before, after = (LOSS(variables, jax.random.key(0), held_out) for variables in (started(), trained()))
    for name in ("wave", "spectra"):
        assert after.metrics[name] < 0.5 * before.metrics[name]
    assert after.value < 0.5 * before.value
    assert after.metrics["signal_to_noise_db"] > 6 + before.metrics["signal_to_noise_db"]


def test_the_loss_by_hand():
    model = dataclasses.replace(MODEL, spectral=0.3)
    variables, clips = trained(), waves(3, 1)
    rebuilt = DECODE(variables, ENCODE(variables, clips), controls.encode(SPEC.labels, jnp.zeros((3, 1))))
    loss = jax.jit(functools.partial(model.losses(SPEC)["autoencoder"], train=False))
    output = loss(variables, jax.random.key(0), batch_of(clips))
    wave, spectra = np.mean(abs(rebuilt - clips)), losses.multi_resolution_stft(rebuilt, clips, sizes=(64, 32))
    assert float(output.metrics["wave"]) == pytest.approx(float(wave), rel=1e-4)
    assert float(output.metrics["spectra"]) == pytest.approx(float(spectra), rel=1e-4)
    assert float(output.value) == pytest.approx(float(wave / (np.mean(abs(clips)) + 1e-4) + 0.3 * spectra), rel=1e-4)
    assert not output.updates, "validation remembers nothing"


SLOPE = jax.jit(
    jax.grad(lambda variables, batch: MODEL._loss(SPEC, variables, jax.random.key(0), batch, train=True).value)
)


def test_every_part_is_learnt():
    slope = SLOPE(started(), batch_of(waves(4, 0), bright=1.0))["autoencoder"]
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(slope["params"]))


@pytest.mark.parametrize("silent", [[0], [0, 1]])
def test_silence_can_be_learnt_from(silent):
    """At first the network makes silence of silence where it is told nothing, and so its error is exactly 0."""
    clips = waves(2, 0)
    clips[silent] = 0
    slope = SLOPE(started(), batch_of(clips, bright=0.0))["autoencoder"]["params"]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize("stride", [2, 8, 20])
def test_the_lapped_transform_is_orthonormal_over_windows_that_overlap(stride):
    """Whatever a window has with itself and with the next: else nothing would come back whole."""
    bands = lapped(stride)
    assert bands.shape == (stride, 2 * stride)
    np.testing.assert_allclose(bands @ bands.T, np.eye(stride), atol=1e-6)
    np.testing.assert_allclose(bands[:, stride:] @ bands[:, :stride].T, 0, atol=1e-6)


def test_it_begins_as_its_lowest_bands():
    """With as many channels as bands it begins by giving back nearly what it is given; with fewer, what is low."""
    low, high = (np.sin(2 * np.pi * pitch * np.arange(256))[None].astype(np.float32) for pitch in (0.02, 0.4))
    for channels, heard in ((8, (low, high)), (2, (low,))):
        model = dataclasses.replace(MODEL, channels=channels)
        variables = started(model)
        again = [
            np.asarray(jax.jit(model.decode)(variables, model.encode(variables, wave, SPEC), jnp.zeros((1, 1))))
            for wave in (low, high)
        ]
        for wave, rebuilt in zip((low, high), again, strict=True):
            error = np.mean((rebuilt - wave)[:, 16:-16] ** 2) / np.mean(wave**2)
            assert error < 0.2 if any(wave is one for one in heard) else error > 0.5


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_the_bottleneck_is_the_same_whatever_the_layers(layers):
    model = dataclasses.replace(MODEL, layers=layers)
    variables = started(model)
    own = variables["autoencoder"]
    for side in ("encoder", "decoder"):
        assert sum(name.startswith("Residual") for name in own["params"][side]) == layers
    latent = jax.jit(functools.partial(model.encode, spec=SPEC))(variables, waves(3, 0))
    assert latent.shape == (3, 32, 2) and own["memory"]["middle"].shape == (64,)
    assert jax.jit(model.decode)(variables, latent, jnp.zeros((3, 1))).shape == (3, 256)


def test_a_layer_may_have_a_wave_of_any_whole_number_of_strides():
    spec = Spec(shape=(72,), labels=SPEC.labels)
    assert ENCODE(started(spec=spec), waves(2, 0)[:, :72]).shape == (2, 9, 2)


def test_a_residual_block_adds_little_at_first():
    x = jax.random.normal(jax.random.key(0), (2, 20, 6))
    for dilation in (1, 3):
        block = Residual(dilation)
        variables = block.init(jax.random.key(1), x)
        added = block.apply(variables, x) - x
        assert 0 < np.std(added) < 0.1 * np.std(x)
        # Which places one looks at, once it adds more.
        variables["params"]["Conv_1"]["kernel"] *= 100
        moved = block.apply(variables, x.at[0, 10, 0].add(1.0)) - block.apply(variables, x)
        touched = np.flatnonzero(np.max(abs(moved[0]), axis=1) > 1e-6) - 10
        assert set(touched) == set(range(-3 * dilation, 3 * dilation + 1, dilation))


def test_it_begins_with_the_latents_of_examples():
    assert isinstance(MODEL, Fitted) and MODEL.examples == 512
    clips = waves(40, 0)
    memory = MODEL.fit(started(), clips, SPEC)["autoencoder"]["memory"]
    rows = np.asarray(ENCODE(started(), clips)).reshape(40, -1)
    np.testing.assert_allclose(memory["middle"], rows.mean(axis=0), atol=1e-5)
    known = sketches.fitted(started()["autoencoder"]["memory"], rows)
    np.testing.assert_allclose(memory["sums"], known["sums"], atol=1e-5)
    assert memory["count"] == 40 and set(memory) == set(started()["autoencoder"]["memory"])


def made(key=0, *, count=4, **values):
    return np.asarray(SAMPLE(trained(), jax.random.key(key), toys.settings(MODEL, SPEC, count, **values), spec=SPEC))


def decoded(latent, bright=0.0):
    return np.clip(DECODE(trained(), latent, jnp.full((len(latent), 1), bright)), -1, 1)


def given(clips, mask=(1, 1, 1, 1)):
    mask = np.array(mask, bool)
    return controls.Clips(np.where(mask[:, None, None], ENCODE(trained(), clips), np.float32(0)), mask)


def test_a_draw_is_of_the_mixture_and_no_variety_its_middle():
    memory = trained()["autoencoder"]["memory"]
    drawn = memory["middle"] + 0.5 * sketches.draw(memory, jax.random.key(3), 4, MODEL.axes)
    np.testing.assert_allclose(made(3, variety=0.5), decoded(drawn.reshape(4, 32, 2)), atol=2e-3)
    mean = decoded(jnp.repeat(memory["middle"].reshape(1, 32, 2), 4, axis=0))
    np.testing.assert_allclose(made(variety=0.0), mean, atol=1e-5)
    np.testing.assert_array_equal(made(), made())
    assert np.max(abs(made() - made(1))) > 0.01 and len(np.unique(made(), axis=0)) == 4


def test_sounds_stay_in_range():
    own = trained()["autoencoder"]
    decoder = own["params"]["decoder"]
    last = max(name for name in decoder if name.startswith("Conv"))
    loud = decoder | {last: jax.tree.map(lambda leaf: 50 * leaf, decoder[last])}
    variables = {"autoencoder": own | {"params": own["params"] | {"decoder": loud}}}
    assert np.max(abs(DECODE(variables, ENCODE(variables, waves(4, 0)), jnp.zeros((4, 1))))) > 2
    found = np.asarray(SAMPLE(variables, jax.random.key(0), toys.settings(MODEL, SPEC, 4), spec=SPEC))
    assert found.min() == -1 and found.max() == 1


def test_a_given_clip_comes_back_and_the_others_are_drawn_as_ever():
    assert isinstance(MODEL, Listening)
    clips = waves(4, 20_000)
    np.testing.assert_array_equal(MODEL.listen(trained(), clips, SPEC), MODEL.encode(trained(), clips, SPEC))
    found = made(clip=given(clips, [1, 0, 1, 0]))
    np.testing.assert_allclose(found[[1, 3]], made()[[1, 3]], atol=1e-6)
    assert np.mean((found[[0, 2]] - clips[[0, 2]]) ** 2) < 0.1 * np.mean(clips[[0, 2]] ** 2)
    again = made(7, variety=0.2, clip=given(clips, [1, 0, 1, 0]))
    np.testing.assert_allclose(again[[0, 2]], found[[0, 2]], atol=1e-6)


def test_a_mix_is_between_two_clips_or_a_clip_and_a_draw():
    one, two = given(waves(4, 1)), given(waves(4, 2))
    np.testing.assert_allclose(made(clip=one, clip_to=two, mix=0.0), made(clip=one), atol=1e-6)
    np.testing.assert_allclose(made(clip=one, clip_to=two, mix=1.0), made(clip=two), atol=1e-5)
    np.testing.assert_allclose(made(clip_to=two, mix=1.0), made(clip=two), atol=1e-5)
    np.testing.assert_allclose(made(clip_to=two, mix=0.0), made(), atol=1e-6)
    np.testing.assert_allclose(made(clip=one, mix=1.0), made(), atol=1e-5)
    quarter = decoded(0.75 * one.features + 0.25 * two.features)
    np.testing.assert_allclose(made(clip=one, clip_to=two, mix=0.25), quarter, atol=1e-5)


def test_labels_change_what_is_decoded():
    clip = given(waves(4, 1))
    dark, bright = made(clip=clip, bright=0.0), made(clip=clip, bright=1.0)
    assert np.min(np.max(abs(dark - bright), axis=1)) > 1e-3
    np.testing.assert_allclose(bright, decoded(clip.features, 1.0), atol=1e-5)


def test_data_without_labels():
    spec = Spec(shape=SPEC.shape)
    variables = started(spec=spec)
    batch = {"features": waves(2, 0), "labels": np.zeros((2, 0), np.float32)}
    loss = jax.jit(functools.partial(MODEL.losses(spec)["autoencoder"], train=True))
    output = loss(variables, jax.random.key(0), batch)
    assert np.isfinite(float(output.value)) and output.updates["memory"]["step"] == 1
    assert [knob.name for knob in MODEL.controls(spec)] == ["variety", "clip", "clip_to", "mix"]
    assert SAMPLE(variables, jax.random.key(0), toys.settings(MODEL, spec, 3), spec=spec).shape == (3, 256)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": 0}, "model.layers: expected at least 1, got 0"),
        ({"stride": 1}, "model.stride: expected at least 2, got 1"),
        ({"channels": 0}, "model.channels: expected at least 1, got 0"),
        ({"width": 0}, "model.width: expected at least 1, got 0"),
        ({"axes": 0}, "model.axes: expected at least 1, got 0"),
        ({"components": 0}, "model.components: expected at least 1, got 0"),
        ({"examples": 1}, "model.examples: expected at least 2, got 1"),
        ({"spectral": -0.1}, "model.spectral: expected at least 0, got -0.1"),
        ({"stride": 7}, "model.stride: expected an even number, got 7"),
        ({"windows": ()}, r"model.windows: expected some of 4 samples or more, got \(\)"),
        ({"windows": (512, 3)}, r"model.windows: expected some of 4 samples or more, got \(512, 3\)"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        WaveAutoencoder(**fields)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (16, 16), r"model: expected features of samples, .* such as Waveform's; they are \(16, 16\)"),
        ({}, (252,), r"a multiple of model.stride=8, such as Waveform's; they are \(252,\)"),
    ],
)
def test_features_must_be_waves_of_whole_strides(fields, shape, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MODEL, **fields).init(jax.random.key(0), Spec(shape=shape))
