"""Onsets and tempi against librosa, strengths against plain numpy, and p-values against what a p-value promises."""

import csv

import jax
import librosa
import numpy as np
import pytest
import scipy.stats

from mgen import audio
from mgen.metrics import onset, rhythm, tempo

RATE = 22_050
FRAMES_PER_MINUTE = 60 * RATE / 512


def clicks(bpm, *, seconds=4.0, noise=0.0, seed=0):
    """Decaying 1 kHz clicks and white noise of `noise` times their rms: 1 is 0 dB."""
    time = np.arange(int(seconds * RATE)) / RATE
    since = np.mod(time - 0.1, 60 / bpm)
    wave = np.sin(2 * np.pi * 1000 * since) * np.exp(-since / 0.01)
    wave *= 0.1 / np.sqrt(np.mean(wave**2))
    return (wave + np.random.default_rng(seed).normal(0, 0.1 * noise + 1e-9, time.shape)).astype(np.float32)


def white_noise(count, seed):
    return np.random.default_rng(seed).normal(0, 0.1, (count, 4 * RATE)).astype(np.float32)


def envelope_of(wave):
    return np.asarray(onset.onset_envelope(wave, sample_rate=RATE))


@pytest.mark.parametrize("lag, max_size", [(1, 1), (1, 3), (2, 4)])
def test_onsets_match_librosa(noise, lag, max_size):
    settings = dict(n_fft=1024, hop_length=300, lag=lag, max_size=max_size, n_mels=40, fmin=50.0, fmax=9000.0)
    ours = onset.onset_envelope(noise, sample_rate=RATE, center=True, **settings)
    theirs = np.stack([librosa.onset.onset_strength(y=wave, sr=RATE, **settings) for wave in noise])
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 * theirs.max())


def test_onsets_without_padding_match_librosa(noise):
    mel = librosa.feature.melspectrogram(y=noise[0], sr=RATE, center=False)
    theirs = librosa.onset.onset_strength(S=librosa.power_to_db(mel), sr=RATE, center=False)[1:]
    np.testing.assert_allclose(envelope_of(noise[0]), theirs, rtol=0, atol=2e-6 * theirs.max())


def test_a_step_of_20_decibels_is_an_onset_of_20():
    """Frames that do not overlap hold the same 512 samples, ten times louder from frame 20 on."""
    wave = np.tile(np.random.default_rng(0).normal(0, 0.01, 512), 40)
    wave[20 * 512 :] *= 10
    envelope = onset.onset_envelope(wave.astype(np.float32), sample_rate=RATE, n_fft=512, n_mels=20)
    expected = np.zeros(39)
    expected[19] = 20
    np.testing.assert_allclose(envelope, expected, atol=1e-4)


def test_onsets_of_a_batch_equal_those_of_its_items(noise):
    """librosa holds `top_db` against the peak of the whole batch, where the quiet item drowns."""
    wave = noise * np.float32([[3], [1], [1e-5]])
    together = envelope_of(wave[:, None])
    for item in range(3):
        np.testing.assert_allclose(together[item, 0], envelope_of(wave[item]), atol=1e-5)
    np.testing.assert_allclose(together[0, 0], envelope_of(noise[0]), atol=1e-4)


def strength_by_hand(envelope, lag):
    """Correlation with itself `lag` frames later, in float64."""
    centred = envelope.astype(np.float64) - np.mean(envelope, dtype=np.float64)
    early, late = centred[: len(centred) - lag], centred[lag:]
    return np.sum(early * late) / np.sqrt(np.sum(early**2) * np.sum(late**2))


@pytest.mark.parametrize("beats", [1, 3])
def test_strength_matches_plain_numpy(beats):
    envelope = np.random.default_rng(0).gamma(2, size=100).astype(np.float32)
    lag = 13.25
    parts = []
    for beat in range(1, beats + 1):
        whole, part = int(beat * lag), beat * lag % 1
        parts.append((1 - part) * strength_by_hand(envelope, whole) + part * strength_by_hand(envelope, whole + 1))
    ours = rhythm.rhythm_strength(envelope, FRAMES_PER_MINUTE / lag, sample_rate=RATE, beats=beats)
    np.testing.assert_allclose(ours, np.mean(parts), atol=1e-6)


def test_beats_beyond_half_the_clip_are_left_out():
    envelope = np.random.default_rng(0).gamma(2, size=100).astype(np.float32)
    settings = dict(bpm=FRAMES_PER_MINUTE / 24, sample_rate=RATE)
    three = rhythm.rhythm_strength(envelope, beats=3, **settings)
    np.testing.assert_allclose(three, rhythm.rhythm_strength(envelope, beats=2, **settings), rtol=1e-6)


def test_a_perfect_beat_is_1_and_its_opposite_is_minus_1():
    beat = np.tile(np.float32([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 20)
    np.testing.assert_allclose(rhythm.rhythm_strength(beat, FRAMES_PER_MINUTE / 10, sample_rate=RATE), 1, atol=1e-5)
    swing = np.cos(np.pi * np.arange(200) / 10)
    opposite = rhythm.rhythm_strength(swing, FRAMES_PER_MINUTE / 10, sample_rate=RATE, beats=1)
    np.testing.assert_allclose(opposite, -1, atol=0.01)  # the mean of a cut cosine is not quite 0


def test_strength_knows_the_tempo_and_gains_do_not_matter():
    bpm = np.array([70.0, 97.0, 120.0, 150.0])
    envelope = envelope_of(np.stack([clicks(tempo, noise=1.0) for tempo in bpm]))
    right = rhythm.rhythm_strength(envelope, bpm, sample_rate=RATE)
    wrong = rhythm.rhythm_strength(envelope, bpm * 1.27, sample_rate=RATE)  # no simple ratio
    assert np.min(right) > 0.7 and np.max(wrong) < 0.1
    one = rhythm.rhythm_strength(3 * envelope[1], 97.0, sample_rate=RATE)
    np.testing.assert_allclose(one, right[1], atol=1e-5)


@pytest.mark.parametrize("bpm", [63.0, 84.0, 97.0, 111.3, 120.0, 138.0, 160.0, 180.0])
def test_tempo_of_a_click_track(bpm):
    """Within 1.5 %, and within 4 % of librosa, whose step is 2 to 7 % here."""
    envelope = envelope_of(clicks(bpm, seconds=10, noise=0.3))
    ours = tempo.tempo(envelope, sample_rate=RATE)
    theirs = librosa.feature.tempo(onset_envelope=envelope, sr=RATE)[0]
    octave = 1 / 2 if bpm > 170 else 1  # 90 is nearer to 120 than 180 is, and both fit
    assert tempo.tempo_factor(ours, bpm, tolerance=0.015) == octave
    assert tempo.tempo_factor(theirs, ours.item()) == 1


def test_prior_moves_the_tempo_by_octaves():
    envelope = envelope_of(clicks(100, seconds=10))
    slow = tempo.tempo(envelope, sample_rate=RATE, start_bpm=50, std_bpm=0.5)
    np.testing.assert_allclose([slow, tempo.tempo(envelope, sample_rate=RATE)], [50, 100], rtol=0.01)


def test_tempo_factors():
    truth = np.full(9, 120.0)
    estimate = [120, 124.8, 115.2, 125, 240, 60, 360, 40, 80]
    np.testing.assert_array_equal(tempo.tempo_factor(estimate, truth), [1, 1, 1, 0, 2, 1 / 2, 3, 1 / 3, 0])
    assert tempo.tempo_accuracy(estimate, truth) == (3 / 9, 7 / 9)
    assert tempo.tempo_accuracy([np.nan, 100.0], [100.0, 100.0]) == (0.5, 0.5)


@pytest.fixture(scope="module")
def envelopes_of_noise():
    return np.concatenate([envelope_of(white_noise(50, seed)) for seed in range(3)])


@pytest.mark.parametrize("bpm", [None, 110.0])
def test_p_values_of_noise_are_uniform(bpm, envelopes_of_noise):
    """Kolmogorov-Smirnov at 1 %, and the small ones that decide: 95 % of binomial counts lie in 3..13 of 150."""
    settings = dict(rng=jax.random.key(0), sample_rate=RATE, bpm=bpm, surrogates=199)
    p_values = rhythm.rhythm_test(envelopes_of_noise, **settings).p_value
    assert scipy.stats.kstest(np.asarray(p_values, np.float64), "uniform").pvalue > 0.01
    low, high = scipy.stats.binom.interval(0.95, 150, 0.05)
    assert low <= np.sum(p_values <= 0.05) <= high


def test_clicks_in_as_much_noise_are_rhythm():
    tempi = np.array([75.0, 97.0, 126.0, 160.0])
    envelope = envelope_of(
        np.concatenate([[clicks(t, noise=1.0, seed=i) for i, t in enumerate(tempi)], white_noise(4, 9)])
    )
    key = jax.random.key(0)
    known = rhythm.rhythm_test(envelope, rng=key, sample_rate=RATE, bpm=np.tile(tempi, 2), surrogates=199)
    searched = rhythm.rhythm_test(envelope, rng=key, sample_rate=RATE, surrogates=199)
    for found in (known, searched):
        assert np.max(found.p_value[:4]) < 0.01 < np.min(found.p_value[4:])
        assert np.min(found.strength[:4]) > 3 * np.max(found.strength[4:])
        np.testing.assert_allclose(np.min(found.p_value), 1 / 200, rtol=1e-6)  # never zero
    np.testing.assert_allclose(
        known.strength, rhythm.rhythm_strength(envelope, np.tile(tempi, 2), sample_rate=RATE), atol=1e-6
    )


def test_items_are_tested_alone():
    envelope = envelope_of(white_noise(4, 0)).reshape(2, 2, -1)
    together = rhythm.rhythm_test(envelope, rng=jax.random.key(3), sample_rate=RATE, surrogates=199)
    assert together.p_value.shape == (2, 2)
    one_less = envelope.copy()
    one_less[0, 0] = 0
    alone = rhythm.rhythm_test(one_less, rng=jax.random.key(3), sample_rate=RATE, surrogates=199)
    np.testing.assert_array_equal(together.p_value.ravel()[1:], alone.p_value.ravel()[1:])


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_nothing_has_no_rhythm(level):
    envelope = np.full((4, 168), level, np.float32)
    assert np.all(rhythm.rhythm_strength(envelope, 120, sample_rate=RATE) == 0)
    assert np.all(np.isnan(tempo.tempo(envelope, sample_rate=RATE)))
    found = rhythm.rhythm_test(envelope, rng=jax.random.key(0), sample_rate=RATE, surrogates=199)
    assert np.all(found.strength == 0) and np.all(found.p_value == 1)
    assert np.all(envelope_of(np.zeros(RATE, np.float32)) == 0)


def test_real_loops_and_real_rain(real_audio):
    with (real_audio / "loops" / "loops.csv").open() as file:
        truth = {row["file"]: float(row["bpm"]) for row in csv.DictReader(file)}
    steady = ("loop_compus.flac", "loop_garzul.flac", "arovane_beat_c.flac", "conga_loop_110.mp3")
    rain = ("rain.ogg", "waves.ogg", "wind.ogg", "fireplace.ogg", "esc10_rain_1-50060-a.ogg")
    paths = [real_audio / "loops" / name for name in steady] + [real_audio / "ambience" / name for name in rain]
    envelope = envelope_of(np.stack([audio.read(path, sample_rate=RATE, duration_s=4) for path in paths]))
    estimates = tempo.tempo(envelope[:4], sample_rate=RATE)
    assert tempo.tempo_accuracy(estimates, [truth[name] for name in steady]).accuracy2 == 1
    found = rhythm.rhythm_test(envelope, rng=jax.random.key(0), sample_rate=RATE, surrogates=199)
    assert np.max(found.p_value[:4]) <= 0.01 and np.min(found.p_value[4:]) > 0.05


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda e: onset.onset_envelope(e, sample_rate=RATE, lag=0), "lag=0: expected a number above zero"),
        (lambda e: onset.onset_envelope(e, sample_rate=RATE, max_size=0), "max_size=0: expected a number above zero"),
        (lambda e: onset.onset_envelope(e, sample_rate=RATE, top_db=-1), "top_db=-1: expected a number above zero"),
        (lambda e: onset.onset_envelope(np.zeros(2048, "f"), sample_rate=RATE), "1 frames are too few for lag=1"),
        (lambda e: rhythm.rhythm_strength(e, 0, sample_rate=RATE), r"bpm=\[0.\]: a clip of 100 frames"),
        (lambda e: rhythm.rhythm_strength(e, 40, sample_rate=RATE), r"bpm=\[40.\]: .*shows 51.68 to 1292 BPM; give a"),
        (lambda e: rhythm.rhythm_strength(e, 1300, sample_rate=RATE), "a smaller hop for faster"),
        (lambda e: rhythm.rhythm_strength(e, 120, sample_rate=RATE, beats=0), "beats=0: expected at least 1"),
        (lambda e: rhythm.rhythm_test(e * np.nan, rng=jax.random.key(0), sample_rate=RATE), "holds NaN or infinity"),
        (lambda e: rhythm.rhythm_strength(e[:3], 120, sample_rate=RATE), r"at least 4 frames, got \(3,\)"),
        (lambda e: tempo.tempo(e, sample_rate=RATE, std_bpm=0), "std_bpm=0: expected numbers above zero"),
        (lambda e: tempo.tempo(e, sample_rate=RATE, min_tempo=9, max_tempo=5), "expected 0 < min_tempo < max_tempo"),
        (lambda e: tempo.tempo(e, sample_rate=RATE, max_tempo=50), "max_tempo=50: a clip of 100 frames .* longer clip"),
        (lambda e: rhythm.rhythm_test(e, rng=jax.random.key(0), sample_rate=RATE, order=50), "order=50: expected"),
        (lambda e: rhythm.rhythm_test(e, rng=jax.random.key(0), sample_rate=RATE, surrogates=0), "surrogates=0, order"),
        (lambda e: tempo.tempo_factor([1.0, 2.0], [1.0]), r"two equal shapes, got \(2,\) and \(1,\)"),
        (lambda e: tempo.tempo_factor([1.0], [0.0]), "truth: expected tempi above zero, got 0.0"),
        (lambda e: tempo.tempo_factor([1.0], [1.0], tolerance=0.3), "tolerance=0.3: expected 0 to 0.2"),
        (lambda e: tempo.tempo_accuracy([], []), "expected at least 1 tempo, got none"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones(100, np.float32))
