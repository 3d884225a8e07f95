"""Loudness against the standard's tables and the broadcasters' test signals; clipping and silence counted by hand."""

import jax
import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from mgen import audio
from mgen.metrics import defects
from mgen.metrics.loudness import k_weighting, loudness

# ITU-R BS.1770-4, tables 1 and 2, at 48 kHz.
SHELF = [1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585]
HIGH_PASS = [1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621]


def tone(seconds, level_db, sample_rate=48_000, frequency=1000.0):
    """Sine whose peak is level_db below full scale."""
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * sample_rate)) / sample_rate)


def by_recursion(wave):
    """Integrated loudness at 48 kHz, sample by sample and block by block, in float64."""
    weighted = scipy.signal.lfilter(*HIGH_PASS, scipy.signal.lfilter(*SHELF, wave.astype(np.float64)))
    blocks = [weighted[start : start + 19_200] for start in range(0, len(weighted) - 19_200 + 1, 4800)]
    energy = np.array([np.mean(block**2) for block in blocks])
    level = -0.691 + 10 * np.log10(energy)
    heard = energy[level > -70]
    relative = -0.691 + 10 * np.log10(np.mean(heard)) - 10
    return -0.691 + 10 * np.log10(np.mean(energy[(level > -70) & (level > relative)]))


def test_weighting_is_that_of_the_tables():
    frequency = np.array([1.0, 20, 38, 100, 1000, 1682, 5000, 20_000])
    theirs = np.prod([scipy.signal.freqz(*section, frequency, fs=48_000)[1] for section in (SHELF, HIGH_PASS)], axis=0)
    np.testing.assert_allclose(k_weighting(frequency), theirs, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(k_weighting(np.array([30_000.0])), k_weighting(np.array([24_000.0])))


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_full_scale_sine(sample_rate):
    """The standard: a sine of 997 Hz at full scale in one channel reads -3.01."""
    ours = loudness(tone(2, 0, sample_rate, 997).astype(np.float32), sample_rate=sample_rate)
    np.testing.assert_allclose(ours, -3.01, rtol=0, atol=0.005)


# EBU Tech 3341, minimum requirements, integrated loudness of stereo tones of 1 kHz: (seconds, dBFS)... They are -23
# within 0.1 LU (case 2: -33). A mono tone is the sum of two equal channels at 3.01 dB less each.
CASES = {
    "1": ([(20, -23.0)], -23.0),
    "2": ([(20, -33.0)], -33.0),
    "3": ([(10, -36.0), (60, -23.0), (10, -36.0)], -23.0),
    "4": ([(10, -72.0), (10, -36.0), (60, -23.0), (10, -36.0), (10, -72.0)], -23.0),
    "5": ([(20, -26.0), (20.1, -20.0), (20, -26.0)], -23.0),
}


@pytest.mark.parametrize("segments, answer", CASES.values(), ids=CASES)
def test_signals_of_the_ebu(segments, answer):
    wave = np.concatenate([tone(seconds, level + 3.01) for seconds, level in segments]).astype(np.float32)
    np.testing.assert_allclose(loudness(wave, sample_rate=48_000), answer, rtol=0, atol=0.1)


@pytest.mark.parametrize("name", ["music/galway_mp3.mp3", "notes/grand_piano_036.mp3", "ambience/rain.ogg"])
def test_real_sounds_by_recursion(real_audio, name):
    wave = audio.read(real_audio / name, sample_rate=48_000, duration_s=8.0)
    np.testing.assert_allclose(loudness(wave, sample_rate=48_000), by_recursion(wave), rtol=0, atol=1e-3)
    # At the rate of models, against the tables at theirs: resampled by its Fourier series, which loses nothing.
    lower = audio.read(real_audio / name, sample_rate=22_050, duration_s=8.0)
    higher = scipy.signal.resample(lower.astype(np.float64), round(len(lower) * 48_000 / 22_050))
    np.testing.assert_allclose(loudness(lower, sample_rate=22_050), by_recursion(higher), rtol=0, atol=0.02)


def test_gates_leave_out_what_is_quiet(noise):
    wave = np.concatenate([noise[0], 0.01 * noise[1], 1e-5 * noise[2]]).astype(np.float32)
    for part in (wave, wave[:44_100], wave[:30_000]):
        np.testing.assert_allclose(loudness(part, sample_rate=48_000), by_recursion(part), rtol=0, atol=1e-3)
    # About -68 and then -74 LUFS: nearer than the relative gate, but one is below the absolute one.
    faint = np.concatenate([0.003 * noise[0], 0.0015 * noise[1], 0.0015 * noise[2]]).astype(np.float32)
    np.testing.assert_allclose(loudness(faint, sample_rate=48_000), by_recursion(faint), rtol=0, atol=1e-3)
    assert loudness(faint[:22_050], sample_rate=48_000) > -69 and loudness(faint[22_050:], sample_rate=48_000) == -70


@given(gain_db=st.floats(-40, 40), seed=st.integers(0, 1000))
def test_a_gain_is_as_many_units(gain_db, seed):
    wave = np.random.default_rng(seed).normal(0, 0.1, 22_050).astype(np.float32)
    louder = loudness(np.float32(10 ** (gain_db / 20)) * wave, sample_rate=22_050)
    np.testing.assert_allclose(louder - loudness(wave, sample_rate=22_050), gain_db, rtol=0, atol=1e-3)


def test_silence_and_batches(noise):
    clips = np.stack([noise, 0.01 * noise, 0 * noise, 0 * noise + 0.5]).astype(np.float32)
    together = loudness(clips, sample_rate=22_050)
    assert together.shape == (4, 3)
    np.testing.assert_array_equal(together[2], -70)
    for row in range(4):
        np.testing.assert_allclose(together[row, 1], loudness(clips[row, 1], sample_rate=22_050), rtol=1e-5)
    assert np.all(together[3] > -70) and np.all(together[3] < -6)  # a constant is a step, which passes the weighting


def test_loudness_refusals(noise):
    with pytest.raises(
        ValueError, match="8819 samples are too few; loudness is measured over blocks of 0.4 s, give at"
    ):
        loudness(noise[0, :8819], sample_rate=22_050)
    assert np.isfinite(loudness(noise[0, :8820], sample_rate=22_050))
    with pytest.raises(ValueError, match="sample_rate=0: expected Hz above zero; 22050 and 48000 are usual"):
        loudness(noise, sample_rate=0)
    with pytest.raises(ValueError, match="wave: holds NaN or infinity in 3 of 3 clips"):
        loudness(noise * np.inf, sample_rate=22_050)
    broken = jax.jit(lambda wave: loudness(wave, sample_rate=22_050))(noise * np.float32([[1], [np.nan], [1]]))
    np.testing.assert_array_equal(np.isnan(broken), [False, True, False])


def test_clipping_is_a_share_of_samples():
    wave = np.zeros((4, 100), np.float32)
    wave[0, :7], wave[1, 3], wave[2, :5], wave[3, :2] = 1.0, -1.0, 0.99, 1.5
    np.testing.assert_allclose(defects.clipping(wave), [0.07, 0.01, 0, 0.02], rtol=1e-6)
    np.testing.assert_allclose(defects.clipping(wave, full_scale=0.99), [0.07, 0.01, 0.05, 0.02], rtol=1e-6)
    sixteen_bits = (np.array([32767, -32768, 32766, 0]) / 32768).astype(np.float32)
    np.testing.assert_allclose(defects.clipping(sixteen_bits), 0.5)


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_a_sine_cut_at_half_its_height(gain):
    """Two thirds of its samples are beyond sin(30 degrees)."""
    wave = (gain * np.clip(2 * np.sin(0.0123 * np.arange(50_000)), -1, 1)).astype(np.float32)
    np.testing.assert_allclose(defects.flat_tops(wave), 2 / 3, rtol=0, atol=1e-3)
    np.testing.assert_allclose(defects.clipping(wave), 2 / 3 if gain == 1 else 0, rtol=0, atol=1e-3)
    whole = (gain * np.sin(0.0123 * np.arange(50_000))).astype(np.float32)
    assert defects.flat_tops(whole) == 0


def test_flat_tops_are_runs_at_the_extremes():
    wave = np.float32([[0, 1, 1, 1, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, 0], [-2, -2, -2, -2, 0, 0, 0, 0, 0, 1, 1, -2]])
    np.testing.assert_allclose(defects.flat_tops(wave), [3 / 12, 4 / 12], rtol=1e-6)
    np.testing.assert_allclose(defects.flat_tops(wave, run=2), [5 / 12, 6 / 12], rtol=1e-6)
    np.testing.assert_allclose(defects.flat_tops(wave, run=4), [0, 4 / 12], rtol=1e-6)
    np.testing.assert_array_equal(defects.flat_tops(np.float32([[0.5], [0]] * np.ones(9, np.float32))), [1, 0])
    assert defects.flat_tops(np.float32([0.5])) == 0  # one sample is no run
    assert defects.clipping(np.float32([1.0])) == 1


def test_silence_is_a_share_of_frames():
    wave = np.zeros((2, 10 * 512), np.float32)
    wave[0, 6 * 512 :] = 0.1  # frames of four hops start at hops 0..6, and those from 3 on meet the sound
    np.testing.assert_allclose(defects.silence(wave), [3 / 7, 1], rtol=1e-6)
    np.testing.assert_allclose(defects.silence(wave, frame_length=500, hop_length=300)[1], 1)
    full = np.sin(2 * np.pi * np.arange(4096) / 64).astype(np.float32)
    assert defects.silence(full, threshold_db=-3.0) == 1 and defects.silence(full, threshold_db=-3.02) == 0
    assert defects.silence(wave[1, :2048], threshold_db=-370) == 1  # one frame


def test_silence_matches_plain_frames(noise):
    wave = noise * np.linspace(0, 1, noise.shape[1], dtype=np.float32) ** 3
    ours = defects.silence(wave, frame_length=700, hop_length=300, threshold_db=-40)
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), 700, axis=-1)[:, ::300]
    np.testing.assert_allclose(ours, np.mean(np.mean(frames**2, axis=-1) < 1e-4, axis=-1), rtol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda wave: defects.clipping(wave, full_scale=0),
            "full_scale=0: expected a number above zero; 1 is full scale",
        ),
        (lambda wave: defects.flat_tops(wave, run=1), "run=1: expected at least 2 samples; 3 is usual"),
        (
            lambda wave: defects.silence(wave, hop_length=0),
            "frame_length=2048, hop_length=0: expected at least 1 sample each",
        ),
        (
            lambda wave: defects.silence(wave, threshold_db=-500),
            "threshold_db=-500: expected -370 or more; -60 is usual",
        ),
        (lambda wave: defects.silence(wave[:, :999]), "wave: 999 samples are too few; give at least 2048, or smaller"),
        (lambda wave: defects.clipping(wave / 0 * 0), "wave: holds NaN or infinity in 3 of 3 clips"),
    ],
)
def test_defect_refusals(noise, call, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        call(noise)


@pytest.mark.parametrize("measure", [defects.clipping, defects.flat_tops, defects.silence])
def test_defects_of_batches_and_of_what_is_broken(noise, measure):
    clips = np.clip(20 * np.stack([noise, noise / 100]), -1, 1).astype(np.float32)
    clips[0, 0, :9000] = 0
    together = measure(clips)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(together[index], measure(clips[index]), rtol=1e-6)
    clips[1, 2, 5] = np.nan
    broken = jax.jit(measure)(clips)
    np.testing.assert_array_equal(np.isnan(broken), [[False] * 3, [False, False, True]])
