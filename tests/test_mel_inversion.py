"""Mel inversion: a smaller residual than librosa's, a sound nearer to its mel, and the laws both keep."""

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
MUSIC = dict(sample_rate=22_050, n_fft=2048)


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


def naive_updates(mel, filters, n_iter):
    """The same updates by whole matrices in float64: powers [..., bins]."""
    mel, filters = np.asarray(mel, np.float64), np.asarray(filters, np.float64)
    seen, coverage = filters.any(axis=0), filters.sum(axis=1)
    mel, filters = mel[..., seen], filters[:, seen]
    shares = (filters / np.where(coverage > 0, coverage, 1)[:, None]).T
    values = mel / np.sum(filters**2, axis=0) @ filters.T
    for left in reversed(range(n_iter)):
        values = values * ((mel / np.maximum(values @ filters, 1e-300)) @ shares) ** (1 + left % 2)
    return values


@pytest.mark.parametrize(
    "settings",
    [
        dict(sample_rate=22_050, n_fft=2048, n_mels=128),
        dict(sample_rate=16_000, n_fft=511, n_mels=20, fmin=1500.0, fmax=4000.0),
        dict(sample_rate=44_100, n_fft=1024, n_mels=3, fmin=40.0),
        dict(sample_rate=8000, n_fft=64, n_mels=1),
    ],
    ids=str,
)
@pytest.mark.parametrize("n_iter", [0, 1, 6, 9])
def test_equals_the_updates_by_whole_matrices(settings, n_iter):
    filters = dsp.mel_filters(**settings)
    mel = np.random.default_rng(0).gamma(0.5, size=(2, 3, filters.shape[1])).astype(np.float32)
    del (settings := dict(settings))["n_mels"]
    ours = np.asarray(dsp.mel_to_magnitude(mel, n_iter=n_iter, **settings)) ** 2
    theirs = naive_updates(mel, filters, n_iter)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6 * theirs.max())
    assert np.all(ours[..., filters.sum(axis=1) == 0] == 0)  # no filter, no sound


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_residual_is_smaller_than_librosas_on_music(real_audio, power):
    magnitude = np.abs(librosa.stft(clip(real_audio / "music" / "vibe_ace.ogg"), n_fft=2048, hop_length=512)).T
    filters = dsp.mel_filters(n_mels=128, **MUSIC)
    mel = magnitude**power @ filters
    ours = np.asarray(dsp.mel_to_magnitude(mel, power=power, **MUSIC))
    theirs = librosa.feature.inverse.mel_to_stft(mel.T, sr=22_050, n_fft=2048, power=power).T
    assert ours.shape == theirs.shape and np.all(ours >= 0)
    assert residual_db(ours**power, mel, filters) < min(-40, residual_db(theirs**power, mel, filters))
    assert np.linalg.norm(ours - magnitude) < np.linalg.norm(theirs - magnitude)


def test_sound_is_nearer_to_the_mel_than_librosas_and_than_one_of_held_magnitudes(real_audio):
    wave = clip(real_audio / "music" / "vibe_ace.ogg")
    settings = dict(hop_length=512, **MUSIC)
    mel = np.asarray(dsp.mel_spectrogram(wave, n_mels=128, **settings))

    def convergence(made):
        return 20 * np.log10(
            np.linalg.norm(dsp.mel_spectrogram(made, n_mels=128, **settings) - mel) / np.linalg.norm(mel)
        )

    ours = convergence(dsp.mel_to_audio(mel, length=len(wave), **settings))
    held = dsp.griffin_lim(dsp.mel_to_magnitude(mel, **MUSIC), n_fft=2048, hop_length=512, length=len(wave))
    np.random.seed(0)  # librosa 0.11 draws its phases from the global generator
    theirs = librosa.feature.inverse.mel_to_audio(mel.T, sr=22_050, n_fft=2048, hop_length=512, length=len(wave))
    assert ours < convergence(theirs) - 3 and ours < convergence(held) - 3


def test_residual_falls_with_the_updates():
    mel, filters = mel_of(0, 20), dsp.mel_filters(n_mels=12, **SMALL)
    solved = [np.asarray(dsp.mel_to_magnitude(mel, n_iter=n_iter, **SMALL)) ** 2 for n_iter in (0, 4, 16, 64)]
    residuals = [residual_db(values, mel, filters) for values in solved]
    assert residuals == sorted(residuals, reverse=True) and residuals[-1] < -50


@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.sampled_from([-30, -12, -6, 0, 6, 30]),
    power=st.sampled_from([1.0, 2.0]),
)
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
    """Where a model makes bands below 0, inside a compiled function, they count as 0; an array of them is refused."""
    mel = np.zeros((2, 5, 12), np.float32)
    np.testing.assert_array_equal(dsp.mel_to_magnitude(mel, **SMALL), 0)
    np.testing.assert_array_equal(dsp.mel_to_audio(mel, hop_length=32, **SMALL), 0)
    mel[1] = -1
    np.testing.assert_array_equal(jax.jit(lambda mel: dsp.mel_to_audio(mel, hop_length=32, **SMALL))(mel), 0)
    for make in (dsp.mel_to_magnitude, lambda mel, **s: dsp.invert_mel(mel, hop_length=32, **s)):
        with pytest.raises(ValueError, match="mel: goes down to -1, where nothing is below 0; if these are decibels"):
            make(mel, **SMALL)


def test_warm_start_helps():
    spectrum = np.random.default_rng(0).normal(size=(20, 65)).astype(np.float32) ** 2
    filters = dsp.mel_filters(n_mels=12, **SMALL)
    before, drift = spectrum @ filters, np.random.default_rng(1).uniform(0.9, 1.1, (20, 12)).astype(np.float32)
    near = dsp.mel_to_magnitude(before, n_iter=64, **SMALL)
    mel = before * drift
    cold, warm = (dsp.mel_to_magnitude(mel, n_iter=2, init=init, **SMALL) for init in (None, near))
    assert residual_db(np.asarray(warm) ** 2, mel, filters) < residual_db(np.asarray(cold) ** 2, mel, filters) - 10
    np.testing.assert_allclose(  # what fits stays as it is, with its fine structure
        dsp.mel_to_magnitude(before, init=np.sqrt(spectrum), **SMALL), np.sqrt(spectrum * (filters.sum(axis=1) > 0)),
        atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("init", [np.zeros((20, 65), np.float32), np.full((20, 65), 1e30, np.float32)])
def test_a_useless_warm_start_does_no_lasting_harm(init):
    mel, filters = mel_of(0, 20), dsp.mel_filters(n_mels=12, **SMALL)
    solved = np.asarray(dsp.mel_to_magnitude(mel, init=init, n_iter=32, **SMALL)) ** 2
    assert residual_db(solved, mel, filters) < -30


def test_empty_filters_are_named_and_passed_over():
    settings = dict(sample_rate=22_050, n_fft=1024)
    mel = np.random.default_rng(0).gamma(0.5, size=(10, 384)).astype(np.float32)
    with pytest.warns(UserWarning, match="n_mels=384: 25 empty filters"):
        dsp.mel_filters.cache_clear()
        empty = ~dsp.mel_filters(n_mels=384, **settings).any(axis=0)
    with pytest.warns(UserWarning, match="n_mels=384: 25 empty filters"):
        solved = np.asarray(dsp.mel_to_magnitude(mel, **settings))
    assert empty.sum() == 25 and np.all(np.isfinite(solved)) and np.any(solved > 0)
    np.testing.assert_array_equal(dsp.mel_to_magnitude(np.where(empty, 1e9, mel), **settings), solved)
    wave = dsp.mel_to_audio(mel, hop_length=256, n_iter=4, **settings)
    assert np.all(np.isfinite(wave)) and np.any(wave != 0)
    junk = dsp.mel_to_audio(np.where(empty, 1e9, mel), hop_length=256, n_iter=4, **settings)
    np.testing.assert_array_equal(junk, wave)


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


@pytest.mark.parametrize("init", ["scan", "tree", "random"])
def test_mel_to_audio_starts_from_its_two_halves(init):
    mel, rng = mel_of(0, 2, 20), jax.random.key(0)
    scale = mel.max(axis=(1, 2), keepdims=True)
    both = dsp.mel_to_audio(mel, rng=rng, hop_length=32, n_iter=0, nnls_iter=8, init=init, length=620, **SMALL)
    magnitude = dsp.mel_to_magnitude(mel / scale, n_iter=8, **SMALL)
    start = dsp.griffin_lim(magnitude, rng=rng, n_fft=128, hop_length=32, n_iter=0, init=init, length=620)
    start = np.asarray(start) * np.sqrt(scale[..., 0])
    np.testing.assert_allclose(both, start, rtol=0, atol=1e-5 * np.abs(start).max())
    assert both.shape == (2, 620)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_mel_to_audio_comes_nearer_to_the_mel_with_the_iterations(noise, power):
    settings = dict(hop_length=32, power=power, **SMALL)
    mel = dsp.mel_spectrogram(noise[0, :3000], n_mels=12, **settings)
    made = [dsp.mel_to_audio(mel, n_iter=n_iter, length=3000, **settings) for n_iter in (0, 4, 16, 64)]
    errors = [np.linalg.norm(dsp.mel_spectrogram(wave, n_mels=12, **settings) - mel) for wave in made]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 10


def test_mel_to_audio_of_a_batch_is_that_of_its_items_in_any_scale():
    mel = mel_of(0, 3, 20) * np.float32([[[1e30]], [[1]], [[1e-30]]])
    settings = dict(hop_length=32, n_iter=4, **SMALL)
    together = np.asarray(dsp.mel_to_audio(mel, **settings))
    for item, gain in enumerate([1e15, 1, 1e-15]):
        alone = np.asarray(dsp.mel_to_audio(mel[item], **settings))
        same = np.asarray(dsp.mel_to_audio(mel_of(0, 3, 20)[item], **settings))
        np.testing.assert_allclose(together[item], alone, rtol=0, atol=1e-4 * np.abs(alone).max())
        np.testing.assert_allclose(alone / gain, same, rtol=0, atol=1e-3 * np.abs(same).max())
        assert np.abs(same).max() > 0.1


def test_mel_to_audio_bears_silence_beside_sound():
    mel = mel_of(0, 30)
    mel[5:15], mel[15:20], mel[20:25] = 0, 1e-30, 1e-12
    gradient = jax.grad(lambda m: jnp.sum(jnp.square(dsp.mel_to_audio(m, hop_length=32, n_iter=4, **SMALL))))(mel)
    wave = np.asarray(dsp.mel_to_audio(mel, hop_length=32, n_iter=16, **SMALL))
    assert np.all(np.isfinite(wave)) and np.all(np.isfinite(gradient)) and np.any(gradient != 0)
    assert np.abs(wave[8 * 32 : 22 * 32]).max() < 1e-2 * np.abs(wave).max()


def test_mel_to_audio_returns_the_sound(noise):
    time = np.arange(8000) / 8000
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    settings = dict(sample_rate=8000, n_fft=512, hop_length=128)
    mel = dsp.mel_spectrogram(tone, n_mels=64, **settings)
    wave = np.asarray(dsp.mel_to_audio(mel, length=8000, **settings))
    assert wave.shape == (8000,) and abs(np.argmax(np.abs(np.fft.rfft(wave))) - 440) < 8000 / 512
    assert 0.5 < np.linalg.norm(wave) / np.linalg.norm(tone) < 2


@pytest.mark.parametrize(
    "mel, wrong, message",
    [
        (np.ones((5, 12)) + 0j, {}, "mel: expected floats, got complex.*; filter magnitudes or powers"),
        (np.ones(12), {}, r"mel: expected \[..., frames, bands\], got \(12,\)"),
        (np.ones((5, 12)), dict(power=0), "power=0: expected a number above zero; 2 is power and 1 is magnitude"),
        (np.ones((5, 12)), dict(n_iter=-1), "n_iter=-1: expected 0 or more; 16 is usual"),
        (
            np.full((5, 12), np.nan),
            {},
            "mel: 60 of 60 values are NaN or infinite; repair them first, for example with jnp.nan_to_num",
        ),
        (
            np.ones((5, 12)),
            dict(init=np.ones((4, 65))),
            r"init: expected float magnitudes of \(5, 65\), got .*\(4, 65\)",
        ),
        (np.ones((5, 12)), dict(init=np.ones((5, 64))), r"init: expected \[..., frames, bins=65\] for n_fft=128"),
        (np.ones((5, 12)), dict(fmax=5000), "fmax=5000: expected 0 <= fmin < fmax <= 4000"),
    ],
)
def test_refusals(mel, wrong, message):
    with pytest.raises(ValueError, match=message):
        dsp.mel_to_magnitude(mel, **SMALL, **wrong)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(n_iter=-1), "n_iter=-1: expected 0 or more; 32 is usual"),
        (dict(nnls_iter=-1), "nnls_iter=-1: expected 0 or more; 16 is usual"),
        (dict(momentum=1.5), "momentum=1.5: expected 0 to 1"),
        (dict(power=0), "power=0: expected a number above zero"),
        (dict(length=10), "length=10: does not make the 20 frames"),
        (dict(init="best"), "init='best': unknown"),
    ],
)
def test_mel_to_audio_refusals(wrong, message):
    with pytest.raises(ValueError, match=message):
        dsp.mel_to_audio(mel_of(0, 20), hop_length=32, **{**SMALL, **wrong})
