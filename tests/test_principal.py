"""Principal coordinates against a plain PCA, and what is done where there are few examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import principal


def clips(count=40, shape=(6, 5), rank=None, seed=0):
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    values = rng.normal(size=(count, size)) * np.geomspace(3, 0.1, size)
    if rank:
        values = values[:, :rank] @ rng.normal(size=(rank, size))
    return (values.reshape(count, *shape) + 1).astype(np.float32)


def fitted(examples, count, within=(99, 99)):
    return principal.fit(principal.fresh(examples.shape[1:], count, within), examples)


@pytest.mark.parametrize(("count", "shape"), [(40, (6, 5)), (20, (6, 5)), (40, (4, 3, 2))])
def test_whole_axes_are_a_plain_pca(count, shape):
    examples = clips(count, shape)
    basis = fitted(examples, 4)
    flat = examples.reshape(count, -1)
    _, singular, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    np.testing.assert_allclose(basis["scale"], singular[:4] / np.sqrt(count), rtol=1e-3)
    found = np.asarray(principal.project(basis, examples))
    np.testing.assert_allclose(np.abs(found), np.abs((flat - flat.mean(0)) @ axes[:4].T), atol=1e-3)
    rebuilt = np.asarray(principal.unproject(basis, found))
    expected = ((flat - flat.mean(0)) @ axes[:4].T @ axes[:4] + flat.mean(0)).reshape(examples.shape)
    np.testing.assert_allclose(rebuilt, expected, atol=1e-3)


def test_all_coordinates_hold_everything():
    examples = clips()
    basis = fitted(examples, 30)
    found = principal.project(basis, examples)
    np.testing.assert_allclose(principal.unproject(basis, found), examples, atol=1e-4)
    assert float(basis["variance"]) == pytest.approx(np.mean((examples - examples.mean(0)) ** 2), rel=1e-4)


def test_axes_are_orthonormal_also_within_fewer():
    examples = clips(shape=(8, 7))
    basis = fitted(examples, 9, within=(4, 3))
    assert basis["axes"].shape == (9, 4, 3)
    flat = np.asarray(basis["axes"]).reshape(9, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(9), atol=1e-4)
    np.testing.assert_allclose(basis["bins"].T @ basis["bins"], np.eye(3), atol=1e-5)


def test_fewer_examples_than_coordinates_leave_the_rest_at_zero():
    examples = clips(count=5)
    basis = fitted(examples, 20)
    found = np.asarray(principal.project(basis, clips(seed=1)))
    assert np.all(found[:, 4:] == 0) and np.all(np.abs(found[:, :4]).max(axis=0) > 0)
    assert np.all(np.isfinite(found / basis["scale"])) and np.all(np.asarray(basis["scale"]) > 0)
    np.testing.assert_allclose(principal.unproject(basis, principal.project(basis, examples)), examples, atol=1e-3)


def test_equal_examples_give_numbers_still():
    examples = np.full((4, 6, 5), -1.0, np.float32)
    basis = fitted(examples, 3)
    for name, value in basis.items():
        assert np.all(np.isfinite(value)), name
    np.testing.assert_allclose(principal.unproject(basis, principal.project(basis, examples)), examples, atol=1e-6)


def test_rebuilt_features_keep_to_the_range_of_the_examples_and_come_softly_to_its_floor():
    examples = clips()
    basis = fitted(examples, 30)
    low, high = examples.min(), examples.max()
    coordinates = 3 * principal.project(basis, examples)
    far = np.asarray(principal.unproject(basis, coordinates))
    rebuilt = np.asarray(principal.rebuild(basis, coordinates))
    assert rebuilt.min() >= low and rebuilt.max() <= high and np.any(far < low) and np.any(far > high)
    middle = (far > low + 0.5 * (high - low)) & (far < high)
    np.testing.assert_allclose(rebuilt[middle], far[middle], atol=1e-3)
    slope = jax.grad(lambda shift: jnp.sum(principal.rebuild({**basis, "mean": basis["mean"] + shift}, coordinates)))
    assert np.isfinite(slope(0.0)) and slope(-0.1 * (high - low)) > 0


def test_what_is_just_above_the_floor_is_the_floor():
    basis = fitted(clips(), 3)
    low, size = float(basis["low"]), float(basis["high"] - basis["low"])
    given = low + size * jnp.array([0.0, 0.01, 0.04, 0.05, 1.0])
    np.testing.assert_allclose(
        principal.silence_floor(basis, given), low + size * np.array([0, 0, 0, 0.05, 1]), atol=1e-6
    )


def test_a_fresh_basis_has_the_sizes_of_a_fitted_one():
    fresh = principal.fresh((6, 5), 7, (4, 3))
    found = principal.fit(fresh, clips())
    assert {name: value.shape for name, value in fresh.items()} == {name: v.shape for name, v in found.items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((6,), 3, (4, 4)), "features of frames and bins"),
        (((6, 5), 0, (4, 4)), "model.coordinates: expected at least 1, got 0"),
        (((6, 5), 3, (4, 0)), "model.within: expected at least 1, got 0"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        principal.fresh(*arguments)
    with pytest.raises(ValueError, match="expected at least 2 clips, got 1"):
        fitted(clips(count=1), 3)
