"""The transform and its inverse against librosa, their laws, and their refusals."""

import importlib
import math
import re
import warnings

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgen import dsp

SETTINGS = [
    dict(n_fft=2048, hop_length=512),
    dict(n_fft=1024, hop_length=256, win_length=800),
    dict(n_fft=512, hop_length=512, window="hamming"),
    dict(n_fft=512, hop_length=200, window="hamming", win_length=401),
    dict(n_fft=500, hop_length=125),
    dict(n_fft=255, hop_length=64),
    dict(n_fft=256, hop_length=64, center=False, window="hamming"),
    dict(n_fft=256, hop_length=100, center=False),
    dict(n_fft=64, hop_length=3, win_length=63),
]
LAWFUL = [dict(n_fft=64, hop_length=16), dict(n_fft=64, hop_length=24, window="hamming"), dict(n_fft=63, hop_length=16)]


def swap(array):
    return np.swapaxes(np.asarray(array), -1, -2)


def near(ours, theirs, tolerance=1e-6):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["hann", "hamming"])
@pytest.mark.parametrize("win_length, n_fft", [(2048, 2048), (800, 1024), (401, 512), (63, 64), (1, 8)])
def test_window_matches_librosa(name, win_length, n_fft):
    theirs = librosa.util.pad_center(librosa.filters.get_window(name, win_length), size=n_fft)
    ours = dsp.window(name, win_length, n_fft)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("samples", [22_050, 4_001])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_stft_matches_librosa(noise, settings, samples):
    wave = noise[:, :samples]
    ours = dsp.stft(wave, **settings)
    assert ours.dtype == jnp.complex64
    near(swap(ours), librosa.stft(wave, **settings))
    sizes = {key: settings[key] for key in ("n_fft", "hop_length", "center") if key in settings}
    assert ours.shape[-2] == dsp.frame_count(samples, **sizes)


@pytest.mark.parametrize("length", [None, 22_050, 3_001, 22_500])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_istft_matches_librosa(noise, settings, length):
    spectrum = librosa.stft(noise, **settings)
    theirs = librosa.istft(spectrum, length=length, **settings)
    ours = np.asarray(dsp.istft(swap(spectrum), length=length, **settings))
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    if not settings.get("center", True) and settings.get("window", "hann") == "hann":
        # Both divide rounding by nearly nothing where a single Hann window begins: compare before that division.
        envelope = librosa.filters.window_sumsquare(
            window="hann", n_frames=spectrum.shape[-1], n_fft=settings["n_fft"], hop_length=settings["hop_length"]
        )
        envelope = librosa.util.fix_length(envelope, size=ours.shape[-1])
        ours, theirs = ours * envelope, theirs * envelope
    near(ours, theirs)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_istft_matches_librosa_on_a_spectrum_of_no_wave(settings):
    rng = np.random.default_rng(1)
    shape = (2, 1 + settings["n_fft"] // 2, 99)
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    theirs = librosa.istft(spectrum, **settings)
    ours = np.asarray(dsp.istft(swap(spectrum), **settings))
    inner = slice(settings["n_fft"], -settings["n_fft"])  # at the edges Hann windows divide by nearly nothing
    near(ours[..., inner], theirs[..., inner])


@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(-100, 100, width=32), settings=st.sampled_from(LAWFUL))
def test_stft_is_linear(seed, gain, settings):
    one, other = np.random.default_rng(seed).normal(0, 0.1, (2, 500)).astype(np.float32)
    together = dsp.stft(one + np.float32(gain) * other, **settings)
    apart = dsp.stft(one, **settings) + gain * dsp.stft(other, **settings)
    near(together, np.asarray(apart))


@given(seed=st.integers(0, 2**32 - 1), settings=st.sampled_from(LAWFUL))
def test_istft_undoes_stft(seed, settings):
    wave = np.random.default_rng(seed).normal(0, 0.1, (2, 3, 500)).astype(np.float32)
    near(dsp.istft(dsp.stft(wave, **settings), length=500, **settings), wave)


def test_stft_undoes_istft_of_a_wave(noise):
    settings = dict(n_fft=256, hop_length=64)
    spectrum = dsp.stft(noise, **settings)
    near(dsp.stft(dsp.istft(spectrum, length=22_050, **settings), **settings), np.asarray(spectrum))


def test_batch_equals_items(noise):
    wave = noise * np.float32([[10], [1], [0.01]])
    settings = dict(n_fft=512, hop_length=128)
    together = dsp.stft(wave.reshape(3, 1, -1), **settings)
    for item in range(3):
        near(together[item, 0], np.asarray(dsp.stft(wave[item], **settings)), 1e-7)
    rebuilt = dsp.istft(together, **settings)
    for item in range(3):
        near(rebuilt[item, 0], np.asarray(dsp.istft(together[item, 0], **settings)), 1e-7)


@pytest.mark.parametrize("hop_length", [16, 24])
def test_nothing_gathers_or_scatters_forwards_or_backwards(hop_length):
    settings = dict(n_fft=64, hop_length=hop_length)

    def there_and_back(wave):
        return jnp.sum(dsp.istft(dsp.stft(wave, **settings) ** 2, **settings) ** 2)

    text = jax.jit(jax.grad(there_and_back)).lower(jnp.ones(500)).as_text()
    assert "scatter" not in text and "gather" not in text


def test_gradient_of_the_inverse_is_that_of_the_identity(noise):
    settings, wave, weights = dict(n_fft=64, hop_length=24), noise[0, :500], noise[1, :500]
    gradient = jax.grad(lambda w: jnp.vdot(weights, dsp.istft(dsp.stft(w, **settings), length=500, **settings)))(wave)
    near(gradient, weights)


def test_no_plan_is_larger_than_allowed(noise, monkeypatch):
    """XLA ends the process over a plan of 4 GB (jax#9591): what is more goes in several, with the same result."""
    settings = dict(n_fft=256, hop_length=64)
    transform = importlib.import_module("mgen.dsp.stft")
    whole = dsp.stft(noise, **settings)
    back = dsp.istft(whole, **settings)
    allowed = 100 * 8 * 129
    monkeypatch.setattr(transform, "PLAN_BYTES", allowed)
    jax.clear_caches()  # the limit is read while tracing
    for function, argument, expected in ((dsp.stft, noise, whole), (dsp.istft, whole, back)):
        np.testing.assert_array_equal(function(argument, **settings), expected)
        text = function.lower(argument, **settings).as_text()
        plans = re.findall(r"stablehlo\.fft .*: \(tensor<([\dx]*)x(?:complex<f32>|f32)>\)", text)
        rows = [math.prod(int(size) for size in shape.split("x")[:-1]) for shape in plans]
        assert rows and max(rows) == 100
    jax.clear_caches()


def test_half_precision_and_whole_numbers(noise):
    assert dsp.stft(noise.astype(np.float16), n_fft=64, hop_length=16).dtype == jnp.complex64
    with pytest.raises(ValueError, match=r"wave: expected floats in \[-1, 1\], got int16; scale and convert it first"):
        dsp.stft(np.zeros(100, np.int16), n_fft=64, hop_length=16)


@pytest.mark.parametrize("n_fft, center, shortest", [(64, True, 33), (64, False, 64), (63, True, 32)])
def test_shortest_wave(n_fft, center, shortest):
    settings = dict(n_fft=n_fft, hop_length=16, center=center)
    wave = np.random.default_rng(0).normal(size=shortest).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # librosa warns of short waves, and transforms them
        near(swap(dsp.stft(wave, **settings)), librosa.stft(wave, **settings))
    with pytest.raises(
        ValueError, match=rf"wave: {shortest - 1} samples are too few .* give at least {shortest} samples"
    ):
        dsp.stft(wave[1:], **settings)


@pytest.mark.parametrize("hop_length", [0, -1, 65])
def test_hop_length_out_of_range(hop_length):
    message = rf"hop_length={hop_length}: expected 1 to n_fft=64; n_fft // 4 = 16 is usual"
    for call in (
        lambda: dsp.stft(np.zeros(100), n_fft=64, hop_length=hop_length),
        lambda: dsp.istft(np.zeros((4, 33), complex), n_fft=64, hop_length=hop_length, length=50),
        lambda: dsp.istft(np.zeros((4, 33), complex), n_fft=64, hop_length=hop_length),
        lambda: dsp.frame_count(100, n_fft=64, hop_length=hop_length),
        lambda: dsp.sample_count(4, n_fft=64, hop_length=hop_length),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(win_length=65), "win_length=65: expected 1 to n_fft=64; raise n_fft or shorten the window"),
        (dict(win_length=0), "win_length=0: expected 1 to n_fft=64"),
        (dict(window="blackman"), "window='blackman': unknown, expected one of hann, hamming"),
    ],
)
def test_window_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        dsp.stft(np.zeros(100), n_fft=64, hop_length=16, **arguments)
    with pytest.raises(ValueError, match=message):
        dsp.istft(np.zeros((4, 33), complex), n_fft=64, hop_length=16, **arguments)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((4, 32), r"spectrum: expected \[..., frames, bins=33\] for n_fft=64, got \(4, 32\); give its n_fft"),
        ((33, 4), r"spectrum: expected \[..., frames, bins=33\], got \(33, 4\); time comes before frequency, swap it"),
        ((33,), r"spectrum: expected \[..., frames, bins=33\], got \(33,\)"),
        ((0, 33), r"spectrum: expected at least 1 frame, got \(0, 33\); give more frames"),
    ],
)
def test_istft_shape_refusals(shape, message):
    with pytest.raises(ValueError, match=message):
        dsp.istft(np.zeros(shape, complex), n_fft=64, hop_length=16)


def test_other_refusals():
    with pytest.raises(ValueError, match="length=0: no samples of 1 frames .* ask for at least 1, or give more frames"):
        dsp.istft(np.zeros((1, 33), complex), n_fft=64, hop_length=16)
    with pytest.raises(ValueError, match="wave: expected .* got a scalar; give at least one axis"):
        dsp.stft(np.float32(0), n_fft=64, hop_length=16)
