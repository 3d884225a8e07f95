"""The phase gradient against the phases of real and of known signals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import dsp
from mgen.audio import read
from mgen.dsp.phase_gradient import check_finite, log_magnitude, phase_gradient, phase_steps, wrap

SMALL = dict(n_fft=64, hop_length=16)
SETTINGS = [
    dict(n_fft=512, hop_length=128),
    dict(n_fft=512, hop_length=100, win_length=401, window="hamming"),
    dict(n_fft=511, hop_length=96),
]


def wrapped(phases):
    return np.angle(np.exp(1j * np.asarray(phases, np.float64)))


def weighted_error(steps, spectrum, axis):
    """Mean absolute error in radians of phase differences, weighted by the product of both magnitudes."""
    spectrum = np.moveaxis(np.asarray(spectrum, np.complex128), axis, 0)
    product = spectrum[1:] * spectrum[:-1].conj()
    error = wrapped(np.moveaxis(np.asarray(steps), axis, 0) - np.angle(product))
    return np.sum(np.abs(error) * np.abs(product)) / np.sum(np.abs(product))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_steps_are_those_of_real_music(real_audio, settings):
    wave = read(real_audio / "music" / "vibe_ace.ogg", sample_rate=22_050, start_s=5, duration_s=1)
    spectrum = dsp.stft(wave, **settings)
    along_time, along_bins = phase_steps(*phase_gradient(jnp.abs(spectrum), **settings))
    # Random differences are pi / 2 off in the mean.
    assert weighted_error(along_time, spectrum, -2) < 0.35
    assert weighted_error(along_bins, spectrum, -1) < 0.35


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("cycles", [40.0, 40.3, 100.7])
def test_a_sine_advances_by_its_own_frequency(settings, cycles):
    n_fft, hop_length = settings["n_fft"], settings["hop_length"]
    wave = np.cos(2 * np.pi * cycles / n_fft * np.arange(20 * n_fft)).astype(np.float32)
    along_time, along_bins = phase_gradient(jnp.abs(dsp.stft(wave, **settings)), **settings)
    peak = round(cycles)
    middle = slice(20, -20)
    expected = 2 * np.pi * cycles * hop_length / n_fft
    np.testing.assert_allclose(wrapped(along_time[middle, peak] - expected), 0, atol=0.15)
    # Nothing changes in time, so only the window's place in the frame is left: its centre.
    before = (n_fft - settings.get("win_length", n_fft)) // 2
    centre = before + settings.get("win_length", n_fft) / 2
    np.testing.assert_allclose(wrapped(along_bins[middle, peak] + 2 * np.pi * centre / n_fft), 0, atol=0.01)


@pytest.mark.parametrize("late", [-60, 0, 45])
def test_an_impulse_delays_every_bin(late):
    settings = dict(n_fft=512, hop_length=128)
    wave = np.zeros(4096, np.float32)
    wave[2048 + late] = 1
    magnitude = jnp.abs(dsp.stft(wave, **settings))
    _, along_bins = phase_gradient(magnitude, **settings)
    # Frame 16 is centred at sample 2048; a delay of d samples turns the phase by -2 pi d / n_fft a bin.
    expected = -2 * np.pi * (256 + late) / 512
    np.testing.assert_allclose(wrapped(along_bins[16, 2:-2] - expected), 0, atol=0.12)


def test_mirror_at_dc_and_nyquist():
    magnitude = np.abs(np.random.default_rng(0).normal(size=(5, 33)))
    along_time, _ = phase_gradient(magnitude, **SMALL)
    np.testing.assert_allclose(wrapped(along_time[:, [0, -1]] - 2 * np.pi * 16 * np.array([0, 0.5])), 0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_scale_does_not_matter(scale):
    magnitude = np.abs(np.random.default_rng(0).normal(size=(5, 33))).astype(np.float32)
    for ours, expected in zip(
        phase_gradient(magnitude * np.float32(scale), **SMALL), phase_gradient(magnitude, **SMALL), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def impulse(frames, bins):
    spike = np.zeros((frames, bins), np.float32)
    spike[frames // 2, bins // 2] = 1
    return spike


@pytest.mark.parametrize(
    "magnitude",
    [
        np.zeros((6, 33)),
        impulse(6, 33),
        np.ones((1, 33)),
        np.ones((2, 33)),
        np.full((6, 33), 3e38),
        impulse(6, 33) * 1e-38,
    ],
    ids=["zeros", "impulse", "one frame", "two frames", "largest", "smallest"],
)
def test_finite_for_every_input(magnitude):
    for gradient in phase_gradient(magnitude.astype(np.float32), **SMALL):
        assert gradient.shape == magnitude.shape and np.all(np.isfinite(gradient))


def test_traced_nan_counts_as_nothing():
    magnitude = np.ones((6, 33), np.float32)
    magnitude[2, 5], magnitude[3, 7] = np.nan, np.inf
    logs = jax.jit(log_magnitude)(magnitude)
    np.testing.assert_allclose(logs[2, 5], np.log(1e-10), rtol=1e-6)
    assert np.all(np.isfinite(logs)) and logs[0, 0] == 0


def test_batch_equals_items():
    magnitude = np.abs(np.random.default_rng(0).normal(size=(2, 2, 7, 33))) * np.array([1, 1e-9])[:, None, None, None]
    together = phase_gradient(magnitude, **SMALL)
    for item in np.ndindex(2, 2):
        for batch, alone in zip(together, phase_gradient(magnitude[item], **SMALL), strict=True):
            np.testing.assert_allclose(batch[item], alone, rtol=0, atol=1e-5)


def test_wrap():
    phases = np.linspace(-50, 50, 999, dtype=np.float32)
    np.testing.assert_allclose(np.exp(1j * wrap(phases)), np.exp(1j * phases), atol=1e-5)
    assert np.abs(wrap(phases)).max() <= np.pi * (1 + 1e-6)


REFUSALS = [
    (np.ones((6, 32)), {}, r"magnitude: expected \[..., frames, bins=33\] for n_fft=64, got \(6, 32\)"),
    (np.ones((6, 33)), dict(window="kaiser"), "window='kaiser': unknown, expected one of hann, hamming"),
    (np.ones((6, 33)), dict(win_length=65), "win_length=65: expected 1 to n_fft=64"),
]


@pytest.mark.parametrize("magnitude, wrong, message", REFUSALS, ids=[case[2][:20] for case in REFUSALS])
def test_refusals(magnitude, wrong, message):
    with pytest.raises(ValueError, match=message):
        phase_gradient(magnitude, **{**SMALL, **wrong})


def test_check_finite():
    check_finite(np.ones(3))
    with pytest.raises(ValueError, match="magnitude: 2 of 3 values are NaN or infinite; repair them first"):
        check_finite(np.array([1, np.nan, np.inf]))
    jax.jit(check_finite)(np.array([np.nan]))  # nothing can be said while tracing
