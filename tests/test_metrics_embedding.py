"""The embedding against librosa and by hand, and what it can and cannot hear."""

import jax
import librosa
import numpy as np
import pytest

from mgen import audio
from mgen.metrics import embedding

RATE = 22_050


def test_statistics_are_those_of_librosas_spectrogram(noise):
    wave = noise * np.linspace(0, 3, noise.shape[1], dtype=np.float32)
    settings = dict(n_fft=1024, hop_length=256, n_mels=12, fmin=50.0, fmax=9000.0)
    ours = embedding.embed(wave, sample_rate=RATE, floor_db=-50.0, **settings)
    assert ours.dtype == np.float32 and ours.shape == (3, 36)
    mel = librosa.feature.melspectrogram(y=wave.astype(np.float64), sr=RATE, center=False, **settings)
    decibels = librosa.power_to_db(mel, amin=1e-5, top_db=None)
    by_hand = [
        (np.mean(decibels, axis=-1) + 20) / 15,
        (np.std(decibels, axis=-1) - 8) / 5,
        (np.std(np.diff(decibels, axis=-1), axis=-1) - 3.5) / 2,
    ]
    # 1e-4 of a unit is 1.5 thousandths of a decibel; float32 power near the floor is the least exact.
    np.testing.assert_allclose(ours, np.concatenate(by_hand, axis=-1), atol=1e-4)


def test_a_gain_moves_the_means_alone(noise):
    quiet, loud = (np.asarray(embedding.embed(gain * noise, sample_rate=RATE)) for gain in (np.float32(0.1), 1))
    np.testing.assert_allclose(loud[:, :20] - quiet[:, :20], 20 / 15, atol=1e-4)
    np.testing.assert_allclose(loud[:, 20:], quiet[:, 20:], atol=1e-4)


def test_silence_is_a_fixed_point_and_one_clip_needs_no_batch(noise):
    silence = embedding.embed(np.zeros(RATE, np.float32), sample_rate=RATE)
    np.testing.assert_allclose(silence, np.repeat([-4, -1.6, -1.75], 20), rtol=1e-6)
    together = embedding.embed(noise[None] * np.float32([[1], [10], [0.01]]), sample_rate=RATE)
    assert together.shape == (1, 3, 60)
    np.testing.assert_allclose(together[0, 2], embedding.embed(noise[2] * 0.01, sample_rate=RATE), atol=1e-4)


def test_steadiness_and_liveliness_are_heard():
    """A steady tone moves little, one that beats 4 times a second moves much, one that beats 16 times moves faster."""
    time = np.arange(2 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 1000 * time)
    beats = [tone, *(tone * (1.02 + np.cos(2 * np.pi * rate * time)) for rate in (2, 8))]
    found = np.asarray(embedding.embed(np.stack(beats).astype(np.float32), sample_rate=RATE)).reshape(3, 3, 20)
    loudest = np.argmax(found[0, 0])
    deviation, change = found[:, 1, loudest], found[:, 2, loudest]
    assert deviation[0] < -1.5 < 0 < deviation[1] and change[0] < -1.7 < change[1] < change[2]


def test_music_spreads_by_about_one(real_audio):
    """The fixed numbers fit: over clips of real music each statistic has a middle near 0 and a spread near 1."""
    names = sorted(path.name for path in (real_audio / "music").iterdir() if not path.name.startswith("galway"))
    clips = [audio.read(real_audio / "music" / name, sample_rate=RATE, start_s=2, duration_s=4) for name in names]
    found = np.asarray(embedding.embed(np.stack(clips), sample_rate=RATE)).reshape(len(clips), 3, 20)
    assert np.all(np.abs(np.mean(found, axis=(0, 2))) < 0.7)
    spread = np.mean(np.std(found, axis=0), axis=-1)
    assert np.all((spread > 0.5) & (spread < 1.6)), spread


def test_gradient_is_finite_where_there_is_sound(noise):
    gradient = jax.grad(lambda wave: np.sum(embedding.embed(wave, sample_rate=RATE)))(noise[0])
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)


@pytest.mark.parametrize(
    "samples, settings, message",
    [
        (2048, {}, "wave: 1 frame of n_fft=2048 has no change; give 2560 samples or more"),
        (2000, {}, "2000 samples are too few for n_fft=2048"),
        (RATE, dict(n_mels=0), "n_mels=0: expected at least 1"),
        (RATE, dict(floor_db=-1000.0), "float32 holds no such small number"),
    ],
)
def test_refusals(samples, settings, message):
    with pytest.raises(ValueError, match=message):
        embedding.embed(np.zeros(samples, np.float32), sample_rate=RATE, **settings)
