"""What blocks did lately: levels, and tones that go on, whatever the transform."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.blocks.history import MEMORIES, history, untold
from mgen.features import FftBlocks

FEATURES = FftBlocks(8_000, 24, 64)


def noise(count=2, seed=0, level=0.1):
    wave = np.random.default_rng(seed).normal(0, level, (count, FEATURES.samples)).astype(np.float32)
    return np.asarray(FEATURES.encode(wave))


def tone(hertz, features=FEATURES, level=0.3, grows=1.0):
    times = np.arange(features.samples)
    wave = level * grows ** (times / 64) * np.sin(2 * np.pi * hertz * times / 8_000 + 1)
    return np.asarray(features.encode(wave.astype(np.float32)))


@pytest.mark.parametrize("layout", ["lapped", "half"])
def test_a_tone_that_goes_on_is_foretold_and_noise_is_not(layout):
    blocks = jnp.asarray(tone(700, dataclasses.replace(FEATURES, layout=layout)))[None]
    _, past = history(blocks, untold(1, 64))
    loud = np.abs(blocks[0]).max(axis=0) > 0.05 * np.abs(blocks).max()
    error = np.square(past.tone[0, 12:-2] - blocks[0, 13:-1])[:, loud].sum()
    assert error < 0.08 * np.square(blocks[0, 13:-1])[:, loud].sum()
    assert np.all(past.tonal[0, 12:-2, np.argmax(np.square(blocks[0]).sum(axis=0))] > 0.8)
    _, past = history(jnp.asarray(noise()), untold(2, 64))
    assert np.median(past.tonal[:, 12:]) < 0.3


def test_silence_before_the_first_sound_says_nothing():
    blocks = noise(1)
    later = jnp.concatenate([jnp.zeros_like(blocks), blocks], axis=1)
    _, plain = history(jnp.asarray(blocks), untold(1, 64))
    _, after = history(later, untold(1, 64))
    np.testing.assert_allclose(after.levels[:, blocks.shape[1] :], plain.levels, atol=1e-5)


def test_levels_are_of_the_last_blocks():
    """After a step from 1 to 4 each memory has forgotten its share of the old power."""
    blocks = np.concatenate([np.full((1, 1000, 3), 1.0), np.full((1, 8, 3), 4.0)], axis=1).astype(np.float32)
    _, past = history(jnp.asarray(blocks), untold(1, 3))
    old = np.exp(-8 / np.array(MEMORIES))
    np.testing.assert_allclose(np.exp(2 * past.levels[0, -1, :, 0]), old + 16 * (1 - old), rtol=2e-3)


def test_a_tone_that_swells_is_not_foretold_to_swell_for_ever():
    """Left alone, what is foretold dies away and does not run off."""
    heard = jax.jit(history)
    state, _ = heard(jnp.asarray(tone(700, grows=1.2))[None], untold(1, 64))
    block, sizes = state["last"], []
    for _ in range(60):
        state, past = heard(block[:, None], state)
        block = past.tone[:, 0]
        sizes.append(float(jnp.abs(block).max()))
    assert max(sizes) < 1.5 * sizes[0] and sizes[-1] < sizes[0]
