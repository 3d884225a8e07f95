"""The published dense network: its size to the number, and what it is given."""

import jax
import numpy as np
import pytest

from mgen.contracts import Spec
from mgen.controls import Switch
from mgen.models.original_switches import OriginalSwitches

SONGS = tuple(Switch(f"song{i}") for i in range(100))


def test_the_published_number_of_parameters():
    spec = Spec(shape=(32_768,), labels=SONGS)
    variables = jax.eval_shape(lambda: OriginalSwitches().init(jax.random.key(0), spec))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 605_107_456


def test_dropout_is_for_training_only():
    model, spec = OriginalSwitches(widths=(16, 64), dropout=(0.5, 0.5)), Spec(shape=(50,), labels=SONGS[:3])
    variables = model.init(jax.random.key(0), spec)
    batch = {"features": np.ones((2, 50), np.float32), "labels": np.eye(3, dtype=np.float32)[:2]}
    loss = model.losses(spec)["decoder"]

    def value(seed, train):
        return float(loss(variables, jax.random.key(seed), batch, train=train).value)

    assert value(0, False) == value(1, False)
    assert value(0, True) != value(1, True)
    settings = {song.name: np.ones(2, np.float32) for song in spec.labels}
    made = model.sample(variables, jax.random.key(0), settings, spec)
    assert made.shape == (2, 50)
    np.testing.assert_array_equal(made[0], made[1])


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"widths": ()}, "model.widths"), ({"widths": (2, 0)}, "model.widths"), ({"dropout": (0.1,)}, "model.dropout")],
)
def test_refuses_layers_that_are_none(fields, words):
    with pytest.raises(ValueError, match=words):
        OriginalSwitches(**fields)


def test_needs_labels_and_a_waveform():
    for spec in (Spec(shape=(8,)), Spec(shape=(8, 8), labels=SONGS)):
        with pytest.raises(ValueError, match="OriginalSwitches needs labels and Waveform features"):
            OriginalSwitches().init(jax.random.key(0), spec)
