"""Noise in a tone, and its vibrato, both put there by hand."""

import numpy as np
import pytest

from mgen.metrics import pitch, tone

RATE = 22_050
PARTIALS = [1 / number for number in range(1, 20)]


def wave_of(midi, seconds=4.0, rate=6.0, extent=0.0, glide=0.0):
    """Saw-like wave whose pitch, in semitones, wavers by extent / 100 and moves by `glide` in all."""
    time = np.arange(round(seconds * RATE)) / RATE
    course = midi + extent / 100 * np.sin(2 * np.pi * rate * time + 1) + glide * (time / seconds - 0.5)
    hertz = 440 * 2 ** ((course - 69) / 12)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    below = [number for number in range(1, 20) if number * hertz.max() < 0.49 * RATE]
    wave = sum(PARTIALS[number - 1] * np.sin(number * phase) for number in below)
    return (0.2 * wave / np.sqrt(np.mean(wave**2))).astype(np.float32)


def track_of(waves, **settings):
    """Track of up to six waves, silence behind them, so that the tests share what is compiled: [clips, frames]."""
    waves = np.asarray(waves, np.float32)
    filled = np.pad(waves, ((0, 6 - len(waves)), (0, 0)))
    track = pitch.fundamental_frequency(filled, sample_rate=RATE, **settings)
    return pitch.PitchTrack(*(values[: len(waves)] for values in track))


@pytest.mark.parametrize("snr_db, within", [(0, 0.7), (10, 0.4), (20, 0.3), (30, 0.3)])
def test_noise_is_measured(snr_db, within):
    """The ratio of signal to noise, by definition; the best of many lags flatters what is mostly noise."""
    clean = np.stack([wave_of(midi) for midi in (36, 48, 60, 72, 84, 96)])
    noise = np.random.default_rng(0).normal(0, 0.2 * 10 ** (-snr_db / 20), clean.shape)
    ours = tone.harmonic_to_noise_db(track_of(clean + noise))
    np.testing.assert_allclose(ours, snr_db, rtol=0, atol=within)


def test_what_is_no_noise():
    steady, seconds = wave_of(57), np.arange(4 * RATE) / RATE
    cut = steady * (seconds < 2)  # four of its 86 frames meet the end, and do not repeat
    ours = tone.harmonic_to_noise_db(track_of([steady, 0.01 * steady, steady * np.exp(-4 * seconds), cut]))
    np.testing.assert_allclose(ours[:2], 40, rtol=0, atol=0.5)  # the limit
    assert ours[2] > 35  # fades by 35 dB a second, like a plucked string
    np.testing.assert_allclose(ours[3], ours[0], rtol=0, atol=2)


def test_noise_and_silence(noise):
    waves = np.stack([np.tile(noise[0], 4)[: 4 * RATE], np.zeros(4 * RATE)])
    ours = tone.harmonic_to_noise_db(track_of(waves))
    assert -13 < ours[0] < -9 and np.isnan(ours[1])


@pytest.mark.parametrize("midi", [36, 60, 84])
def test_vibrato_is_measured(midi):
    rates, extents = np.array([4, 5.5, 6.5, 8, 3, 9.5]), np.array([30, 50, 70, 20, 100, 40])
    track = track_of([wave_of(midi, rate=rate, extent=extent) for rate, extent in zip(rates, extents, strict=True)])
    ours = tone.vibrato(track, sample_rate=RATE)
    np.testing.assert_allclose(ours.rate, rates, rtol=0, atol=0.1)
    # Within a twentieth: the smoothing that is given back is exact for small extents only.
    np.testing.assert_allclose(ours.extent, extents, rtol=0.06, atol=0.5)
    assert np.all(ours.share > 0.9)


def test_a_straight_tone_and_a_glide_have_none():
    ours = tone.vibrato(track_of([wave_of(60), wave_of(60, glide=3)]), sample_rate=RATE)
    assert np.all(ours.extent < 1) and np.all(ours.share < 0.3)


def test_vibrato_on_a_glide_and_between_rests():
    glide = wave_of(60, rate=6, extent=50, glide=4)
    rested = wave_of(60, rate=6, extent=50)
    rested[RATE : 3 * RATE // 2] = 0
    rested[: RATE // 4] = 0
    noisy = wave_of(60, rate=6, extent=50) + np.random.default_rng(0).normal(0, 0.06, 4 * RATE)  # 10 dB
    ours = tone.vibrato(track_of([glide, rested, noisy]), sample_rate=RATE)
    np.testing.assert_allclose(ours.rate, 6, rtol=0, atol=0.1)
    np.testing.assert_allclose(ours.extent, 50, rtol=0.1)


def test_other_settings_and_batches():
    waves = np.stack([wave_of(midi, 2.0, rate=5, extent=40) for midi in (48, 55, 62, 70)])
    settings = dict(hop_length=256, win_length=2048)
    track = track_of(waves, **settings)
    flat = tone.vibrato(track, sample_rate=RATE, rate_max=7, **settings)
    np.testing.assert_allclose(flat.rate, 5, rtol=0, atol=0.1)
    np.testing.assert_allclose(flat.extent, 40, rtol=0.1)
    square = pitch.PitchTrack(*(values.reshape(2, 2, -1) for values in track))
    for value, alone in zip(tone.vibrato(square, sample_rate=RATE, rate_max=7, **settings), flat, strict=True):
        np.testing.assert_allclose(value, alone.reshape(2, 2), rtol=1e-4)
    np.testing.assert_allclose(
        tone.harmonic_to_noise_db(square), tone.harmonic_to_noise_db(track).reshape(2, 2), rtol=1e-4
    )


def test_no_pitch_no_vibrato(noise):
    track = track_of(np.stack([np.zeros(4 * RATE), np.tile(noise[0], 4)[: 4 * RATE], wave_of(60)]))
    few = pitch.PitchTrack(*(values[2:, :7] for values in track))
    for part, clips in ((track, 2), (few, 1)):
        assert all(np.all(np.isnan(value[:clips])) for value in tone.vibrato(part, sample_rate=RATE))


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            dict(rate_min=0),
            "rate_min=0, rate_max=10.0: expected 0 < rate_min < rate_max <= 14.4 Hz, which hop_length=512",
        ),
        (dict(rate_max=20), "rate_max=20: .* and a window of 0.0464 s resolve; shorten them or lower the rate"),
        (dict(win_length=2048), "rate_min=2.0, rate_max=10.0: expected 0 < rate_min < rate_max <= 7.18 Hz"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        tone.vibrato(pitch.PitchTrack(*np.ones((4, 100), np.float32)), sample_rate=RATE, **settings)
