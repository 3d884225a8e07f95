"""The network that continues a song: the original's size, what it knows of tones, and what each control does."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import controls, panel, parallel
from mgen.contracts import Continuing, Fitted, Spec
from mgen.features import FftBlocks, LogMel, Waveform
from mgen.models.block_lstm import BlockLstm
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam
from mgen.training.sampling import generate
from tests import toys

FEATURES = FftBlocks(8_000, 24, 64)
SPEC = Spec(shape=FEATURES.shape)
MODEL = BlockLstm(width=16, bands=8, truncate=7, recall=24, examples=3)
KEY = jax.random.key(0)


def noise(count=2, seed=0, level=0.1):
    wave = np.random.default_rng(seed).normal(0, level, (count, FEATURES.samples)).astype(np.float32)
    return np.asarray(FEATURES.encode(wave))


def tone(hertz, level=0.3):
    wave = level * np.sin(2 * np.pi * hertz * np.arange(FEATURES.samples) / 8_000 + 1)
    return np.asarray(FEATURES.encode(wave.astype(np.float32)))


@functools.lru_cache
def fresh(model=MODEL):
    """Variables of which nothing is near to zero, so that all of the network is heard."""
    variables = jax.jit(functools.partial(model.init, spec=SPEC))(KEY)
    variables = model.fit(variables, np.stack([tone(500), tone(900), tone(1700)]), SPEC)
    own = variables["blocks"]
    leaves, tree = jax.tree.flatten(own["params"])
    keys = jax.random.split(KEY, len(leaves))
    leaves = [leaf + 0.05 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return {"blocks": {**own, "params": jax.tree.unflatten(tree, leaves)}}


def settings(count=2, **changed):
    """The defaults, changed."""
    plain = panel.settle(MODEL.controls(SPEC), {}, count=count, rng=np.random.default_rng(0), vary=False)
    return {name: values for name, values in plain.items() if not name.startswith("seed_clip")} | changed


def many(value, count=2):
    return np.full(count, value, np.float32)


def clips(features):
    return controls.Clips(jnp.asarray(features), jnp.ones(len(features), bool))


@functools.lru_cache
def player(model, steps):
    return jax.jit(functools.partial(model.go_on, spec=SPEC, steps=steps))


def played(key=KEY, model=MODEL, steps=10, **changed):
    return np.asarray(player(model, steps)(fresh(model), key, settings(**changed)))


def test_is_continuing_and_fitted():
    assert isinstance(MODEL, Continuing) and isinstance(MODEL, Fitted)


def test_the_original_has_53_574_178_parameters():
    original = BlockLstm(width=1024, head="point", loss="l2", own=0.0, truncate=0, examples=1)
    variables = jax.eval_shape(functools.partial(original.init, spec=Spec(shape=(40, 22_050))), KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["blocks"]["params"])) == 53_574_178


@pytest.mark.parametrize(("cell", "head"), [("lstm", "mixture"), ("gru", "point"), ("linear", "mixture")])
def test_reads_in_parts_what_it_reads_at_once(cell, head):
    """The state is carried over the parts that a gradient goes back over, and from block to block when it plays."""
    model = dataclasses.replace(MODEL, cell=cell, head=head, depth=2)
    blocks = noise()

    def read(truncate):
        return jax.jit(dataclasses.replace(model, truncate=truncate)._read)(fresh(model), blocks)

    whole = read(0)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4), read(7), whole)
    network, state = jax.jit(model._network.apply), model._network.silent(2, SPEC.shape[1])
    for number in range(12):
        found, state = network({"params": fresh(model)["blocks"]["params"]}, blocks[:, number : number + 1], state)
        np.testing.assert_allclose(found.log_scales[:, 0], whole.log_scales[:, number], atol=1e-4)
        np.testing.assert_allclose(found.means[:, 0], whole.means[:, number], atol=1e-4)


def test_a_gradient_ends_where_the_state_is_carried_over():
    """What parameters did in the blocks before the state was carried over they are not held to account for."""

    blocks = noise(1)[:, :14]

    def of_last(params, truncate):
        model = dataclasses.replace(MODEL, truncate=truncate)
        variables = {"blocks": {**fresh()["blocks"], "params": params}}
        return model.predict(variables, blocks)[0, 7].sum()

    gradient = jax.jit(jax.grad(of_last), static_argnums=1)
    whole, cut = (gradient(fresh()["blocks"]["params"], truncate)["into"]["kernel"] for truncate in (0, 7))
    assert np.abs(whole - cut).max() > 1e-3 * np.abs(whole).max()


@pytest.mark.parametrize("silence", [False, True])
def test_targets_are_the_next_blocks(silence):
    model = dataclasses.replace(MODEL, head="point", loss="l2", own=0.0, silence_after=silence)
    blocks = noise()
    variables = fresh(model)
    found = np.asarray(model.predict(variables, blocks))
    wanted = blocks[:, 1:]
    if silence:
        wanted = np.concatenate([wanted, np.zeros_like(blocks[:, :1])], axis=1)
    error = np.mean(np.square(found[:, : wanted.shape[1]] - wanted))
    output = model.losses(SPEC)["blocks"](variables, KEY, {"features": blocks}, train=False)
    np.testing.assert_allclose(output.value, error, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["squared_error"], error / (np.mean(np.square(wanted)) + 1e-6), rtol=1e-4)


def test_own_answers_are_read_in_training_only_and_after_the_first_step():
    loss = jax.jit(MODEL.losses(SPEC)["blocks"], static_argnames="train")
    variables, batch = fresh(), {"features": noise()}
    plain = loss(variables, KEY, batch, train=False).value
    np.testing.assert_allclose(loss(variables, KEY, batch, train=True).value, plain, rtol=1e-6)
    memory = variables["blocks"]["memory"]
    later = {"blocks": {**variables["blocks"], "memory": {**memory, "step": jnp.array(500.0)}}}
    output = loss(later, KEY, batch, train=True)
    assert abs(output.value - plain) > 1e-4
    assert output.updates["memory"]["step"] == 501
    np.testing.assert_allclose(loss(later, KEY, batch, train=False).value, plain, rtol=1e-6)


def test_temperature_0_is_what_is_expected_and_1_is_drawn():
    seed = clips(noise())
    cold = [played(jax.random.key(k), seed_clip=seed, temperature=many(0.0)) for k in (0, 1)]
    np.testing.assert_allclose(cold[0], cold[1], atol=1e-6)
    # Of all blocks but the last, which the end of the clip cuts.
    np.testing.assert_allclose(cold[0][:, 0], MODEL.predict(fresh(), noise())[:, -2], atol=1e-4)
    warm = [played(jax.random.key(k), seed_clip=seed) for k in (0, 1)]
    assert np.abs(warm[0] - warm[1]).max() > 0.1


def test_a_seed_shorter_than_a_clip_ends_where_it_ends():
    """The zeros that a short file is filled up with are no part of it."""
    blocks = noise()
    short = np.concatenate([blocks[:, 10:], np.zeros_like(blocks[:, :10])], axis=1)
    moved = np.concatenate([np.zeros_like(blocks[:, :10]), blocks[:, 10:]], axis=1)
    np.testing.assert_allclose(played(seed_clip=clips(short)), played(seed_clip=clips(moved)), atol=1e-6)


@pytest.mark.parametrize("mixing", [0, 1])
def test_mix_leads_from_one_seed_to_the_other(mixing):
    first, second = clips(np.stack([tone(600)] * 2)), clips(np.stack([tone(1500)] * 2))
    how = {"temperature": many(0.0), "mixing": many(mixing)}
    only = played(seed_clip=first, **how)
    np.testing.assert_allclose(played(seed_clip=first, seed_clip_to=second, **how), only, atol=1e-6)
    there = played(seed_clip=first, seed_clip_to=second, mix=many(1.0), **how)
    np.testing.assert_allclose(there, played(seed_clip=second, **how), atol=1e-3)
    between = played(seed_clip=first, seed_clip_to=second, mix=many(0.5), **how)
    assert min(np.abs(between - only).max(), np.abs(between - there).max()) > 0.1


def test_without_a_seed_it_goes_on_from_clips_of_training():
    """Their tones, of 500, 900 and 1700 Hz, and nothing else, are in what it makes."""
    made = np.square(np.concatenate([played(jax.random.key(k), steps=16) for k in range(3)])).mean(axis=(0, 1))
    own = np.square(fresh()["blocks"]["memory"]["clips"]).mean(axis=(0, 1))
    loud = own > 0.05 * own.max()
    assert made[loud].mean() > 10 * made[~loud].mean()


@pytest.mark.parametrize(("sounding", "steps", "kept"), [(24, 60, 23), (24, 20, 10), (9, 60, 8)])
def test_it_can_begin_with_the_seed(sounding, steps, kept):
    """With its end, less the last block, which the end of the clip cuts; and half of the sound at least is new."""
    blocks = noise().copy()
    blocks[:, sounding:] = 0
    made = played(seed_clip=clips(blocks), begins_with=many(1), steps=steps)
    assert made.shape[1] == steps
    np.testing.assert_array_equal(made[:, :kept], blocks[:, sounding - 1 - kept : sounding - 1])
    new = played(seed_clip=clips(blocks), steps=steps)[:, : steps - kept]
    np.testing.assert_allclose(made[:, kept:], new, atol=1e-6)


def test_a_tone_goes_on_without_a_click():
    """Where the seed ends and what was made begins nothing is heard that is not of the tone."""
    seed = np.stack([tone(700)] * 2)
    made = played(seed_clip=clips(seed), begins_with=many(1), temperature=many(0.0), steps=30)
    join, wave = 15 * 64, np.asarray(FEATURES.lasting(29 * 64 / 8_000).decode(jnp.asarray(made), KEY))[0]
    away = np.abs(np.fft.rfftfreq(256, 1 / 8_000) - 700) > 200

    def off_tone(start):
        power = np.square(np.abs(np.fft.rfft(wave[start : start + 256] * np.hanning(256))))
        return power[away].sum() / power.sum()

    assert off_tone(join - 128) < 0.02


@pytest.mark.parametrize("recall", [0.0, 1.0])
def test_how_far_what_is_recalled_is_trusted(recall):
    """Seeds of loud and quiet in turn: what recalls is louder and quieter in turn too, and what does not is even."""
    blocks = noise() * np.repeat([1.0, 0.05], 6)[np.arange(24) % 12][None, :, None].astype(np.float32)
    made = played(seed_clip=clips(blocks), recall=many(recall), steps=60)
    level = 10 * np.log10(np.mean(np.square(made), axis=-1))
    assert (np.ptp(np.sort(level)[:, 6:-6]) > 10) == (recall == 1.0)


@pytest.mark.parametrize(
    "fields", [{"head": "point"}, {"recall": 0}, {"components": 1, "loss": "l2"}, {"cell": "gru"}, {"cell": "linear"}]
)
def test_every_kind_plays(fields):
    model = dataclasses.replace(MODEL, **fields)
    some = controls.Clips(jnp.asarray(noise()), jnp.array([True, False]))
    made = played(model=model, seed_clip=some, steps=6)
    assert made.shape == (2, 6, 64) and np.all(np.isfinite(made)) and np.abs(made).max() > 1e-3
    silent = played(model=model, seed_clip=clips(np.zeros_like(noise())), steps=6)
    assert np.all(np.isfinite(silent))


@pytest.mark.parametrize("guard_db", [3.0, 6.0])
def test_loudness_stays_near_that_of_the_seed(guard_db):
    """Even of a network that would be 15 dB louder, which without a guard it is."""
    model = dataclasses.replace(MODEL, guard_db=guard_db)
    blocks, steps = noise(), 300
    made = played(model=model, seed_clip=clips(blocks), temperature=many(1.5), steps=steps)
    assert np.all(np.isfinite(made))
    power = np.mean(np.square(made), axis=-1)
    long = np.stack([power[:, start : start + 64].mean(axis=1) for start in range(0, steps - 64, 32)])
    apart = 10 * np.log10(long / np.mean(np.square(blocks), axis=(1, 2)))
    assert np.abs(apart).max() < guard_db + 2.5  # the edges of the spectrum have fewer neighbours


def experiment(features=FEATURES, model=MODEL):
    return Experiment(data=toys.ToyData(), features=features, model=model, optimisers={"blocks": Adam()})


@pytest.mark.parametrize("seconds", [0.05, 0.9])
def test_seconds_are_as_many_as_are_asked_for(seconds):
    plain = panel.settle(MODEL.controls(SPEC), {}, count=2, rng=np.random.default_rng(0), vary=False)
    made = generate(experiment(), SPEC, fresh(), plain | {"seconds": many(seconds)}, seed=0)
    assert made.shape == (2, round(seconds * 8_000))
    assert np.all(np.isfinite(made)) and np.abs(made).max() > 1e-3
    compiled = parallel._mapped.cache_info().misses
    generate(experiment(), SPEC, fresh(), plain | {"seconds": many(seconds)}, seed=1)
    assert parallel._mapped.cache_info().misses == compiled, "the same length is compiled once"
    assert generate(experiment(), SPEC, fresh(), plain, seed=0).shape == (2, FEATURES.samples)


def test_seconds_are_refused_where_there_is_one_length():
    plain = panel.settle(MODEL.controls(SPEC), {}, count=2, rng=np.random.default_rng(0), vary=False)
    asked = plain | {"seconds": many(0.5)}
    with pytest.raises(ValueError, match="seconds: clips of Waveform are of one length; leave it at 0"):
        generate(experiment(Waveform(8_000, 64)), SPEC, fresh(), asked, seed=0)
    with pytest.raises(ValueError, match="seconds: clips that are joined are as long as a clip each"):
        mels = LogMel(8_000, 24, 256, 64, n_mels=20)
        generate(experiment(mels), SPEC, fresh(), asked, seed=0, windows=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "model.width: expected at least 1, got 0"),
        ({"depth": 0}, "model.depth: expected at least 1"),
        ({"bands": 1}, "model.bands: expected at least 2"),
        ({"cell": "rnn"}, "model.cell: expected lstm, gru, linear, got 'rnn'"),
        ({"head": "bins"}, "model.head: expected mixture, point"),
        ({"loss": "l3"}, "model.loss: expected l1, l2"),
        ({"recall": 8}, "model.recall: expected 0, or more than 8, got 8"),
        ({"own": 1.0}, "model.own: expected 0 <= own < 1"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        BlockLstm(**fields)


@pytest.mark.parametrize("shape", [(64,), (1, 64), (8, 8, 2)])
def test_features_are_rows_of_blocks(shape):
    with pytest.raises(ValueError, match="expected features of blocks of values, such as FftBlocks'"):
        MODEL.init(KEY, Spec(shape=shape))
