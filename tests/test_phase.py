"""Griffin-Lim against librosa's, sample by sample while that is possible, and by spectral convergence after."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgen import dsp

SETTINGS = [
    dict(n_fft=1024, hop_length=256),
    dict(n_fft=512, hop_length=200, win_length=450, window="hamming"),
    dict(n_fft=256, hop_length=64, window="hamming", center=False),
]
SMALL = dict(n_fft=64, hop_length=16)
LIBROSA = dict(relaxation=1.0)  # its iteration knows no relaxation
STARTS = ["tree", "scan", "random", "zeros"]


def magnitude_of(wave, **settings):
    return np.abs(librosa.stft(wave, **settings)).swapaxes(-1, -2)


def librosa_griffin_lim(magnitude, seed, **settings):
    return librosa.griffinlim(magnitude.swapaxes(-1, -2), random_state=seed, **settings)


def librosa_phases(magnitude, seed):
    """The phases that librosa starts from with this seed."""
    shape = np.swapaxes(magnitude, -1, -2).shape
    return (2 * np.pi * np.random.RandomState(seed).random(size=shape)).swapaxes(-1, -2).astype(np.float32)


def convergence(wave, magnitude, **settings):
    return np.linalg.norm(magnitude_of(np.asarray(wave), **settings) - magnitude) / np.linalg.norm(magnitude)


@pytest.mark.parametrize("momentum", [0.0, 0.99])
@pytest.mark.parametrize("n_iter", [0, 1, 8])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_samples_match_librosa(noise, settings, n_iter, momentum):
    magnitude = magnitude_of(noise, **settings)
    more = dict(settings, n_iter=n_iter, momentum=momentum)
    theirs = librosa_griffin_lim(magnitude, 0, **more)
    ours = dsp.griffin_lim(magnitude, rng=None, init=librosa_phases(magnitude, 0), **LIBROSA, **more)
    assert ours.shape == theirs.shape and ours.dtype == jnp.float32
    tolerance = {0: 3e-7, 1: 2e-6, 8: 1e-4}[n_iter]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def test_the_start_is_chosen_by_the_device(monkeypatch):
    from mgen.dsp import phase

    assert phase.default_start() == "scan", "these tests run on a CPU"
    monkeypatch.setattr(phase.jax, "default_backend", lambda: "gpu")
    assert phase.default_start() == "tree"


def test_no_items_are_no_waves():
    assert dsp.griffin_lim(np.zeros((0, 20, 129), np.float32), n_fft=256, hop_length=64).shape == (0, 1216)


@pytest.mark.parametrize("make", [dsp.griffin_lim, dsp.invert])
def test_what_is_no_magnitude_is_refused_by_name(make):
    settings = {"n_fft": 256, "hop_length": 64}
    good = np.ones((20, 129), np.float32)
    with pytest.raises(ValueError, match="init: 1 of 2580 values are NaN"):
        make(good, init=np.where(np.arange(2580).reshape(20, 129) == 7, np.nan, 0).astype(np.float32), **settings)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="magnitude: 2580 of 2580 values are NaN or inf"):
        make(good.astype(np.float64) * 1e300, **settings)
    with pytest.raises(
        ValueError, match="magnitude: goes down to -40, where nothing is below 0; if these are decibels"
    ):
        make(-40 * good, **settings)
    barely = np.where(np.arange(129) == 3, np.float32(-1e-6), good)
    assert np.isfinite(make(barely, **settings)).all(), "rounding is not refused"


def test_whole_waves_of_a_constant_and_of_the_highest_frequency():
    """DC and Nyquist, which have no mirror image of their own: from the start alone, and iterated."""
    settings = {"n_fft": 256, "hop_length": 64}
    for wave in (np.ones(4000, np.float32), np.tile(np.float32([1, -1]), 2000)):
        magnitude = np.abs(np.asarray(dsp.stft(wave, **settings)))
        for make in (dsp.griffin_lim, dsp.invert):
            found = np.asarray(make(magnitude, n_iter=32, length=4000, **settings))
            rest = np.abs(np.asarray(dsp.stft(found, **settings))) - magnitude
            assert 20 * np.log10(np.linalg.norm(rest) / np.linalg.norm(magnitude)) < -25


@pytest.mark.parametrize("n_iter", [1, 8])
def test_zero_phases_are_the_plain_start_of_librosa(noise, n_iter):
    settings = dict(n_fft=512, hop_length=128, n_iter=n_iter, length=22_050)
    magnitude = magnitude_of(noise, n_fft=512, hop_length=128)
    settings = dict(settings, momentum=0.99)
    theirs = librosa.griffinlim(magnitude.swapaxes(-1, -2), init=None, **settings)
    ours = dsp.griffin_lim(magnitude, rng=None, init="zeros", **LIBROSA, **settings)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def test_spectral_convergence_matches_librosa(noise):
    settings = dict(n_fft=1024, hop_length=256)
    magnitude = magnitude_of(noise[0], **settings)
    ours = dsp.griffin_lim(magnitude, init=librosa_phases(magnitude, 0), momentum=0.99, **LIBROSA, **settings)
    theirs = librosa_griffin_lim(magnitude, 0, n_iter=32, **settings)
    assert abs(convergence(ours, magnitude, **settings) - convergence(theirs, magnitude, **settings)) < 1e-5


def test_true_phases_are_kept(noise):
    settings = dict(n_fft=512, hop_length=128)
    spectrum = dsp.stft(noise, **settings)
    arguments = dict(rng=None, init=jnp.angle(spectrum), length=22_050, **settings)
    np.testing.assert_allclose(dsp.griffin_lim(jnp.abs(spectrum), **arguments), noise, rtol=0, atol=1e-4)


# The last digits, in which transforms of other batch sizes differ, grow as they do against librosa; a relaxed iteration
# makes more of them (measured 2.3e-6 after 1, 2.2e-4 after 8).
@pytest.mark.parametrize(
    "relaxation, n_iter, tolerance", [(1.0, 1, 1e-6), (1.0, 8, 1e-4), (1.25, 1, 5e-6), (1.25, 8, 1e-3)]
)
@pytest.mark.parametrize("init", STARTS)
def test_batch_equals_items(noise, init, relaxation, n_iter, tolerance):
    magnitude = magnitude_of(noise * np.float32([[10], [1], [0.01]]), **SMALL)
    rng = jax.random.key(3)
    more = dict(n_iter=n_iter, init=init, relaxation=relaxation, **SMALL)
    together = dsp.griffin_lim(magnitude.reshape(3, 1, *magnitude.shape[1:]), rng=rng, **more)
    for item in range(3):
        alone = dsp.griffin_lim(magnitude[item], rng=jax.random.fold_in(rng, item), **more)
        np.testing.assert_allclose(together[item, 0], alone, rtol=0, atol=tolerance * np.abs(alone).max())


def test_items_and_keys_differ(noise):
    magnitude = magnitude_of(noise[:1], **SMALL).repeat(2, axis=0)
    first, second = dsp.griffin_lim(magnitude, rng=jax.random.key(0), init="random", n_iter=2, **SMALL)
    other, _ = dsp.griffin_lim(magnitude, rng=jax.random.key(1), init="random", n_iter=2, **SMALL)
    assert np.abs(first - second).max() > 0.01 and np.abs(first - other).max() > 0.01


@given(seed=st.integers(0, 2**32 - 1), octaves=st.integers(-30, 20))
def test_scales_with_the_magnitude(seed, octaves):
    magnitude = np.abs(np.random.default_rng(seed).normal(size=(40, 33))).astype(np.float32)
    gain = np.float32(2.0**octaves)  # a power of two, which rounds nothing
    wave = dsp.griffin_lim(magnitude, rng=jax.random.key(0), n_iter=8, **SMALL)
    scaled = dsp.griffin_lim(gain * magnitude, rng=jax.random.key(0), n_iter=8, **SMALL)
    np.testing.assert_allclose(scaled / gain, wave, rtol=0, atol=1e-6 * np.abs(wave).max())


@pytest.mark.parametrize("init", STARTS)
def test_silence_stays_silent(init):
    wave = dsp.griffin_lim(np.zeros((2, 40, 33), np.float32), rng=jax.random.key(0), init=init, **SMALL)
    np.testing.assert_array_equal(wave, 0)


@pytest.mark.parametrize("length", [624, 630, 639])
def test_length(length):
    magnitude = np.ones((40, 33), np.float32)
    assert dsp.griffin_lim(magnitude, rng=jax.random.key(0), n_iter=1, length=length, **SMALL).shape == (length,)


@pytest.mark.parametrize("octaves", [-66, 66])  # 1e-20 and 1e+20
@pytest.mark.parametrize("init", STARTS)
def test_scales_beyond_the_squares_of_float32(init, octaves):
    magnitude = np.abs(np.random.default_rng(0).normal(size=(12, 33))).astype(np.float32)
    gain = np.float32(2.0**octaves)
    wave = dsp.griffin_lim(magnitude, rng=jax.random.key(0), init=init, n_iter=4, **SMALL)
    scaled = dsp.griffin_lim(gain * magnitude, rng=jax.random.key(0), init=init, n_iter=4, **SMALL)
    np.testing.assert_array_equal(scaled / gain, wave)


@pytest.mark.parametrize("start", [dsp.tree_phases, dsp.scan_phases])
def test_named_starts_are_their_phases(noise, start):
    magnitude = magnitude_of(noise, **SMALL)
    named = dsp.griffin_lim(magnitude, init=start.__name__.removesuffix("_phases"), n_iter=2, **SMALL)
    np.testing.assert_array_equal(named, dsp.griffin_lim(magnitude, init=start(magnitude, **SMALL), n_iter=2, **SMALL))


@pytest.mark.parametrize("init", ["tree", "scan"])
def test_found_starts_are_constant_to_differentiation(init):
    magnitude = np.abs(np.random.default_rng(0).normal(size=(6, 33))).astype(np.float32)
    phases = dict(tree=dsp.tree_phases, scan=dsp.scan_phases)[init](magnitude, **SMALL)

    def loss(magnitude, init):
        return jnp.sum(dsp.griffin_lim(magnitude, init=init, n_iter=2, **SMALL)[::3])

    gradient = jax.grad(loss)(magnitude, init)
    assert np.abs(gradient).max() > 0
    np.testing.assert_allclose(gradient, jax.grad(loss)(magnitude, phases), rtol=0, atol=1e-6)


def test_relaxation_lowers_the_error(noise):
    settings = dict(n_fft=512, hop_length=128)
    magnitude = magnitude_of(noise[0], **settings)
    both = [dsp.griffin_lim(magnitude, n_iter=10, relaxation=r, **settings) for r in (1.0, 1.25)]
    plain, relaxed = (convergence(wave, magnitude, **settings) for wave in both)
    assert relaxed < plain


def loss_of(magnitude, weights, n_iter=3, init="random"):
    wave = dsp.griffin_lim(magnitude, rng=jax.random.key(0), init=init, n_iter=n_iter, **SMALL)
    return jnp.vdot(weights, wave)


def test_gradient_agrees_with_finite_differences():
    rng = np.random.default_rng(0)
    magnitude = (1 + rng.uniform(size=(6, 33))).astype(np.float32)
    weights = rng.normal(size=80).astype(np.float32)
    gradient = np.asarray(jax.grad(loss_of)(magnitude, weights))
    direction = (gradient / np.linalg.norm(gradient)).astype(np.float32)
    # Steps as large as float32 wants, of the sixth order.
    step = np.float32(0.015)
    at = {k: float(loss_of(magnitude + k * step * direction, weights)) for k in (-3, -2, -1, 1, 2, 3)}
    slope = (45 * (at[1] - at[-1]) - 9 * (at[2] - at[-2]) + (at[3] - at[-3])) / (60 * step)
    np.testing.assert_allclose(slope, np.linalg.norm(gradient), rtol=1e-4)


@pytest.mark.parametrize("silent", [slice(None), slice(10, 40)], ids=["all", "most"])
@pytest.mark.parametrize("init", STARTS)
def test_gradient_is_finite_in_silence(silent, init):
    magnitude = np.ones((40, 33), np.float32)
    magnitude[silent] = 0
    weights = np.random.default_rng(0).normal(size=624).astype(np.float32)
    assert np.all(np.isfinite(jax.grad(loss_of)(magnitude, weights, n_iter=8, init=init)))


FLOATS = np.ones((40, 33), np.float32)
REFUSALS = [
    (FLOATS + 0j, {}, "magnitude: expected floats, got complex64; take the abs of a complex spectrum first"),
    (FLOATS.T, {}, r"magnitude: expected \[..., frames, bins=33\], got \(33, 40\); time comes before frequency"),
    (FLOATS[:, 1:], {}, r"magnitude: expected \[..., frames, bins=33\] for n_fft=64, got \(40, 32\); give its n_fft"),
    (FLOATS[:2], {}, "magnitude: 2 frames at hop_length=16 make 16 samples, fewer than the 33 .* give more frames"),
    (FLOATS, dict(length=623), "length=623: does not make the 40 frames of magnitude .*; give 624 to 639, or None"),
    (FLOATS, dict(length=640), "length=640: does not make the 40 frames"),
    (FLOATS[:2], dict(length=20), "length=20: does not make the 2 frames of magnitude .*; give more frames"),
    (FLOATS, dict(hop_length=65), "hop_length=65: expected 1 to n_fft=64"),
    (FLOATS, dict(window="kaiser"), "window='kaiser': unknown, expected one of hann, hamming"),
    (FLOATS, dict(win_length=65), "win_length=65: expected 1 to n_fft=64"),
    (FLOATS, dict(n_iter=-1), "n_iter=-1: expected 0 or more; 32 is usual"),
    (FLOATS, dict(momentum=1.5), "momentum=1.5: expected 0 to 1, beyond which it diverges; 0.95 is usual"),
    (
        FLOATS,
        dict(init="ones"),
        "init='ones': unknown, expected tree, scan, random, zeros or an array of phases in radians",
    ),
    (FLOATS, dict(init=FLOATS[:, :1]), r"init: expected \[frames=40, bins=33\], got \(40, 1\)"),
    (FLOATS[None], dict(init=FLOATS), r"init: expected \[axis 0=1, frames=40, bins=33\], got \(40, 33\)"),
    (FLOATS, dict(init=FLOATS + 0j), "init: expected phases in radians as floats, got complex64; take the angle first"),
    (FLOATS, dict(relaxation=0.5), "relaxation=0.5: expected 1 to 1.3, beyond which it diverges; 1.25 is usual"),
    (FLOATS, dict(rng=None, init="random"), "rng=None: random starting phases need a key; .* or init='tree'"),
    (FLOATS * np.nan, {}, "magnitude: 1320 of 1320 values are NaN or infinite; repair them first"),
]


@pytest.mark.parametrize("magnitude, wrong, message", REFUSALS, ids=[case[2][:30] for case in REFUSALS])
def test_refusals(magnitude, wrong, message):
    with pytest.raises(ValueError, match=message):
        dsp.griffin_lim(magnitude, **{"rng": jax.random.key(0), **SMALL, **wrong})
