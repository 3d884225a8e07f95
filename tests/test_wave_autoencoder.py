"""The autoencoder of the waveform: one bottleneck however many layers, and the Gaussian that new clips come from.

Over 300 lines, because its tests are of one model that is trained once.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgen import controls, losses
from mgen.contracts import Listening, Spec
from mgen.controls import Switch
from mgen.models.wave_autoencoder import Residual, WaveAutoencoder, _axes, _directions, _seen, lapped
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
    assert latent.shape == (3, 32, 2) and own["memory"]["mean"].shape == (64,)
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


def memory_of(size, covariance=None):
    """Of as many directions as numbers, so that all of the covariance is known."""
    covariance = np.eye(size) if covariance is None else covariance
    sketch = jnp.asarray(covariance, jnp.float32) @ _directions(size, size)
    return {"step": jnp.zeros(()), "mean": jnp.zeros(size), "sketch": sketch}


def covariance(memory):
    axes = np.asarray(_axes(memory, len(memory["mean"])))
    return axes.T @ axes


def test_the_gaussian_is_that_of_all_latents_that_were_seen():
    rng = np.random.default_rng(0)
    latents = (rng.normal(size=(10, 20, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)).astype(np.float32)
    memory = memory_of(6)
    for number, batch in enumerate(latents):
        memory = _seen(memory, jnp.asarray(batch.reshape(20, 3, 2)))
        rows = latents[: number + 1].reshape(-1, 6)
        np.testing.assert_allclose(memory["mean"], rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(covariance(memory), np.cov(rows.T, bias=True), atol=1e-3)
    assert memory["step"] == 10


def test_the_widest_axes_are_found():
    rng = np.random.default_rng(0)
    own, _ = np.linalg.qr(rng.normal(size=(60, 60)))
    widths = 0.8 ** np.arange(60)
    known = own.T * widths**2 @ own
    axes = np.asarray(_axes(memory_of(60, known), 5))
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), widths[:5], rtol=1e-3)
    np.testing.assert_allclose(abs(np.sum(axes / widths[:5, None] * own[:5], axis=1)), 1, atol=1e-3)
    assert len(_axes(memory_of(60, known), 100)) == 60
    # From what it makes of a third as many directions as there are numbers.
    few = memory_of(60) | {"sketch": jnp.asarray(known, jnp.float32) @ _directions(60, 20)}
    axes = np.asarray(_axes(few, 5))
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), widths[:5], rtol=0.02)
    assert np.min(abs(np.sum(axes / widths[:5, None] * own[:5], axis=1))) > 0.97


def test_the_memory_leads_nowhere():
    slope = jax.grad(lambda latent: sum(jnp.sum(value) for value in _seen(memory_of(4), latent).values()))
    np.testing.assert_array_equal(slope(jnp.ones((5, 2, 2))), 0)


def test_what_was_seen_long_ago_is_forgotten():
    memory = memory_of(4) | {"step": jnp.float32(1_000)}
    new = _seen(memory, jnp.ones((40, 2, 2)))
    np.testing.assert_allclose(new["mean"], 0.1, rtol=1e-5)
    np.testing.assert_allclose(covariance(new), 0.9 * np.eye(4) + 0.1 * 0.9, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(_seen(memory, jnp.ones((3_000, 2, 2)))["mean"], 1, rtol=1e-5)


@pytest.mark.parametrize("rows", ["constant", "of one axis", "few", "silent"])
def test_latents_without_a_shape_can_be_drawn(rows):
    rng = np.random.default_rng(0)
    latents = {
        "constant": np.full((8, 64), 30.0) + rng.normal(size=64),
        "of one axis": rng.normal(size=(8, 1)) * rng.normal(size=64) + 10,
        "few": rng.normal(size=(3, 64)),
        "silent": np.zeros((8, 64)),
    }[rows].astype(np.float32)
    memory = memory_of(64)
    for _ in range(5):
        memory = _seen(memory, jnp.asarray(latents.reshape(-1, 32, 2)))
    axes = np.asarray(_axes(memory, 32))
    assert np.all(np.isfinite(axes))
    spread = np.sqrt(np.sum(axes**2, axis=0))
    assert np.max(spread) < 1.1 * np.max(latents.std(axis=0)) + 0.1
    variables = {"autoencoder": started()["autoencoder"] | {"memory": memory}}
    assert np.all(np.isfinite(SAMPLE(variables, jax.random.key(0), toys.settings(MODEL, SPEC, 4), spec=SPEC)))


def made(key=0, *, count=4, **values):
    return np.asarray(SAMPLE(trained(), jax.random.key(key), toys.settings(MODEL, SPEC, count, **values), spec=SPEC))


def decoded(latent, bright=0.0):
    return np.clip(DECODE(trained(), latent, jnp.full((len(latent), 1), bright)), -1, 1)


def given(clips, mask=(1, 1, 1, 1)):
    mask = np.array(mask, bool)
    return controls.Clips(np.where(mask[:, None, None], ENCODE(trained(), clips), np.float32(0)), mask)


def test_a_draw_is_of_the_gaussian_and_no_variety_its_mean():
    memory = trained()["autoencoder"]["memory"]
    axes = _axes(memory, MODEL.axes)
    drawn = memory["mean"] + 0.5 * jax.random.normal(jax.random.key(3), (4, len(axes))) @ axes
    np.testing.assert_allclose(made(3, variety=0.5), decoded(drawn.reshape(4, 32, 2)), atol=2e-3)
    mean = decoded(jnp.repeat(memory["mean"].reshape(1, 32, 2), 4, axis=0))
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
