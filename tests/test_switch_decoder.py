import dataclasses
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import switches
from mgen import panel
from mgen.commands.arguments import find_config
from mgen.contracts import Spec
from mgen.controls import Choice, Slider, Switch
from mgen.data.mixtures import Mixtures
from mgen.models import switch_decoder
from mgen.models.switch_decoder import SwitchDecoder
from mgen.training.loop import train

SONGS = tuple(Switch(f"song{i}") for i in range(4))
SPEC = Spec(shape=(32, 16), labels=SONGS)
SMALL = SwitchDecoder(upscale=4, width=8)


def turn(model, weights, spec=SPEC, seed=0):
    variables = model.init(jax.random.key(seed), spec)
    settings = {label.name: np.asarray(column, np.float32) for label, column in zip(spec.labels, weights, strict=True)}
    return variables, np.asarray(model.sample(variables, jax.random.key(0), settings, spec))


@pytest.mark.parametrize("upscale", [2, 4, 8, 16, 32, 64])
def test_every_upscale_factor_makes_128_bins_of_512_frames(upscale):
    spec = Spec(shape=(512, 128), labels=SONGS)
    model = SwitchDecoder(upscale=upscale, width=2, components=1)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), spec))
    settings = {label.name: np.ones(3, np.float32) for label in SONGS}
    made = jax.eval_shape(lambda v: model.sample(v, jax.random.key(0), settings, spec), variables)
    assert made.shape == (3, 512, 128)
    params = variables["decoder"]["params"]
    assert params["Dense_0"]["kernel"].shape == (4, 512 // upscale * 128 // upscale * 2)
    assert params["SubPixelConv_0"]["Conv_0"]["kernel"].shape[-1] == upscale**2  # the original's table says `upscale`


def amplitude_db(features, variables):
    """Undoes the decoder's decibel map: energies above the floor, in decibels."""
    slope = np.exp(variables["decoder"]["params"]["log_slope"])
    return 10 * np.log10(np.expm1((np.asarray(features, np.float64) + 1) / slope))


def test_half_a_switch_is_six_decibels_less_and_none_is_silence():
    variables, made = turn(SMALL, [[1, 0.5, 0], [1, 0.5, 0], [0.2, 0.1, 0], [0, 0, 0]])
    full, half = amplitude_db(made[0], variables), amplitude_db(made[1], variables)
    loud = full > 20
    assert loud.mean() > 0.5
    np.testing.assert_allclose((full - half)[loud], 6.02, atol=0.02)
    np.testing.assert_array_equal(made[2], np.full((32, 16), -1, np.float32))


def test_sliders_are_not_gains():
    """A filter's brightness at 0 is a setting, not silence: with sliders the network has biases."""
    spec = Spec(shape=(32, 16), labels=(Slider("brightness"), Choice("key", ("C", "D"))))
    dense = SMALL.init(jax.random.key(0), spec)["decoder"]["params"]["Dense_0"]
    assert "bias" in dense
    assert "bias" not in SMALL.init(jax.random.key(0), SPEC)["decoder"]["params"]["Dense_0"]
    _, made = turn(SMALL, [[0.0, 1.0], [0, 0]], spec=spec)
    assert (made[0] != made[1]).any()


@pytest.mark.parametrize("head", ["energy", "decibel"])
def test_starts_without_a_checkerboard(head):
    """At first every cell of upscale x upscale points is one value: sub-pixel kernels begin as an enlargement."""
    _, made = turn(dataclasses.replace(SMALL, head=head), [[1.0], [0.0], [0.3], [0.0]])
    cells = made.reshape(1, 8, 4, 4, 4)
    np.testing.assert_allclose(cells, np.broadcast_to(cells[:, :, :1, :, :1], cells.shape), atol=1e-4)
    assert made.std() > 0.01


def test_the_gradient_is_finite_with_everything_off():
    loss = SMALL.losses(SPEC)["decoder"]
    batch = {"labels": jnp.zeros((2, 4)), "features": jnp.full((2, 32, 16), -0.5)}
    variables = SMALL.init(jax.random.key(0), SPEC)
    gradient = jax.grad(lambda v: loss(v, jax.random.key(0), batch, train=True).value)(variables)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_refuses_what_it_cannot_learn_from():
    with pytest.raises(
        ValueError, match=r"SwitchDecoder needs data with labels \(Mixtures, Tones\); this data has none"
    ):
        SMALL.init(jax.random.key(0), Spec(shape=(32, 16)))
    with pytest.raises(
        ValueError, match=r"SwitchDecoder makes \[frames, bins\], such as LogMel's; the features are \(9,\)"
    ):
        SMALL.init(jax.random.key(0), Spec(shape=(9,), labels=SONGS))


@pytest.mark.slow
def test_switches_of_real_songs_give_back_and_mix(real_audio, tmp_path, monkeypatch):
    """A fifth of the real run: every song is given back, and pairs that training never mixed come out as mixtures."""
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "cache"))
    experiment = runpy.run_path(str(find_config("switches")))["experiment"]
    experiment = dataclasses.replace(
        experiment, data=Mixtures(path=str(real_audio / "music")), steps=400, preview_every=0
    )
    train(experiment, tmp_path / "run")
    row, details = switches.measure(tmp_path / "run", "test")
    assert max(song["ratio"] for song in details["songs"]) <= 0.25
    held = [pair["right"] for pair in details["pairs"] if pair["held_out"]]
    rest = [pair["right"] for pair in details["pairs"] if not pair["held_out"]]
    assert (len(held), len(rest)) == (8, 20)
    assert sum(held) >= 7
    assert sum(rest) >= 19


CODED = dataclasses.replace(SMALL, codes=6, sliders=8)


def coded(values, variables=None, seed=0):
    """Variables, and what settings of one sound each make, [count, *shape]."""
    variables = CODED.init(jax.random.key(seed), SPEC) if variables is None else variables
    rows = panel.settings_of(CODED.controls(SPEC), values)
    return variables, np.asarray(CODED.sample(variables, jax.random.key(0), rows, SPEC))


def test_codes_have_sliders_along_their_axes():
    names = [knob.name for knob in CODED.controls(SPEC)]
    assert names == [*(song.name for song in SONGS), "mean", "axis_1", "axis_2", "axis_3"], "four codes have three axes"
    assert CODED.controls(SPEC)[-1].low == -4 and SMALL.controls(SPEC) == SONGS
    off = dict.fromkeys((song.name for song in SONGS), 0.0)
    quarter = {name: 0.25 for name in off}
    variables, made = coded([off, off | {"mean": 1.0}, quarter, off | {"axis_1": 2.0}, off | {"axis_1": 4.0}])
    np.testing.assert_array_equal(made[0], np.full((32, 16), -1, np.float32))
    np.testing.assert_allclose(made[1], made[2], atol=1e-5)
    apart = amplitude_db(made[4], variables) - amplitude_db(made[3], variables)
    np.testing.assert_allclose(apart[amplitude_db(made[3], variables) > 20], 6.02, atol=0.02)
    # The axes are those of the codes: along them from the mean every song can be reached.
    codes = np.asarray(variables["decoder"]["params"]["codes"]["kernel"])
    axes = np.asarray(variables["decoder"]["memory"]["axes"])
    along = (codes[2] - codes.mean(axis=0)) @ np.linalg.pinv(axes)
    _, reached = coded(
        [off | {"song2": 1}, off | {"mean": 1} | {f"axis_{i + 1}": float(along[i]) for i in range(3)}], variables
    )
    np.testing.assert_allclose(reached[0], reached[1], atol=1e-4)


def test_an_axis_keeps_its_direction_from_step_to_step():
    variables = CODED.init(jax.random.key(0), SPEC)
    own = variables["decoder"]
    turned = {"decoder": {**own, "memory": {"axes": -own["memory"]["axes"]}}}
    batch = {"labels": jnp.eye(4)[:2], "features": jnp.zeros((2, 32, 16))}
    loss = CODED.losses(SPEC)["decoder"]
    for before in (variables, turned):
        after = loss(before, jax.random.key(0), batch, train=True).updates["memory"]["axes"]
        np.testing.assert_allclose(after, before["decoder"]["memory"]["axes"], atol=1e-5)
    assert not loss(variables, jax.random.key(0), batch, train=False).updates
    _, one = coded([{"axis_1": 1.0}], variables)
    _, other = coded([{"axis_1": -1.0}], turned)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_axis_keeps_its_direction_where_two_change_places():
    before = jnp.array([[0.71, 0.0], [0.0, 0.70]])
    for codes, first in (
        ([[1, 0], [-1, 0], [0, 0.9], [0, -0.9]], [1, 0]),
        ([[0.9, 0], [-0.9, 0], [0, 1], [0, -1]], [0, 1]),
    ):
        params = {"codes": {"kernel": jnp.array(codes, jnp.float32)}}
        for like in (before, before * jnp.array([[1.0], [-1.0]])):
            found = np.asarray(switch_decoder._axes(params, 2, like=like))
            assert np.argmax(np.abs(found[0])) == np.argmax(first), "the longest is first"
            for axis in found:
                assert max(axis @ old / np.linalg.norm(axis) for old in np.asarray(like)) > 0.69


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((*SONGS[:2], Slider("tempo", 100, 120, 110, "bpm")), "only switches have codes"),
        ((*SONGS[:3], Switch("axis_1")), "a switch is named like one of its sliders: axis_1"),
    ],
)
def test_codes_that_cannot_be(labels, words):
    with pytest.raises(ValueError, match=words):
        CODED.init(jax.random.key(0), Spec(shape=(32, 16), labels=labels))


def test_each_tempo_has_the_other_sliders_to_itself():
    spec = Spec(shape=(32, 16), labels=(Slider("tempo", 100, 102, 101, "bpm"), Slider("drums"), Slider("bass")))
    kernel = SMALL.init(jax.random.key(0), spec)["decoder"]["params"]["Dense_0"]["kernel"]
    assert kernel.shape[0] == 3 * (1 + 2), "three tempi, each with all levels and one input for none"
    _, made = turn(SMALL, [[100.0, 100.5, 101.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], spec=spec)
    assert (made[0] != made[2]).any() and (made[1] != made[0]).any() and (made[1] != made[2]).any()
