"""Mixtures of densities against scipy's, and draws against the densities."""

import jax
import numpy as np
import pytest
from scipy import stats

from mgen.blocks.mixture import Mixture, draw, expected, log_density

MIXTURE = Mixture(*(np.array(part, np.float32) for part in ([0.0, 1.0], [-1.0, 2.0], [-0.5, 0.3])))
SHARES = np.exp([0, 1]) / np.exp([0, 1]).sum()
SCIPY = {"laplace": stats.laplace, "normal": stats.norm}


def cumulated(value, kind):
    return sum(s * SCIPY[kind](m, np.exp(w)).cdf(value) for s, m, w in zip(SHARES, *MIXTURE[1:], strict=True))


@pytest.mark.parametrize("kind", SCIPY)
def test_density(kind):
    value = np.linspace(-4, 5, 13).astype(np.float32)
    own = [s * SCIPY[kind](m, np.exp(w)).pdf(value) for s, m, w in zip(SHARES, *MIXTURE[1:], strict=True)]
    many = Mixture(*(np.tile(part, (13, 1)) for part in MIXTURE))
    np.testing.assert_allclose(log_density(many, value, kind), np.log(sum(own)), atol=1e-5)


def test_expected():
    np.testing.assert_allclose(expected(MIXTURE), SHARES @ [-1, 2], rtol=1e-6)


@pytest.mark.parametrize("kind", SCIPY)
def test_draws_are_of_the_density(kind):
    many = Mixture(*(np.tile(part, (4000, 1)) for part in MIXTURE))
    found = np.asarray(draw(many, jax.random.key(0), kind))
    assert stats.kstest(found, lambda value: cumulated(value, kind)).pvalue > 0.01


def test_temperature_is_the_distance_from_what_is_expected():
    many = Mixture(*(np.tile(part, (50, 1)) for part in MIXTURE))
    at = {t: np.asarray(draw(many, jax.random.key(0), "normal", t)) for t in (0.0, 0.5, 1.0)}
    np.testing.assert_allclose(at[0.0], SHARES @ [-1, 2], rtol=1e-6)
    np.testing.assert_allclose(at[0.5], (at[0.0] + at[1.0]) / 2, rtol=1e-5)
