"""What the study of continuations measures, on sounds of which it is known."""

import numpy as np

from benchmarks.block_continuation import at_block_rate, nearest_db, windows_of

RATE, BLOCK = 8_000, 128


def test_clicks_at_the_blocks_rate_are_found_and_noise_has_none():
    noise = np.random.default_rng(0).normal(0, 0.1, 60 * RATE)
    found, around = at_block_rate(noise, BLOCK)
    assert found < around + 3 and found < -40
    clicks = noise.copy()
    clicks[::BLOCK] += 0.5
    found, around = at_block_rate(clicks, BLOCK)
    assert found > -20 and found > around + 10


def test_a_copy_is_near_and_other_sound_is_not():
    rng = np.random.default_rng(0)
    song = np.repeat(rng.normal(0, 1, 400), 400)[: 20 * RATE] * rng.normal(0, 0.1, 20 * RATE)
    other = np.sin(np.arange(20 * RATE) * 0.1 * (1 + np.repeat(rng.integers(1, 6, 40), 4_000))) * 0.1
    known = windows_of({"song": song.astype(np.float32)[None]}, RATE)
    assert nearest_db(song[3 * RATE : 13 * RATE].astype(np.float32), known, RATE) < 3.5
    assert nearest_db(other.astype(np.float32), known, RATE) > 3.5
