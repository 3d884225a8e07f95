import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import losses


def test_known_answers():
    a, b = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 1.0], [2.0, 5.0]])
    assert float(losses.l1(a, b)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "loss",
    [losses.l1, lambda a, b: losses.multi_resolution_stft(a, b, sizes=(4,)), losses.signal_to_noise_db],
)
def test_shapes_do_not_broadcast(loss):
    with pytest.raises(ValueError, match="expected two equal shapes"):
        loss(np.zeros((2, 30)), np.zeros((1, 30)))


def noise(count=3, samples=400, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (count, samples)).astype(np.float32)


def magnitudes(wave, size):
    """Of centred frames under a periodic Hann window, by NumPy: [frames, bins]."""
    padded = np.pad(wave.astype(np.float64), size // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    starts = range(0, len(wave) + 1, size // 4)
    return np.abs(np.fft.rfft([padded[start : start + size] * window for start in starts]))


def by_hand(estimate, target, sizes):
    rows = []
    for ours, theirs in zip(estimate, target, strict=True):
        for size in sizes:
            a, b = magnitudes(ours, size), magnitudes(theirs, size)
            logs = [np.log10(np.maximum(x, 1e-5 * b.max())) for x in (a, b)]
            rows.append(np.linalg.norm(a - b) / np.linalg.norm(b) + np.mean(abs(logs[0] - logs[1])))
    return np.mean(rows)


@pytest.mark.parametrize("sizes", [(64,), (128, 32), (256, 128, 16)])
def test_spectrograms_of_several_sizes_by_hand(sizes):
    estimate, target = noise(), noise(seed=1) * np.array([[1.0], [0.1], [3.0]], np.float32)
    found = losses.multi_resolution_stft(estimate, target, sizes=sizes)
    assert found.shape == ()
    assert float(found) == pytest.approx(by_hand(estimate, target, sizes), rel=1e-3)


def test_spectrograms_known_answers():
    wave = noise()

    def found(estimate, target=wave):
        return float(losses.multi_resolution_stft(estimate, target, sizes=(64, 16)))

    assert found(wave) == pytest.approx(0, abs=1e-6)
    assert found(-wave) == pytest.approx(0, abs=1e-6), "only magnitudes count"
    for gain in (0.5, 2.0, 3.0):
        assert found(gain * wave) == pytest.approx(abs(gain - 1) + abs(np.log10(gain)), rel=1e-3)
    one_of_three = wave * np.array([[1.0], [1.0], [0.5]], np.float32)
    assert found(one_of_three) == pytest.approx((0.5 + np.log10(2)) / 3, rel=1e-3)
    assert found(0.01 * wave, 0.01 * wave[::-1]) == pytest.approx(found(wave, wave[::-1]), rel=1e-2), "not of the level"


def test_what_is_100_db_below_the_peak_is_as_silence():
    click = np.zeros((1, 400), np.float32)
    click[0, 40] = 10.0
    behind = np.zeros_like(click)
    behind[0, 200:] = 1e-5 * noise(1, 200)[0]  # 140 dB below, where the click is no more

    def found(estimate):
        return float(losses.multi_resolution_stft(click + estimate, click, sizes=(64,)))

    assert found(behind) < 1e-5 < 1e-2 < found(1e4 * behind)


SLOPES = [
    jax.jit(jax.value_and_grad(loss))
    for loss in (functools.partial(losses.multi_resolution_stft, sizes=(64, 16)), losses.signal_to_noise_db)
]


@pytest.mark.parametrize("estimate", [np.zeros((3, 400), np.float32), noise(), 1e-6 * noise()])
@pytest.mark.parametrize("silent", [[], [1], [0, 1, 2]])
def test_silence_gives_numbers_and_slopes(estimate, silent):
    target = noise()
    target[silent] = 0
    for loss in SLOPES:
        value, slope = loss(jnp.asarray(estimate), target)
        assert np.isfinite(value) and np.all(np.isfinite(slope))


def test_of_a_silent_target_the_convergence_is_left_out():
    """What is left are decibels above the floor that keeps logarithms finite, 1e-5 in amplitude."""
    wave = noise(1)
    logs = np.log10(np.sqrt(magnitudes(wave[0], 64) ** 2 + 1e-10)) + 5
    found = losses.multi_resolution_stft(wave, np.zeros_like(wave), sizes=(64,))
    assert float(found) == pytest.approx(np.mean(logs), rel=1e-3)


def test_the_slope_leads_to_the_target():
    target = noise(1)
    for loss, sign in zip(SLOPES, (-1, 1), strict=True):
        assert sign * np.sum(loss(jnp.asarray(0.5 * target), target)[1] * target) > 0


def test_signal_to_noise():
    wave = noise()
    for gain, expected in ((0.5, 6.0206), (0.9, 20), (0.0, 0), (2.0, 0), (3.0, -6.0206)):
        assert float(losses.signal_to_noise_db(gain * wave, wave)) == pytest.approx(expected, abs=1e-3)
    gains = np.array([[0.5], [0.5], [0.9]], np.float32)  # the mean is of decibels
    assert float(losses.signal_to_noise_db(gains * wave, wave)) == pytest.approx((2 * 6.0206 + 20) / 3, abs=1e-3)
    assert 60 < float(losses.signal_to_noise_db(wave, wave)) < 200
