"""Layers with a state: step by step is what all at once is, and each cell is what its paper says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.blocks.recurrence import GatedLinear, Stack, silent

CELLS = ("lstm", "gru", "linear")
X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype(np.float32)


def stack_of(cell, depth=2):
    stack = Stack(cell, 5, depth)
    return stack, stack.init(jax.random.key(0), X, silent(cell, 5, depth, 2))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("cut", [1, 4])
def test_a_sequence_in_parts_is_the_sequence(cell, cut):
    stack, variables = stack_of(cell)
    whole, end = stack.apply(variables, X, silent(cell, 5, 2, 2))
    first, state = stack.apply(variables, X[:, :cut], silent(cell, 5, 2, 2))
    second, state = stack.apply(variables, X[:, cut:], state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state, end)


@pytest.mark.parametrize("cell", CELLS)
def test_the_past_is_heard_and_the_future_is_not(cell):
    stack, variables = stack_of(cell)
    before = stack.apply(variables, X, silent(cell, 5, 2, 2))[0]
    other = X.copy()
    other[:, 3] += 1
    after = stack.apply(variables, other, silent(cell, 5, 2, 2))[0]
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.all(np.abs(before - after)[:, 3:].max(axis=(0, 2)) > 1e-4)


@pytest.mark.parametrize(("cell", "matrices"), [("lstm", 8), ("gru", 6), ("linear", 5)])
def test_sizes(cell, matrices):
    """Square matrices of a layer, beside its biases."""
    _, variables = stack_of(cell, depth=1)
    square = [leaf for leaf in jax.tree.leaves(variables) if leaf.ndim == 2]
    assert sum(leaf.size for leaf in square) == matrices * 25


def test_a_linear_layer_is_its_recurrence():
    layer, state = GatedLinear(5), jnp.full((2, 5), 0.3)
    variables = layer.init(jax.random.key(1), X, state)
    params = variables["params"]

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    h, outputs = np.asarray(state), []
    for x in X.transpose(1, 0, 2):
        decay = np.exp(-8 * jax.nn.sigmoid(dense("gate", x)) * jax.nn.softplus(params["decay"]))
        h = decay * h + np.sqrt(1 - decay**2 + 1e-6) * jax.nn.sigmoid(dense("admit", x)) * dense("value", x)
        outputs.append(dense("out", h * jax.nn.gelu(dense("shown", x))))
    found, end = layer.apply(variables, X, state)
    np.testing.assert_allclose(found, np.stack(outputs, axis=1), atol=1e-5)
    np.testing.assert_allclose(end, h, atol=1e-5)


def test_a_linear_layer_begins_with_a_long_memory():
    layer = GatedLinear(64)
    x = np.zeros((1, 1, 64), np.float32)
    own = layer.init(jax.random.key(0), x, jnp.zeros((1, 64)))["params"]["decay"]
    decay = np.exp(-8 * np.log1p(np.exp(own)))
    assert decay.min() >= 0.9 and decay.max() <= 0.999
