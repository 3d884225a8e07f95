"""A wave on another clock: against sines that are known at any place, and clicks and pitches that must stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import dsp

RATE = 10_000
SMALL = {"n_fft": 512, "hop_length": 128}


def sine(positions, cycles=0.05):
    """A sine of so many cycles a sample at places, float64."""
    return np.sin(2 * np.pi * cycles * np.asarray(positions))


def decibels(error):
    return 20 * np.log10(np.abs(error).max())


def clicks(samples, places):
    wave = np.zeros(samples, np.float32)
    wave[places] = 0.9
    return wave


def frequency(wave):
    """Hz of the one sine in a wave, from the place of the largest of a long windowed spectrum."""
    size = 1 << 18
    spectrum = np.log(np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size)))
    peak = int(spectrum.argmax())
    low, middle, high = spectrum[peak - 1 : peak + 2]
    return (peak + (low - high) / (2 * (low - 2 * middle + high))) * RATE / size


# --- resample_at ---------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.31, 0.66, 0.8, 1.0, 1.25, 1.5, -0.9])
@pytest.mark.parametrize("cycles", [0.01, 0.05, 0.2])
def test_a_sine_is_known_between_its_samples(rate, cycles):
    samples = 6_000
    wave = sine(np.arange(samples), cycles).astype(np.float32)
    positions = 100.3 + np.arange(3_800) * abs(rate)
    positions = positions if rate > 0 else positions[::-1]
    assert decibels(dsp.resample_at(wave, positions) - sine(positions, cycles)) < -75


def test_whole_places_at_rate_one_are_the_very_samples(noise):
    for positions in (np.arange(22_050), np.arange(22_050, dtype=np.float32), jnp.arange(5_000, 9_000)):
        np.testing.assert_array_equal(dsp.resample_at(noise, positions), noise[:, np.asarray(positions, int)])


def test_a_place_late_in_a_long_wave_needs_float64():
    """The docstring's numbers: float32 holds a place near 2**20 to 1/32 of a sample."""
    samples = 1 << 20
    wave = sine(np.arange(samples), 0.02).astype(np.float32)
    positions = samples - 3_000 + np.arange(2_000) * 0.813
    wanted = sine(positions, 0.02)
    assert decibels(dsp.resample_at(wave, positions) - wanted) < -75
    single = positions.astype(np.float32)
    assert np.abs(single - positions).max() <= 1 / 32
    assert -60 < decibels(dsp.resample_at(wave, single) - wanted) < 20 * np.log10(2 * np.pi * 0.02 / 32) + 1


@pytest.mark.parametrize("rate, cycles", [(1.5, 0.45), (2.0, 0.35), (3.0, 0.26)])
def test_what_is_above_nyquist_does_not_come_back_as_something_else(rate, cycles):
    wave = sine(np.arange(20_000), cycles).astype(np.float32)
    positions = 200 + np.arange(int(19_000 / rate)) * rate
    assert decibels(dsp.resample_at(wave, positions)) < -70
    kept = sine(np.arange(20_000), 0.05).astype(np.float32)
    assert decibels(dsp.resample_at(kept, positions) - sine(positions, 0.05)) < -70


def test_the_fastest_step_of_each_item_sets_its_own_filter():
    wave = sine(np.arange(4_000), 0.4).astype(np.float32)
    slow = 100 + np.arange(1_000) * 0.9
    fast = 100 + np.arange(1_000) * 2.5
    made = dsp.resample_at(wave, np.stack([slow, fast]))
    assert decibels(made[0] - sine(slow, 0.4)) < -60 and decibels(made[1]) < -70


def test_beyond_the_ends_is_silence(noise):
    made = np.asarray(dsp.resample_at(noise[0, :100], np.array([-1e6, -50, -17, 116.5, 200, 1e6])))
    np.testing.assert_array_equal(made, 0)


def test_a_ring_has_no_ends():
    samples = 1_000
    wave = sine(np.arange(samples), 0.05).astype(np.float32)  # 50 whole periods
    positions = -1_700.4 + np.arange(5_000) * 0.9
    assert decibels(dsp.resample_at(wave, positions, wrap=True) - sine(positions)) < -75
    # Positions that went round by themselves are the same: a jump by the ring is no fast step.
    np.testing.assert_allclose(
        dsp.resample_at(wave, positions % samples, wrap=True),
        dsp.resample_at(wave, positions, wrap=True),
        atol=2e-6,
    )
    assert decibels(dsp.resample_at(wave, positions) - sine(positions)) > -10


# --- time_stretch --------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.8, 1.3])
def test_a_sine_keeps_its_pitch_and_its_level(rate):
    wave = 0.5 * sine(np.arange(3 * RATE), 440 / RATE).astype(np.float32)
    made = np.asarray(dsp.time_stretch(wave, np.arange(round(len(wave) / rate)) * rate))
    inner = made[2_000:-2_000]
    assert abs(frequency(inner) - 440) < 0.5
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    record_player = np.asarray(dsp.resample_at(wave, np.arange(round(len(wave) / rate)) * rate))
    assert abs(frequency(record_player[2_000:-2_000]) - 440 * rate) < 0.5


@pytest.mark.parametrize("rate", [0.66, 0.8, 1.25, 1.5])
def test_clicks_move_to_their_places(rate):
    places = np.array([3_000, 7_123, 11_950, 16_500])
    wave = clicks(20_000, places)
    made = np.abs(np.asarray(dsp.time_stretch(wave, np.arange(round(20_000 / rate)) * rate, **SMALL)))
    for place in places / rate:
        near = slice(int(place) - 800, int(place) + 800)
        assert abs(near.start + made[near].argmax() - place) < 0.01 * RATE
        energy = made[near] ** 2
        close = np.abs(np.arange(near.start, near.stop) - place) < 0.01 * RATE
        assert energy[close].sum() > 0.8 * energy.sum(), "a click that is smeared, or heard twice"


def test_its_own_clock_gives_the_wave_back(noise):
    positions = np.arange(22_050)
    np.testing.assert_allclose(dsp.time_stretch(noise, positions), noise, atol=1e-6)
    ring = np.asarray(dsp.time_stretch(noise, positions + 22_050, wrap=True))
    np.testing.assert_allclose(ring[:, 512:-512], noise[:, 512:-512], atol=1e-6)
    round_again = np.asarray(dsp.time_stretch(noise, (positions + 9_000) % 22_050, wrap=True))
    np.testing.assert_allclose(round_again[:, 512:-512], np.roll(noise, -9_000, axis=-1)[:, 512:-512], atol=1e-6)
    later = np.asarray(dsp.time_stretch(noise, positions + 5_000.3))
    np.testing.assert_allclose(later[:, :16_000], noise[:, 5_000:21_000], atol=1e-6)


def test_a_clock_that_changes_leaves_what_is_at_rate_one_its_shape(noise):
    """Where the rate is 1 again phases stay turned as they were, and magnitudes are those of the wave."""
    step = np.where(np.arange(20_000) < 8_000, 0.5, 1.0)
    positions = np.cumsum(step)
    made = np.asarray(dsp.time_stretch(noise[0], positions, **SMALL))
    shift = round(positions[12_032]) - 12_032
    ours, theirs = (
        np.abs(dsp.stft(wave, center=False, **SMALL)) for wave in (made[12_032:19_000], noise[0, 12_032 + shift :])
    )
    ours, theirs = ours[4:40], theirs[4:40]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9


def test_a_stopped_clock_holds_the_sound():
    wave = 0.5 * sine(np.arange(RATE), 440 / RATE).astype(np.float32)
    made = np.asarray(dsp.time_stretch(wave, np.full(RATE, 5_000.0)))
    assert np.isfinite(made).all() and abs(frequency(made[1_000:-1_000]) - 440) < 0.5


def test_iterations_come_nearer_to_the_spectrogram(noise):
    positions = np.arange(20_000) * 0.7
    made = [np.asarray(dsp.time_stretch(noise[0], positions, n_iter=n, **SMALL)) for n in (0, 8)]
    places = (np.arange(20_000) * 0.7)[::128].round().astype(int)
    places = places[(places > 256) & (places < 13_000)]
    wanted = np.abs(np.fft.rfft([noise[0, p - 256 : p + 256] * dsp.window("hann", 512, 512) for p in places]))
    first = int(np.ceil(257 / 0.7 / 128))
    errors = []
    for wave in made:
        got = np.abs(np.asarray(dsp.stft(wave, **SMALL)))[first : first + len(places)]
        errors.append(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))
    assert errors[1] < 0.9 * errors[0]


# --- both ----------------------------------------------------------------------

BOTH = pytest.mark.parametrize("warp", [dsp.resample_at, lambda *a, **k: dsp.time_stretch(*a, **SMALL, **k)])


@BOTH
@pytest.mark.parametrize("wrap", [False, True])
def test_batch_equals_items(noise, warp, wrap):
    wave = noise[:, :4_000] * np.float32([[10], [1], [0.01]])
    rates = np.array([0.7, 1.0, 1.4])
    each = 10 + np.arange(3_000) * rates[:, None]
    together, plain = warp(wave, each, wrap=wrap), warp(wave, each[0], wrap=wrap)
    turned = warp(wave[0], each, wrap=wrap)
    assert together.shape == plain.shape == turned.shape == (3, 3_000) and together.dtype == jnp.float32
    for item in range(3):
        size = np.abs(wave[item]).max()
        np.testing.assert_allclose(together[item], warp(wave[item], each[item], wrap=wrap), atol=1e-5 * size)
        np.testing.assert_allclose(plain[item], warp(wave[item], each[0], wrap=wrap), atol=1e-5 * size)
        np.testing.assert_allclose(turned[item], warp(wave[0], each[item], wrap=wrap), atol=1e-4)


@BOTH
def test_silence_stays_silence_and_gradients_are_finite(noise, warp):
    positions = np.arange(2_000) * 1.1
    np.testing.assert_array_equal(warp(np.zeros(3_000, np.float32), positions), 0)
    for wave in (noise[0, :3_000], np.zeros(3_000, np.float32), clicks(3_000, [700])):
        gradient = jax.grad(lambda wave: jnp.sum((warp(wave, positions) - 1) ** 2))(wave)
        assert np.isfinite(gradient).all() and np.abs(gradient[500:2_000]).max() > 0.1
    gradient = jax.grad(lambda wave: jnp.sum(dsp.time_stretch(wave, positions, n_iter=2, **SMALL) ** 2))(noise[0])
    assert np.isfinite(gradient).all()


@BOTH
def test_it_can_be_traced(noise, warp):
    positions = jnp.arange(2_000) * jnp.float32(0.75)
    # A fused rounding may end up in another phase of a quiet bin.
    np.testing.assert_allclose(jax.jit(warp)(noise, positions), warp(noise, positions), atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dsp.resample_at(np.zeros(9, int), np.arange(3)), r"wave: expected floats in \[-1, 1\], got int"),
        (lambda: dsp.resample_at(np.zeros(0), np.arange(3)), r"wave: expected at least 1 sample, got \(0,\)"),
        (lambda: dsp.resample_at(np.float32(0), np.arange(3)), r"wave: expected \[..., samples\], got \(\)"),
        (lambda: dsp.resample_at(np.zeros(9), np.float32(0)), r"positions: expected \[..., out\], got \(\)"),
        (lambda: dsp.resample_at(np.zeros(9), np.arange(3), taps=7), "taps=7: expected an even number of 2 or more"),
        (lambda: dsp.time_stretch(np.zeros(9), np.arange(999), n_iter=-1), "n_iter=-1: expected 0 or more"),
        (lambda: dsp.time_stretch(np.zeros(9), np.arange(9)), "9 samples are too few for n_fft=1024"),
        (lambda: dsp.time_stretch(np.zeros(9), np.arange(999), hop_length=0), "hop_length=0: expected 1 to n_fft=1024"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
