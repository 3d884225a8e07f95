"""What is remembered of long latents: against the moments of all of them, and draws against places that are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import sketches


def memory_of(size, covariance=None, *, directions=None, components=1):
    """Of as many directions as numbers, so that all of the covariance is known; or of as many as are given."""
    memory = sketches.fresh(jax.random.key(0), size, directions or size, components)
    covariance = np.eye(size) if covariance is None else covariance
    return memory | {"sketch": jnp.asarray(covariance, jnp.float32) @ sketches._directions(size, directions or size)}


def covariance(memory):
    axes = np.asarray(sketches.axes(memory, len(memory["middle"]))[0])
    return axes.T @ axes


SEEN = jax.jit(functools.partial(sketches.seen, clips=400))


def test_middle_and_covariance_are_those_of_all_latents_that_were_seen():
    rng = np.random.default_rng(0)
    latents = (rng.normal(size=(10, 20, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)).astype(np.float32)
    memory = memory_of(6)
    for number, batch in enumerate(latents):
        memory = SEEN(memory, jnp.asarray(batch))
        rows = latents[: number + 1].reshape(-1, 6)
        np.testing.assert_allclose(memory["middle"], rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(covariance(memory), np.cov(rows.T, bias=True), atol=1e-3)
    assert memory["step"] == 10


def test_the_widest_axes_are_found():
    rng = np.random.default_rng(0)
    own, _ = np.linalg.qr(rng.normal(size=(60, 60)))
    widths = 0.8 ** np.arange(60)
    known = own.T * widths**2 @ own
    axes = np.asarray(sketches.axes(memory_of(60, known), 5)[0])
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), widths[:5], rtol=1e-3)
    np.testing.assert_allclose(abs(np.sum(axes / widths[:5, None] * own[:5], axis=1)), 1, atol=1e-3)
    assert len(sketches.axes(memory_of(60, known), 100)[0]) == 60
    # From what it makes of a third as many directions as there are numbers.
    axes = np.asarray(sketches.axes(memory_of(60, known, directions=20), 5)[0])
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), widths[:5], rtol=0.02)
    assert np.min(abs(np.sum(axes / widths[:5, None] * own[:5], axis=1))) > 0.97


def test_the_memory_leads_nowhere():
    slope = jax.grad(lambda latent: sum(jnp.sum(value) for value in SEEN(memory_of(4), latent).values()))
    np.testing.assert_array_equal(slope(jnp.ones((5, 4))), 0)


def test_what_was_seen_long_ago_is_forgotten():
    memory = memory_of(4) | {"step": jnp.float32(1_000)}
    new = SEEN(memory, jnp.ones((40, 4)))
    np.testing.assert_allclose(new["middle"], 0.1, rtol=1e-5)
    np.testing.assert_allclose(covariance(new), 0.9 * np.eye(4) + 0.1 * 0.9, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(SEEN(memory, jnp.ones((3_000, 4)))["middle"], 1, rtol=1e-5)


def islands(count, size=60, rng=None):
    """Latents around three places, each with its own shape, and which of them each is near to."""
    rng, known = rng or np.random.default_rng(1), np.random.default_rng(0)
    places = 3 * known.normal(size=(3, size))
    shapes = 0.3 * known.normal(size=(3, 4, size))
    which = rng.integers(3, size=count)
    rows = places[which] + np.einsum("bi,bis->bs", rng.normal(size=(count, 4)), shapes[which])
    return rows.astype(np.float32), which, places


def test_draws_lie_where_latents_do_and_not_between():
    """Of several pieces, one Gaussian has its mean between them all."""
    rng = np.random.default_rng(2)
    memory = sketches.fitted(sketches.fresh(jax.random.key(0), 60, 40, 6), islands(200)[0])
    for _ in range(100):  # few at once, as in training
        memory = SEEN(memory, jnp.asarray(islands(2, rng=rng)[0]))
    drawn = np.asarray(memory["middle"] + sketches.draw(memory, jax.random.key(1), 300, 12))
    rows, which, places = islands(300)
    apart = np.linalg.norm(drawn[:, None] - places, axis=-1)
    own = np.linalg.norm(rows - places[which], axis=-1)
    assert np.quantile(apart.min(axis=1), 0.95) < 1.2 * own.max() < 0.5 * np.linalg.norm(places[0] - places[1])
    np.testing.assert_allclose(np.bincount(apart.argmin(axis=1)) / 300, 1 / 3, atol=0.12)
    np.testing.assert_allclose(np.trace(np.cov(drawn.T)), np.trace(np.cov(rows.T)), rtol=0.1)


@pytest.mark.parametrize("rows", ["constant", "of one axis", "few", "silent"])
def test_latents_without_a_shape_can_be_drawn(rows):
    rng = np.random.default_rng(0)
    latents = {
        "constant": np.full((8, 64), 30.0) + rng.normal(size=64),
        "of one axis": rng.normal(size=(8, 1)) * rng.normal(size=64) + 10,
        "few": rng.normal(size=(3, 64)),
        "silent": np.zeros((8, 64)),
    }[rows].astype(np.float32)
    memory = sketches.fitted(sketches.fresh(jax.random.key(0), 64, 64, 16), latents)
    for _ in range(5):
        memory = SEEN(memory, jnp.asarray(latents))
    drawn = np.asarray(sketches.draw(memory, jax.random.key(0), 200, 32))
    assert np.all(np.isfinite(drawn))
    assert np.max(drawn.std(axis=0)) < 1.2 * np.max(latents.std(axis=0)) + 0.1
