"""Distances between spectra: formulas written out in float64 on librosa's transforms, and answers known by hand."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from mgen.metrics import mel, spectral

RATE = 22_050
FRAMES = dict(n_fft=1024, hop_length=256)
MEL = dict(sample_rate=RATE, n_mels=64, **FRAMES)
DISTANCES = {
    "convergence": lambda *waves: spectral.spectral_convergence_db(*waves, **FRAMES),
    "log spectral": lambda *waves: spectral.log_spectral_distance(*waves, **FRAMES),
    "multi resolution": lambda *waves: spectral.multi_resolution_stft_distance(*waves, n_ffts=(1024, 512)),
    "mel": lambda *waves: mel.mel_distance(*waves, **MEL),
    "mfcc": lambda *waves: mel.mfcc_distance(*waves, **MEL),
}
PERFECT = {"convergence": -130.0}  # or less: what is below is the rounding of two transforms
everything = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)


def magnitude(wave, n_fft=1024, hop_length=256):
    return np.abs(librosa.stft(wave.astype(np.float64), n_fft=n_fft, hop_length=hop_length))


def decibels(power, largest, floor_db):
    return np.maximum(10 * np.log10(np.maximum(power, 1e-300) / max(largest, 1e-10)), floor_db)


@pytest.fixture
def pair(noise):
    """An estimate that is loud, quiet and another sound beside the same target, [3, 22050] each; a fading tone."""
    time = np.arange(22_050) / RATE
    target = np.float32(0.5 * np.sin(2 * np.pi * 440 * time) * np.exp(-6 * time)) + 0.001 * noise
    return (target * np.float32([[2], [0.1], [1]]) + noise * np.float32([[0.1], [0.01], [2]])).astype(
        np.float32
    ), target


def test_convergence_is_its_formula(pair):
    for ours, estimate, target in zip(DISTANCES["convergence"](*pair), *pair, strict=True):
        estimate, target = magnitude(estimate), magnitude(target)
        theirs = 20 * np.log10(np.linalg.norm(estimate - target) / np.linalg.norm(target))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("gain, answer", [(0.0, 0.0), (2.0, 0.0), (1.1, -20.0), (0.99, -40.0), (-0.99, -40.0)])
def test_convergence_of_a_gain(noise, gain, answer):
    ours = DISTANCES["convergence"](np.float32(gain) * noise, noise)
    np.testing.assert_allclose(ours, answer, rtol=0, atol=1e-3)


@pytest.mark.parametrize("floor_db", [-80.0, -40.0])
def test_log_spectral_distance_is_its_formula(pair, floor_db):
    ours = spectral.log_spectral_distance(*pair, floor_db=floor_db, **FRAMES)
    for value, estimate, target in zip(ours, *pair, strict=True):
        powers = magnitude(estimate) ** 2, magnitude(target) ** 2
        levels = [decibels(power, powers[1].max(), floor_db) for power in powers]
        theirs = np.mean(np.sqrt(np.mean((levels[0] - levels[1]) ** 2, axis=0)))
        np.testing.assert_allclose(value, theirs, rtol=1e-4)


def test_multi_resolution_is_its_formula(pair):
    for ours, estimate, target in zip(DISTANCES["multi resolution"](*pair), *pair, strict=True):
        theirs = []
        for n_fft in (1024, 512):
            a, b = magnitude(estimate, n_fft, n_fft // 4), magnitude(target, n_fft, n_fft // 4)
            logs = [np.maximum(np.log(np.maximum(values, 1e-150)), np.log(b.max() * 1e-4)) for values in (a, b)]
            theirs.append(np.linalg.norm(a - b) / np.linalg.norm(b) + np.mean(np.abs(logs[0] - logs[1])))
        np.testing.assert_allclose(ours, np.mean(theirs), rtol=1e-4)


def test_mel_distance_is_its_formula(pair):
    for ours, estimate, target in zip(DISTANCES["mel"](*pair), *pair, strict=True):
        settings = dict(sr=RATE, n_mels=64, **FRAMES)
        powers = [librosa.feature.melspectrogram(y=wave.astype(np.float64), **settings) for wave in (estimate, target)]
        levels = [decibels(power, powers[1].max(), -80.0) for power in powers]
        np.testing.assert_allclose(ours, np.mean(np.abs(levels[0] - levels[1])), rtol=1e-4)


@pytest.mark.parametrize("name", ["log spectral", "mel"])
@given(gain_db=st.floats(-20, 20))
def test_a_gain_is_a_distance_of_its_decibels(name, gain_db):
    noise = np.random.default_rng(0).normal(0, 0.1, 4096).astype(np.float32)  # no bin of it is 60 dB below the others
    ours = DISTANCES[name](np.float32(10 ** (gain_db / 20)) * noise, noise)
    np.testing.assert_allclose(ours, abs(gain_db), rtol=1e-3, atol=1e-4)


def test_multi_resolution_of_a_gain(noise):
    ours = DISTANCES["multi resolution"](3 * noise, noise)
    np.testing.assert_allclose(ours, 2 + np.log(3), rtol=1e-4)


@pytest.mark.parametrize("n_mfcc", [1, 20, 64])
def test_mfcc_matches_librosa(pair, n_mfcc):
    for wave in (*pair[0], *pair[1]):
        ours = mel.mfcc(wave, n_mfcc=n_mfcc, **MEL)
        theirs = librosa.feature.mfcc(y=wave, sr=RATE, n_mels=64, n_mfcc=n_mfcc, **FRAMES).T
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_mfcc_distance_is_that_of_kubichek(pair):
    for ours, *waves in zip(DISTANCES["mfcc"](*pair), *pair, strict=True):
        cepstra = []
        for wave in waves:
            power = librosa.feature.melspectrogram(y=wave.astype(np.float64), sr=RATE, n_mels=64, **FRAMES)
            power = np.maximum(power, 1e-10)
            # The cosine series of the natural logarithm: scipy's plain DCT-II is twice the sum.
            cepstra.append(scipy.fft.dct(np.log(np.maximum(power, power.max() * 1e-8)), type=2, axis=0) / 2 / 64)
        difference = (cepstra[0] - cepstra[1])[1:20]
        theirs = np.mean(10 / np.log(10) * np.sqrt(2 * np.sum(difference**2, axis=0)))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_mfcc_distance_hears_shape_and_no_level(noise):
    np.testing.assert_allclose(DISTANCES["mfcc"](0.3 * noise, noise), 0, atol=1e-4)
    darker = np.float32(scipy.signal.lfilter([0.3], [1, -0.7], noise))
    assert np.all(DISTANCES["mfcc"](darker, noise) > 3)


@everything
def test_nearer_is_less(noise, distance):
    hidden = np.random.default_rng(1).normal(0, 0.1, noise.shape).astype(np.float32)
    values = np.array([distance(noise + np.float32(level) * hidden, noise) for level in (1, 0.3, 0.1, 0.03)])
    assert np.all(np.diff(values, axis=0) < 0)


@everything
def test_batch_equals_items(pair, distance):
    estimate, target = (np.stack([wave, 1e-3 * wave]) for wave in pair)  # [2, 3, samples]: a thousandth as loud
    together = distance(estimate, target)
    assert together.shape == (2, 3) and together.dtype == jnp.float32
    for half in range(2):
        np.testing.assert_allclose(together[half], distance(estimate[half], target[half]), rtol=1e-5, atol=1e-5)
        swapped = distance(estimate[half, ::-1], target[half, ::-1])
        np.testing.assert_allclose(together[half], swapped[::-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", DISTANCES)
def test_silence_and_constants(noise, name):
    distance, best = DISTANCES[name], PERFECT.get(name, 0.0)
    silent, constant, sound = np.zeros(4096, np.float32), np.full(4096, 0.5, np.float32), noise[0, :4096]
    values = distance(np.stack([silent, constant, silent, sound]), np.stack([silent, constant, sound, silent]))
    assert np.all(values[:2] <= best + 1e-5) and np.all(values[2:] > best + 0.9) and np.all(np.isfinite(values))
    if name == "convergence":
        np.testing.assert_allclose(values[2], 0, atol=1e-3)
        assert values[3] > 100
    shortest = distance(noise[0, :513], noise[1, :513])
    assert shortest.shape == () and np.isfinite(shortest) and shortest > best + 0.9


def test_sixty_four_clips_of_four_seconds():
    waves = np.random.default_rng(0).normal(0, 0.1, (2, 64, 4 * RATE)).astype(np.float32)
    values = spectral.multi_resolution_stft_distance(*waves)
    assert values.shape == (64,)
    np.testing.assert_allclose(values, np.mean(values), rtol=0.1)  # independent noise is equally far everywhere


@everything
def test_refusals_of_all(noise, distance):
    with pytest.raises(ValueError, match=r"expected two equal shapes, got \(3, 22050\) and \(22050,\)"):
        distance(noise, noise[0])
    with pytest.raises(ValueError, match="300 samples are too few for n_fft=1024 .*; give at least 513 samples"):
        distance(noise[:, :300], noise[:, :300])
    broken = noise.copy()
    broken[1, 7] = np.nan
    with pytest.raises(ValueError, match=r"estimate: holds NaN or infinity in 1 of 3 clips, first \(1,\)"):
        distance(broken, noise)
    with pytest.raises(ValueError, match="target: holds NaN"):
        distance(noise, broken)
    # Traced values cannot be looked at: the broken clip has no number, and the others keep theirs.
    traced = jax.jit(distance)(noise, broken)
    np.testing.assert_array_equal(np.isnan(traced), [False, True, False])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda *w: spectral.log_spectral_distance(*w, floor_db=0), "floor_db=0: expected a number below 0, dB under"),
        (lambda *w: mel.mel_distance(*w, sample_rate=RATE, floor_db=6), "floor_db=6: expected a number below 0"),
        (lambda *w: spectral.log_spectral_distance(*w, floor_db=-900), "floor_db=-900: float32 holds no such small"),
        (
            lambda *w: spectral.multi_resolution_stft_distance(*w, n_ffts=()),
            r"n_ffts=\(\): expected at least one length",
        ),
        (lambda *w: mel.mfcc_distance(*w, sample_rate=RATE, n_mfcc=1), "n_mfcc=1: expected at least 2, the first is"),
        (
            lambda *w: mel.mfcc_distance(*w, sample_rate=RATE, n_mfcc=99, n_mels=64),
            "n_mfcc=99: expected 1 to n_mels=64",
        ),
        (
            lambda *w: mel.mfcc(w[0], sample_rate=RATE, n_mfcc=0),
            "n_mfcc=0: expected 1 to n_mels=128; 13 and 20 are usual",
        ),
        (lambda *w: mel.mfcc(w[0], sample_rate=RATE, top_db=0), "top_db=0: expected a number above zero; 80 is usual"),
    ],
)
def test_refusals_of_settings(noise, call, message):
    with pytest.raises(ValueError, match=message):
        call(noise, noise)
