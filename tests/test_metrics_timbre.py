"""Descriptors of timbre against librosa's, frame by frame, and what becomes of them over a clip with pauses."""

import jax
import librosa
import numpy as np
import pytest

from mgen import audio
from mgen.metrics import timbre

RATE = 22_050
FRAMES = dict(n_fft=1024, hop_length=256)


@pytest.fixture
def sounds(noise):
    """Noise, a chord over quiet noise, and a sound that stops: [3, 22050]."""
    time = np.arange(22_050) / RATE
    chord = sum(np.sin(2 * np.pi * pitch * time) / pitch for pitch in (220, 277, 3300)) * 100
    return np.stack([noise[0], chord + 0.01 * noise[1], noise[2] * (time < 0.5)]).astype(np.float32)


@pytest.mark.parametrize("share, power", [(0.85, 1.0), (0.99, 2.0), (0.5, 1.0)])
def test_rolloff_matches_librosa(sounds, share, power):
    ours = timbre.rolloff(sounds, sample_rate=RATE, roll_percent=share, power=power, **FRAMES)
    magnitude = np.abs(librosa.stft(sounds.astype(np.float64), **FRAMES))
    theirs = librosa.feature.spectral_rolloff(S=magnitude**power, sr=RATE, n_fft=1024, roll_percent=share)[:, 0]
    # A sum of float32 may cross the share one bin away; never two, and hardly ever.
    bins = np.abs(ours - theirs) / (RATE / 1024)
    assert bins.max() < 1.001 and np.mean(bins > 0.01) < 0.01


@pytest.mark.parametrize("p", [2.0, 1.0])
def test_bandwidth_matches_librosa(sounds, p):
    ours = timbre.spectral_bandwidth(sounds, sample_rate=RATE, p=p, **FRAMES)
    theirs = librosa.feature.spectral_bandwidth(y=sounds.astype(np.float64), sr=RATE, p=p, **FRAMES)[:, 0]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * theirs.max())


@pytest.mark.parametrize("settings", [dict(), dict(power=1.0, amin=1e-6)])
def test_flatness_matches_librosa(sounds, settings):
    ours = timbre.spectral_flatness(sounds, **FRAMES, **settings)
    theirs = librosa.feature.spectral_flatness(y=sounds.astype(np.float64), **FRAMES, **settings)[:, 0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # the mean of logarithms of numbers over 11 decades


def test_all_match_librosa_on_music(real_audio):
    wave = audio.read(real_audio / "music" / "adventure_loop_16k_mono.ogg", sample_rate=RATE, duration_s=4.0)
    wide = wave.astype(np.float64)
    ours = timbre.rolloff(wave, sample_rate=RATE)
    theirs = librosa.feature.spectral_rolloff(y=wide, sr=RATE)[0]
    assert np.mean(np.abs(ours - theirs) < 1) > 0.99
    ours = timbre.spectral_bandwidth(wave, sample_rate=RATE)
    np.testing.assert_allclose(ours, librosa.feature.spectral_bandwidth(y=wide, sr=RATE)[0], rtol=1e-3)
    np.testing.assert_allclose(
        timbre.spectral_flatness(wave), librosa.feature.spectral_flatness(y=wide)[0], rtol=1e-3, atol=1e-9
    )


def test_what_is_known_of_tones_and_noise(noise):
    tone = 0.5 * np.sin(2 * np.pi * 100 / 1024 * np.arange(8192)).astype(np.float32)  # the middle of bin 100
    ours = timbre.timbre(np.stack([tone, noise[0, :8192]]), sample_rate=RATE, **FRAMES)
    # Half and a quarter of the sum lie in the bins 100 and 101 of a Hann window.
    np.testing.assert_allclose(ours.rolloff[0], 101 * RATE / 1024, rtol=0.02)
    np.testing.assert_allclose(ours.bandwidth[0], 101 * RATE / 1024, rtol=0.02)
    # White noise, whose magnitude is the same everywhere: shares of half the rate, and a uniform spread.
    np.testing.assert_allclose(ours.rolloff[1], 0.85 * RATE / 2, rtol=0.02)
    np.testing.assert_allclose(ours.bandwidth[1], 0.99 * RATE / 2, rtol=0.01)
    np.testing.assert_allclose(ours.spread[1], RATE / 2 / np.sqrt(12), rtol=0.02)
    np.testing.assert_allclose(ours.flatness[1], np.exp(-np.euler_gamma), rtol=0.02)
    assert ours.flatness[0] < 1e-3


def test_a_clip_is_the_mean_of_its_sounding_frames(sounds):
    ours = timbre.timbre(sounds, sample_rate=RATE, **FRAMES)
    power = np.abs(librosa.stft(sounds.astype(np.float64), **FRAMES)) ** 2
    energy = np.sum(power, axis=1)
    power = np.maximum(power, 1e-10 * power.max(axis=(1, 2), keepdims=True))
    sounding = energy >= 1e-6 * energy.max(axis=-1, keepdims=True)
    assert sounding[0].all() and 0.4 < sounding[2].mean() < 0.6
    each = [
        timbre.rolloff(sounds, sample_rate=RATE, **FRAMES),
        timbre.rolloff(sounds, sample_rate=RATE, roll_percent=0.99, power=2.0, **FRAMES),
        timbre.spectral_bandwidth(sounds, sample_rate=RATE, **FRAMES),
        np.exp(np.mean(np.log(power), axis=1)) / np.mean(power, axis=1),
    ]
    for value, frames in zip(ours, each, strict=True):
        theirs = [np.mean(np.asarray(frames)[item][sounding[item]]) for item in range(3)]
        np.testing.assert_allclose(value, theirs, rtol=1e-3)  # a rolloff may differ by a bin in one frame


def test_pauses_and_batches_change_nothing(sounds):
    ours = timbre.timbre(np.stack([sounds, 1e-3 * sounds]), sample_rate=RATE, **FRAMES)
    for value in ours:
        assert value.shape == (2, 3)
        np.testing.assert_allclose(value[0], value[1], rtol=1e-3)
    paused = timbre.timbre(np.pad(sounds[0], 8192), sample_rate=RATE, **FRAMES)
    for value, longer in zip(ours, paused, strict=True):
        np.testing.assert_allclose(longer, value[0, 0], rtol=0.02)  # the frames at the edges see the pause


def test_silence_constants_and_single_frames():
    clips = np.stack([np.zeros(513), np.full(513, 0.5), np.eye(513)[256]]).astype(np.float32)
    ours = timbre.timbre(clips, sample_rate=RATE, **FRAMES)
    for value in ours:
        np.testing.assert_array_equal(np.isnan(value), [True, False, False])
    np.testing.assert_allclose(ours.flatness[2], 1, rtol=1e-4)  # a click
    assert np.all(timbre.rolloff(clips[:1], sample_rate=RATE, **FRAMES) == 0)
    assert np.all(timbre.spectral_bandwidth(clips[:1], sample_rate=RATE, **FRAMES) == 0)
    np.testing.assert_allclose(timbre.spectral_flatness(clips[:1], **FRAMES), 1, rtol=1e-4)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda wave: timbre.rolloff(wave, sample_rate=RATE, roll_percent=85),
            "roll_percent=85: expected a share between",
        ),
        (
            lambda wave: timbre.rolloff(wave, sample_rate=RATE, power=0),
            "power=0: expected a number above zero; 2 is energy",
        ),
        (
            lambda wave: timbre.spectral_bandwidth(wave, sample_rate=RATE, p=0),
            "p=0: expected a number above zero; 2 is a",
        ),
        (lambda wave: timbre.spectral_flatness(wave, power=-1), "power=-1: expected a number above zero; 2 is energy"),
        (
            lambda wave: timbre.spectral_flatness(wave, amin=0),
            "amin=0: expected a number above zero that float32 holds",
        ),
        (
            lambda wave: timbre.timbre(wave, sample_rate=RATE, floor_db=0),
            "floor_db=0: expected a number below 0, dB under",
        ),
        (lambda wave: timbre.timbre(wave * np.nan, sample_rate=RATE), "wave: holds NaN or infinity in 3 of 3 clips"),
        (lambda wave: timbre.rolloff(wave[:, :99], sample_rate=RATE), "99 samples are too few for n_fft=2048"),
    ],
)
def test_refusals(noise, call, message):
    with pytest.raises(ValueError, match=message):
        call(noise)


def test_jit(noise):
    inside = jax.jit(lambda wave: timbre.timbre(wave, sample_rate=RATE, **FRAMES))(noise)
    np.testing.assert_allclose(inside, timbre.timbre(noise, sample_rate=RATE, **FRAMES), rtol=1e-5)
