"""Mel inversion: as small a residual as librosa's non-negative least squares, and the laws it keeps."""

import functools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mgen import dsp

SMALL = dict(sample_rate=8000, n_fft=128)


def residual_db(power_spectrum, mel, filters):
    """Relative error of the mel spectrogram, dB."""
    return 20 * np.log10(np.linalg.norm(power_spectrum @ filters - mel) / np.linalg.norm(mel))


def mel_of(seed, *shape):
    spectrum = np.random.default_rng(seed).normal(size=(*shape, 65)).astype(np.float32) ** 2
    return spectrum @ dsp.mel_filters(n_mels=12, **SMALL)


@functools.lru_cache
def clip(path):
    rate = soundfile.info(path).samplerate
    wave = soundfile.read(path, frames=2 * rate, dtype="float32", always_2d=True)[0].mean(axis=1)
    return librosa.resample(wave, orig_sr=rate, target_sr=22_050)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_residual_is_no_larger_than_librosa_on_music(real_audio, power):
    magnitude = np.abs(librosa.stft(clip(real_audio / "music" / "vibe_ace.ogg"), n_fft=2048, hop_length=512)).T
    filters = dsp.mel_filters(sample_rate=22_050, n_fft=2048, n_mels=128)
    mel = magnitude**power @ filters
    ours = np.asarray(dsp.mel_to_magnitude(mel, sample_rate=22_050, n_fft=2048, power=power))
    theirs = librosa.feature.inverse.mel_to_stft(mel.T, sr=22_050, n_fft=2048, power=power).T
    assert ours.shape == theirs.shape and np.all(ours >= 0)
    assert residual_db(ours**power, mel, filters) < residual_db(theirs**power, mel, filters)
    assert np.linalg.norm(ours - magnitude) < np.linalg.norm(theirs - magnitude)


def test_residual_falls_with_the_updates():
    mel, filters = mel_of(0, 20), dsp.mel_filters(n_mels=12, **SMALL)
    solved = [np.asarray(dsp.mel_to_magnitude(mel, n_iter=n_iter, **SMALL)) ** 2 for n_iter in (0, 4, 16, 64)]
    residuals = [residual_db(values, mel, filters) for values in solved]
    assert residuals == sorted(residuals, reverse=True) and residuals[-1] < -50


@given(seed=st.integers(0, 2**32 - 1), exponent=st.sampled_from([-12, -6, 0, 6]), power=st.sampled_from([1.0, 2.0]))
def test_scales_with_the_mel(seed, exponent, power):
    mel, gain = mel_of(seed, 5), 10.0**exponent
    plain = dsp.mel_to_magnitude(mel, power=power, **SMALL)
    scaled = dsp.mel_to_magnitude(np.float32(gain) * mel, power=power, **SMALL)
    np.testing.assert_allclose(scaled, gain ** (1 / power) * plain, rtol=1e-4, atol=1e-5 * gain ** (1 / power))


def test_batch_equals_items():
    mel = mel_of(0, 3, 10) * np.float32([[[1e6]], [[1]], [[1e-12]]])
    together = dsp.mel_to_magnitude(mel, **SMALL)
    for item in range(3):
        alone = np.asarray(dsp.mel_to_magnitude(mel[item], **SMALL))
        np.testing.assert_allclose(together[item], alone, rtol=0, atol=1e-5 * alone.max())


def test_silence_and_negative_bands_give_nothing():
    mel = np.zeros((2, 5, 12), np.float32)
    mel[1] = -1
    np.testing.assert_array_equal(dsp.mel_to_magnitude(mel, **SMALL), 0)
    np.testing.assert_array_equal(dsp.mel_to_audio(mel, rng=jax.random.key(0), hop_length=32, **SMALL), 0)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_gradient_agrees_with_finite_differences(power):
    mel, weights = mel_of(0, 4), np.random.default_rng(1).uniform(0.5, 1, (4, 65)).astype(np.float32)

    def loss(mel):
        return jnp.vdot(weights, dsp.mel_to_magnitude(mel, power=power, n_iter=8, **SMALL))

    gradient = np.asarray(jax.grad(loss)(mel))
    direction = mel * np.sign(gradient)
    step = np.float32(0.03)
    at = {k: float(loss(mel + k * step * direction)) for k in (-3, -2, -1, 1, 2, 3)}
    slope = (45 * (at[1] - at[-1]) - 9 * (at[2] - at[-2]) + (at[3] - at[-3])) / (60 * step)
    np.testing.assert_allclose(slope, np.vdot(gradient, direction), rtol=1e-4)


def test_gradient_is_finite_in_silence():
    mel = mel_of(0, 4)
    mel[1:3] = 0
    gradient = jax.grad(lambda m: jnp.sum(dsp.mel_to_magnitude(m, **SMALL)))(mel)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)


def test_mel_to_audio_is_its_two_halves():
    mel, rng = mel_of(0, 2, 20), jax.random.key(0)
    both = dsp.mel_to_audio(mel, rng=rng, hop_length=32, n_iter=4, nnls_iter=8, length=620, **SMALL)
    magnitude = dsp.mel_to_magnitude(mel, n_iter=8, **SMALL)
    np.testing.assert_array_equal(
        both, dsp.griffin_lim(magnitude, rng=rng, n_fft=128, hop_length=32, n_iter=4, length=620)
    )
    assert both.shape == (2, 620)


def test_mel_to_audio_returns_the_sound(noise):
    time = np.arange(8000) / 8000
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    settings = dict(sample_rate=8000, n_fft=512, hop_length=128)
    mel = dsp.mel_spectrogram(tone, n_mels=64, **settings)
    wave = np.asarray(dsp.mel_to_audio(mel, rng=jax.random.key(0), length=8000, **settings))
    assert wave.shape == (8000,) and abs(np.argmax(np.abs(np.fft.rfft(wave))) - 440) < 8000 / 512
    assert 0.5 < np.linalg.norm(wave) / np.linalg.norm(tone) < 2


@pytest.mark.parametrize(
    "mel, wrong, message",
    [
        (np.ones((5, 12)) + 0j, {}, "mel: expected floats, got complex.*; filter magnitudes or powers"),
        (np.ones(12), {}, r"mel: expected \[..., frames, bands\], got \(12,\)"),
        (np.ones((5, 12)), dict(power=0), "power=0: expected a number above zero; 2 is power and 1 is magnitude"),
        (np.ones((5, 12)), dict(n_iter=-1), "n_iter=-1: expected 0 or more; 128 is usual"),
        (np.ones((5, 12)), dict(fmax=5000), "fmax=5000: expected 0 <= fmin < fmax <= 4000"),
    ],
)
def test_refusals(mel, wrong, message):
    with pytest.raises(ValueError, match=message):
        dsp.mel_to_magnitude(mel, **SMALL, **wrong)
