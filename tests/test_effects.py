"""Effects: nothing at 0, what each does to a known sound at 1, and how notes are given them."""

import jax
import numpy as np
import pytest

from mgen import dsp
from mgen.data import DataError
from mgen.data.effects import EFFECTS, apply_effects, draw_amounts, effects_as_labels

RATE = 8_000
TIME = np.arange(2 * RATE) / RATE
TONE = (0.5 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)
NOISE = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)


def level(wave):
    return 20 * np.log10(np.sqrt(np.mean(np.square(wave))))


def alone(name, wave, amount):
    return np.asarray(apply_effects((name,), wave, np.float32([amount]), sample_rate=RATE))


@pytest.mark.parametrize("name", EFFECTS)
def test_nothing_at_zero_and_something_at_one(name):
    np.testing.assert_allclose(alone(name, TONE, 0.0), TONE, atol=2e-6)
    loud = alone(name, TONE, 1.0)
    assert loud.shape == TONE.shape and np.isfinite(loud).all() and np.max(np.abs(loud - TONE)) > 0.1


def test_a_batch_has_its_own_amounts():
    names, amounts = tuple(EFFECTS), np.random.default_rng(0).random((3, len(EFFECTS))).astype(np.float32)
    waves = np.stack([TONE, NOISE, TONE * 0.3])
    together = apply_effects(names, waves, amounts, sample_rate=RATE)
    for index in range(3):
        one = apply_effects(names, waves[index], amounts[index], sample_rate=RATE)
        np.testing.assert_allclose(together[index], one, atol=1e-5)


def test_distortion_adds_odd_harmonics_and_keeps_full_scale():
    spectrum = np.abs(np.fft.rfft(alone("distortion", 2 * TONE, 1.0)))
    first, second, third = (spectrum[round(k * 440 * len(TONE) / RATE)] for k in (1, 2, 3))
    assert 0.25 < third / first < 0.34 and second / first < 1e-3  # a square wave has 1/3
    assert np.max(np.abs(alone("distortion", 2 * TONE, 1.0))) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("hz", "fall"), [(100, 0.0), (300, 3.01), (600, 24.1), (1200, 48.2)])
def test_low_pass_is_a_butterworth_of_order_four(hz, fall):
    tone = np.sin(2 * np.pi * hz * TIME).astype(np.float32)
    middle = slice(RATE // 2, -RATE // 2)
    found = level(tone[middle]) - level(alone("low_pass", tone, 1.0)[middle])
    assert found == pytest.approx(fall, abs=0.3)


def test_vibrato_sways_by_fifty_cents():
    swayed = alone("vibrato", TONE, 1.0)
    analytic = np.fft.ifft(np.fft.fft(swayed) * (np.fft.fftfreq(len(swayed)) > 0) * 2)
    hz = np.diff(np.unwrap(np.angle(analytic))) * RATE / (2 * np.pi)
    cents = 1200 * np.log2(hz[500:-500] / 440)
    assert cents.max() == pytest.approx(50, abs=2) and cents.min() == pytest.approx(-51.5, abs=3)
    swings = np.argmax(np.abs(np.fft.rfft(cents * np.hanning(len(cents)), 8 * RATE))) / 8  # a second
    assert swings == pytest.approx(5.5, abs=0.3)


def test_slow_attack_rises_for_half_a_second():
    flat = np.ones(RATE, np.float32)
    risen = alone("slow_attack", flat, 1.0)
    assert risen[0] == 0 and risen[RATE // 4] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(risen[RATE // 2 :], 1, atol=1e-6)
    assert alone("slow_attack", flat, 0.5)[RATE // 4] == pytest.approx(1.0, abs=1e-6)


def test_reverb_rings_on_by_sixty_decibels_in_its_time_and_keeps_the_level():
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 1
    tail = alone("reverb", click, 1.0)[1:]
    early, late = (level(tail[start : start + RATE // 10]) for start in (0, round(1.2 * RATE)))
    assert early - late == pytest.approx(60 * 1.2 / 1.5, abs=2)
    assert level(alone("reverb", NOISE, 1.0)) == pytest.approx(level(NOISE), abs=1.5)


def test_a_gradient_goes_through():
    for name in EFFECTS:
        slope = jax.grad(lambda amount, name=name: apply_effects((name,), TONE, amount, sample_rate=RATE)[RATE // 8])
        assert np.isfinite(slope(np.float32([0.5]))).all()


def test_amounts_are_dry_for_half():
    drawn = np.stack([draw_amounts(("reverb", "vibrato"), np.random.default_rng(seed)) for seed in range(400)])
    assert drawn.dtype == np.float32 and np.all((drawn >= 0) & (drawn < 1))
    np.testing.assert_allclose(np.mean(drawn == 0, axis=0), 0.5, atol=0.08)
    np.testing.assert_allclose([np.mean(column[column > 0]) for column in drawn.T], 0.5, atol=0.06)


def test_the_order_is_the_same_however_they_are_named():
    one = apply_effects(("reverb", "distortion"), TONE, np.float32([0.3, 0.9]), sample_rate=RATE)
    other = apply_effects(("distortion", "reverb"), TONE, np.float32([0.9, 0.3]), sample_rate=RATE)
    np.testing.assert_array_equal(one, other)
    expected = dsp.reverb(dsp.distortion(TONE, np.float32(0.9)), np.float32(0.3), sample_rate=RATE)
    np.testing.assert_allclose(one, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        (("echo",), "data.effects=echo: unknown; expected some of vibrato, distortion"),
        (("reverb", "reverb"), "one of them is named twice"),
        (("vibrato",), "data.effects=vibrato: the notes say themselves"),
    ],
)
def test_refusals(effects, message):
    with pytest.raises(DataError, match=message):
        effects_as_labels(effects, effects_as_labels(("vibrato",), ()) if effects == ("vibrato",) else ())
