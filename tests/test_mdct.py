"""The modified discrete cosine transform against its definition, and what makes it worth having."""

import jax
import numpy as np
import pytest

from mgen import dsp


def wave_of(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("block", [2, 6, 16])
def test_is_the_sum_of_cosines_that_defines_it(block):
    wave = wave_of(5 * block)
    times, bins = np.arange(2 * block), np.arange(block)[:, None]
    cosines = np.cos(np.pi / block * (times + 0.5 + block / 2) * (bins + 0.5))
    matrix = np.sqrt(2 / block) * cosines * np.sin(np.pi * (times + 0.5) / (2 * block))
    padded = np.pad(wave, block)
    expected = np.stack([matrix @ padded[start : start + 2 * block] for start in range(0, 6 * block, block)])
    np.testing.assert_allclose(dsp.mdct(wave, block=block), expected, atol=1e-6)


@pytest.mark.parametrize("block", [2, 512, 2048])
def test_inverse_is_exact_and_power_is_kept(block):
    wave = wave_of(2, 3, 4096)
    coefficients = dsp.mdct(wave, block=block)
    assert coefficients.shape == (2, 3, 4096 // block + 1, block)
    np.testing.assert_allclose(dsp.imdct(coefficients, block=block), wave, atol=3e-6)
    np.testing.assert_allclose(np.sum(np.square(coefficients)), np.sum(np.square(wave)), rtol=1e-5)


def test_a_block_that_is_changed_fades_in_and_out():
    """No click: what a block adds to the wave is small where the block begins and ends."""
    coefficients = np.zeros((9, 512), np.float32)
    coefficients[4, 40] = 1
    wave = np.asarray(dsp.imdct(coefficients, block=512))
    middle = slice(3 * 512, 5 * 512)
    assert np.all(wave[: 3 * 512] == 0) and np.all(wave[5 * 512 :] == 0)
    assert np.abs(wave[middle][:8]).max() < 0.03 * np.abs(wave).max()
    assert np.abs(wave[middle][-8:]).max() < 0.03 * np.abs(wave).max()


def test_a_steady_tone_goes_on_by_one_law():
    """What `BlockLstm` foretells tones by: every coefficient is 2 cos(angle) times the last, less the one before."""
    angle = 0.31
    wave = np.sin(angle * np.arange(20 * 64) + 1).astype(np.float32)
    inner = np.asarray(dsp.mdct(wave, block=64))[1:-1]
    np.testing.assert_allclose(inner[2:], 2 * np.cos(64 * angle) * inner[1:-1] - inner[:-2], atol=2e-5)


def test_is_differentiable():
    wave = wave_of(64)
    gradient = jax.grad(lambda some: (dsp.mdct(some, block=16) ** 2).sum())(wave)
    np.testing.assert_allclose(gradient, 2 * wave, atol=1e-5)


@pytest.mark.parametrize("block", [0, 1, 7])
def test_blocks_are_even(block):
    with pytest.raises(ValueError, match="block: expected an even number"):
        dsp.mdct(wave_of(70), block=block)
    with pytest.raises(ValueError, match="block: expected an even number"):
        dsp.imdct(wave_of(3, 70), block=block)


def test_refusals():
    with pytest.raises(ValueError, match="whole number of blocks of 8 samples, got 20"):
        dsp.mdct(wave_of(20), block=8)
    with pytest.raises(ValueError, match="whole number of blocks of 8 samples, got 0"):
        dsp.mdct(wave_of(0), block=8)
    with pytest.raises(ValueError, match="at least 2 blocks"):
        dsp.imdct(wave_of(1, 8), block=8)
    with pytest.raises(ValueError, match="coefficients"):
        dsp.imdct(wave_of(3, 6), block=8)
