"""Decibels: librosa's numbers, a fixed floor, and gradients that are finite everywhere."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgen import dsp

PAIRS = [(dsp.power_to_decibels, dsp.decibels_to_power), (dsp.amplitude_to_decibels, dsp.decibels_to_amplitude)]


def test_power_matches_librosa():
    power = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32) ** 8
    for reference in (1.0, 1e-3):
        theirs = librosa.power_to_db(power / reference, amin=1e-10, top_db=None)
        np.testing.assert_allclose(dsp.power_to_decibels(power, reference=reference), theirs, rtol=0, atol=1e-4)


def test_amplitude_matches_librosa():
    amplitude = np.abs(np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)) ** 8
    theirs = librosa.amplitude_to_db(amplitude, amin=1e-4, top_db=None)
    np.testing.assert_allclose(dsp.amplitude_to_decibels(amplitude, floor_db=-80), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("there, back", PAIRS)
@given(decibels=st.floats(-100, 60, width=32), reference=st.floats(0.001, 1000))
def test_inverse_above_the_floor(there, back, decibels, reference):
    again = there(back(decibels, reference=reference), reference=reference)
    np.testing.assert_allclose(again, decibels, rtol=0, atol=1e-4)


@pytest.mark.parametrize("there, back", PAIRS)
def test_what_is_below_the_floor_returns_as_the_floor(there, back):
    quiet = there(jnp.array([0.0, 1e-30, -1.0]), floor_db=-60.0)
    np.testing.assert_allclose(quiet, -60, rtol=0, atol=1e-4)
    np.testing.assert_allclose(back(quiet), back(-60.0), rtol=1e-5)


@pytest.mark.parametrize("there, back", PAIRS)
def test_gradient_is_finite_and_zero_below_the_floor(there, back):
    gradient = jax.vmap(jax.grad(there))(jnp.array([0.0, 1e-38, -1.0, 1.0]))
    factor = 10 if there is dsp.power_to_decibels else 20
    np.testing.assert_allclose(gradient, [0, 0, 0, factor / np.log(10)], rtol=1e-6)
    lowest = {10: -370, 20: -750}[factor]
    assert np.isfinite(there(0.0, floor_db=lowest)) and np.isfinite(jax.grad(there)(0.0, floor_db=lowest))
    assert np.isfinite(jax.grad(back)(-1000.0))


@pytest.mark.parametrize("there, back", PAIRS)
def test_batch_equals_items(there, back):
    values = np.abs(np.random.default_rng(0).normal(size=(3, 50))).astype(np.float32) * np.float32([[10], [1], [1e-4]])
    for item in range(3):
        np.testing.assert_array_equal(there(values)[item], there(values[item]))
        np.testing.assert_array_equal(back(there(values))[item], back(there(values[item])))


@pytest.mark.parametrize("there, back", PAIRS)
def test_refusals(there, back):
    for call in (there, back):
        with pytest.raises(ValueError, match="reference=0.0: expected a number above zero; 1.0 is full scale"):
            call(1.0, reference=0.0)
    with pytest.raises(ValueError, match=r"floor_db=-800: float32 holds no such small number; give -\d+ dB or more"):
        there(1.0, floor_db=-800)
