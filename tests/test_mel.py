"""Mel filters and spectrograms against librosa."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgen import dsp

FILTERS = [
    dict(n_fft=2048, n_mels=128, sample_rate=22_050),
    dict(n_fft=1024, n_mels=80, sample_rate=22_050, fmax=8000.0),
    dict(n_fft=2048, n_mels=96, sample_rate=44_100, fmin=40.0),
    dict(n_fft=511, n_mels=20, sample_rate=16_000, fmin=1500.0, fmax=4000.0),
]


def theirs_of(settings):
    return {("sr" if key == "sample_rate" else key): value for key, value in settings.items()}


@pytest.mark.parametrize("settings", FILTERS, ids=str)
def test_filters_match_librosa(settings):
    ours = dsp.mel_filters(**settings)
    assert ours.dtype == np.float32 and ours.shape == (1 + settings["n_fft"] // 2, settings["n_mels"])
    theirs = librosa.filters.mel(**theirs_of(settings)).T
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7 * theirs.max())


@pytest.mark.parametrize("n_mels, fmin, fmax", [(128, 0.0, None), (40, 50.0, 8000.0)])
def test_frequencies_match_librosa(n_mels, fmin, fmax):
    ours = dsp.mel_frequencies(sample_rate=22_050, n_mels=n_mels, fmin=fmin, fmax=fmax)
    theirs = librosa.mel_frequencies(n_mels + 2, fmin=fmin, fmax=fmax or 11_025)[1:-1]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_filters_are_made_once_and_cannot_be_changed():
    assert dsp.mel_filters(**FILTERS[0]) is dsp.mel_filters(**FILTERS[0])
    with pytest.raises(ValueError, match="read-only"):
        dsp.mel_filters(**FILTERS[0])[0, 0] = 1


def test_empty_filters_are_told():
    dsp.mel_filters.cache_clear()
    with pytest.warns(
        UserWarning, match=r"n_mels=256: (\d+) empty filters .* lower n_mels, or raise n_fft or fmin"
    ) as said:
        filters = dsp.mel_filters(sample_rate=22_050, n_fft=512, n_mels=256)
    assert f" {np.sum(filters.sum(axis=0) == 0)} empty" in str(said[0].message)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("center", [True, False])
def test_spectrogram_matches_librosa(noise, power, center):
    settings = dict(n_fft=1024, hop_length=300, n_mels=40, win_length=900, window="hamming", fmin=50.0, fmax=9000.0)
    ours = dsp.mel_spectrogram(noise, sample_rate=22_050, power=power, center=center, **settings)
    theirs = librosa.feature.melspectrogram(y=noise, sr=22_050, power=power, center=center, **settings)
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(np.swapaxes(ours, -1, -2), theirs, rtol=0, atol=1e-6 * theirs.max())


@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(0.015625, 100, width=32), power=st.sampled_from([1.0, 2.0]))
def test_spectrogram_scales_with_the_wave(seed, gain, power):
    settings = dict(sample_rate=8000, n_fft=128, hop_length=32, n_mels=10, power=power)
    wave = np.random.default_rng(seed).normal(0, 0.1, 500).astype(np.float32)
    louder = dsp.mel_spectrogram(np.float32(gain) * wave, **settings)
    np.testing.assert_allclose(louder, gain**power * dsp.mel_spectrogram(wave, **settings), rtol=1e-4)


def test_batch_equals_items(noise):
    wave = noise * np.float32([[10], [1], [0.01]])
    settings = dict(sample_rate=22_050, n_fft=512, hop_length=128, n_mels=20)
    together = dsp.mel_spectrogram(wave, **settings)
    for item in range(3):
        np.testing.assert_allclose(together[item], dsp.mel_spectrogram(wave[item], **settings), rtol=1e-6)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_gradient_is_finite_in_silence(power):
    settings = dict(sample_rate=8000, n_fft=128, hop_length=32, n_mels=10, power=power)
    wave = np.zeros(500, np.float32)
    wave[300:] = 0.1
    gradient = jax.grad(lambda w: jnp.sum(dsp.mel_spectrogram(w, **settings)))(wave)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(n_mels=0), "n_mels=0: expected at least 1; 80 and 128 are usual"),
        (dict(n_fft=0), "n_fft=0: expected at least 1; 1024 and 2048 are usual"),
        (
            dict(fmin=-1.0),
            "fmin=-1.0, fmax=None: expected 0 <= fmin < fmax <= 4000, .* move the edges or raise the rate",
        ),
        (dict(fmax=5000.0), "fmin=0.0, fmax=5000.0: expected 0 <= fmin < fmax <= 4000, half of sample_rate=8000"),
        (dict(fmin=300.0, fmax=200.0), "fmin=300.0, fmax=200.0"),
    ],
)
def test_filter_refusals(wrong, message):
    with pytest.raises(ValueError, match=message):
        dsp.mel_filters(**{"sample_rate": 8000, "n_fft": 128, "n_mels": 10, "fmin": 0.0, **wrong})


def test_power_refusal():
    with pytest.raises(ValueError, match="power=0: expected a number above zero; 2 is power and 1 is magnitude"):
        dsp.mel_spectrogram(np.zeros(500), sample_rate=8000, n_fft=128, hop_length=32, n_mels=10, power=0)
