"""Levels of known parts in a mixture."""

import numpy as np
import pytest

from mgen.data.tones import STEMS, render
from mgen.metrics.levels import part_levels

RATE = 8000
SIZE = 3 * RATE


@pytest.fixture(scope="module")
def parts():
    return np.stack([render({**dict.fromkeys(STEMS, 0.0), own: 1.0}, sample_rate=RATE, samples=SIZE) for own in STEMS])


@pytest.mark.parametrize("levels", [(0.8, 0.8, 0.8, 0.8), (1.0, 0.25, 0.0, 0.5), (0.0, 1.0, 0.5, 0.0)])
def test_the_levels_of_a_mixing_desk(parts, levels):
    mix = render(dict(zip(STEMS, levels, strict=True)), sample_rate=RATE, samples=SIZE)
    np.testing.assert_allclose(part_levels(mix, parts, sample_rate=RATE), levels, atol=0.12)


def test_phases_do_not_matter_and_gains_come_through(parts):
    """Each part backwards in sign, and the whole 20 dB down."""
    mix = 0.1 * (parts[0] - parts[1] - 0.5 * parts[2])
    np.testing.assert_allclose(part_levels(mix, parts, sample_rate=RATE), [0.1, 0.1, 0.05, 0], atol=0.012)


def test_silence_and_silent_parts(parts):
    np.testing.assert_array_equal(part_levels(np.zeros(SIZE, np.float32), parts, sample_rate=RATE), np.zeros(4))
    some = np.stack([parts[0], np.zeros_like(parts[0])])
    found = part_levels(parts[0], some, sample_rate=RATE)
    assert found[0] == pytest.approx(1, abs=1e-3) and found[1] == 0
    np.testing.assert_array_equal(part_levels(parts[0], 0 * parts, sample_rate=RATE), np.zeros(4))


def test_noise_is_no_part_of_it(parts):
    """Noise far below the parts moves their levels little."""
    noise = np.random.default_rng(0).normal(0, 0.001, SIZE).astype(np.float32)
    mix = 0.5 * parts[1] + noise
    np.testing.assert_allclose(part_levels(mix, parts, sample_rate=RATE), [0, 0.5, 0, 0], atol=0.05)


def test_a_batch_equals_its_items(parts):
    mixes = np.stack([parts[0] + 0.3 * parts[1], 0.2 * parts[3]])
    both = part_levels(mixes, np.stack([parts, parts]), sample_rate=RATE)
    for mix, levels in zip(mixes, both, strict=True):
        np.testing.assert_allclose(part_levels(mix, parts, sample_rate=RATE), levels, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("wave", "parts", "message"),
    [
        (np.zeros(1000, np.float32), np.zeros((2, 1000), np.float32), "wave: 1000 samples are too few"),
        (np.zeros(4000, np.float32), np.zeros((2, 5000), np.float32), "parts: expected"),
        (np.full(4000, np.nan, np.float32), np.zeros((2, 4000), np.float32), "wave: holds NaN"),
    ],
)
def test_refusals(wave, parts, message):
    with pytest.raises(ValueError, match=message):
        part_levels(wave, parts, sample_rate=RATE)
