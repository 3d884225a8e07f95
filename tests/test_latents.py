"""What is remembered of latents: against the moments of all of them, and a mixture with known parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import latents


def remembered(batches, components=1, decay=0.99, seed=0):
    memory = latents.fresh(jax.random.key(seed), batches[0].shape[1], components)
    step = jax.jit(lambda memory, batch: latents.seen(memory, batch, decay=decay))
    for batch in batches:
        memory = step(memory, jnp.asarray(batch, jnp.float32))
    return jax.device_get(memory)


@pytest.fixture(scope="module")
def gaussian():
    rng = np.random.default_rng(0)
    root = np.array([[2.0, 0, 0], [0.5, 1, 0], [0, 0.3, 0.2]])
    return rng.normal(size=(200, 64, 3)) @ root.T + [5, -3, 1], root @ root.T


def test_mean_and_covariance(gaussian):
    batches, covariance = gaussian
    memory = remembered(batches)
    np.testing.assert_allclose(memory["mean"], [5, -3, 1], atol=0.15)
    np.testing.assert_allclose(memory["covariance"], covariance, atol=0.25)


def test_the_first_batch_replaces_what_was_guessed(gaussian):
    first = gaussian[0][0]
    memory = remembered([first])
    np.testing.assert_allclose(memory["mean"], first.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(memory["covariance"], np.cov(first.T, bias=True), rtol=1e-4, atol=1e-5)


def test_one_component_is_the_gaussian(gaussian):
    batches, covariance = gaussian
    memory = remembered(batches)
    drawn = np.asarray(latents.draw(memory, jax.random.key(1), 20_000))
    np.testing.assert_allclose(drawn.mean(axis=0), [5, -3, 1], atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.3)


def test_a_mixture_is_found():
    """Two far clusters, one of a quarter: draws lie in them, as often, and none between."""
    rng = np.random.default_rng(1)
    centres = np.array([[-6.0, 0.0], [6.0, 3.0]])
    batches = []
    for _ in range(300):
        which = (rng.random(64) < 0.25).astype(int)
        batches.append(centres[which] + 0.5 * rng.normal(size=(64, 2)))
    memory = remembered(batches, components=4, decay=0.98)
    drawn = np.asarray(latents.draw(memory, jax.random.key(2), 5_000))
    distance = np.linalg.norm(drawn[:, None] - centres, axis=-1)
    assert np.mean(distance.min(axis=1) < 2.5) > 0.99
    assert np.mean(distance.argmin(axis=1)) == pytest.approx(0.25, abs=0.06)
    share = np.asarray(latents.responsibilities(memory, jnp.asarray(centres, jnp.float32)))
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-5)
    assert np.sum(share[0] * share[1]) < 0.01, "no component explains both"


def test_axes_are_principal_and_keep_their_sign(gaussian):
    batches, covariance = gaussian
    memory = remembered(batches)
    found = np.asarray(latents.axes(memory, 2))
    values, vectors = np.linalg.eigh(covariance)
    assert abs(found[0] @ vectors[:, -1]) == pytest.approx(np.sqrt(values[-1]), rel=0.05)
    assert np.linalg.norm(found[1]) == pytest.approx(np.sqrt(values[-2]), rel=0.1)
    assert all(axis[np.argmax(abs(axis))] > 0 for axis in found)
    assert abs(found[0] @ found[1]) < 1e-3


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_latents_that_are_all_alike(value):
    memory = remembered([np.full((8, 5), value)] * 3, components=3)
    drawn = np.asarray(latents.draw(memory, jax.random.key(0), 16))
    np.testing.assert_allclose(drawn, value, atol=0.05)
    assert np.isfinite(np.asarray(latents.axes(memory, 5))).all()


def test_no_gradient_flows_into_the_memory():
    def total(batch):
        return jnp.sum(latents.seen(latents.fresh(jax.random.key(0), 3, 2), batch)["products"])

    assert not np.any(jax.grad(total)(jnp.ones((4, 3))))


def test_a_memory_of_many_latents_at_once_is_their_clusters():
    rng = np.random.default_rng(0)
    places = np.array([[5.0, 0.0], [-5.0, 0.0], [0.0, 8.0]])
    rows = (places[np.arange(300) % 3] + 0.5 * rng.normal(size=(300, 2))).astype(np.float32)
    memory = latents.fitted(rows, 3)
    share, means, roots = latents.mixture(memory)
    order = np.argsort(np.asarray(means) @ [1.0, 3.0])
    np.testing.assert_allclose(share, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(np.asarray(means)[order], places[[1, 0, 2]], atol=0.2)
    np.testing.assert_allclose(np.asarray(roots @ jnp.swapaxes(roots, 1, 2)), [0.25 * np.eye(2)] * 3, atol=0.08)
    assert jax.tree.structure(memory) == jax.tree.structure(latents.fresh(jax.random.key(0), 2, 3))
    # The next batch is one of many, and does not replace what was found.
    assert float(latents.rate(memory, 0.99)) == pytest.approx(0.01)
    assert float(latents.rate(latents.fresh(jax.random.key(0), 2, 3), 0.99)) == 1


def test_fewer_latents_than_components_can_be_drawn_from():
    memory = latents.fitted(np.repeat(np.eye(3, dtype=np.float32), 2, axis=0), 5)
    drawn = np.asarray(latents.draw(memory, jax.random.key(0), 200))
    assert np.all(np.isfinite(drawn)) and np.median(np.linalg.norm(drawn[:, None] - np.eye(3), axis=-1).min(1)) < 0.5
