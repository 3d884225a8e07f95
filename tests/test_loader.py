import collections

import numpy as np
import pytest

from mgen.data import DataError
from mgen.data.loader import batches
from tests.toys import ToyData

CORPUS = ToyData().open(sample_rate=8_000, samples=16)


def take(count, **options):
    stream = batches(CORPUS, options.pop("split", "train"), batch_size=4, seed=options.pop("seed", 0), **options)
    return [next(stream) for _ in range(count)]


def test_batches_are_a_function_of_seed_and_step():
    whole = take(8)
    for start in (1, 3, 5):
        for ours, theirs in zip(take(2, start=start), whole[start:], strict=False):
            np.testing.assert_array_equal(ours["wave"], theirs["wave"])
            np.testing.assert_array_equal(ours["labels"], theirs["labels"])
    assert any((a["labels"] != b["labels"]).any() for a, b in zip(whole, take(8, seed=1), strict=True))


def test_an_epoch_sees_every_item_once_in_a_new_order():
    epochs = [np.concatenate([b["labels"][:, 0] for b in take(3, start=start)]) for start in (0, 3)]
    for epoch in epochs:
        assert set(collections.Counter(epoch.tolist()).values()) == {1}
        assert len(epoch) == 12
    assert (epochs[0] != epochs[1]).any()


def test_randomness_is_fresh_in_every_epoch():
    first, second = (
        {float(level): w for b in take(3, start=s) for level, w in zip(b["labels"][:, 0], b["wave"], strict=True)}
        for s in (0, 3)
    )
    assert all((first[label] != second[label]).any() for label in first)


def test_validation_is_in_order_and_the_same_each_time():
    one, two = take(2, split="validation"), take(2, split="validation")
    np.testing.assert_allclose(one[0]["labels"][:, 0], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(one[0]["wave"], two[0]["wave"])


def test_processes_share_the_same_global_batch(monkeypatch):
    whole = take(3)
    parts = []
    for process in range(2):
        monkeypatch.setattr("jax.process_index", lambda process=process: process)
        monkeypatch.setattr("jax.process_count", lambda: 2)
        parts.append(take(3))
    for step in range(3):
        together = np.concatenate([part[step]["labels"][:, 0] for part in parts])
        assert sorted(together) == sorted(whole[step]["labels"][:, 0])
    with pytest.raises(DataError, match="batch_size: 3 does not divide over 2 processes"):
        batches(CORPUS, "train", batch_size=3, seed=0)


def test_an_empty_split_is_refused():
    empty = ToyData(held_out=0).open(sample_rate=8_000, samples=16)
    with pytest.raises(DataError, match="the validation split is empty"):
        batches(empty, "validation", batch_size=4, seed=0)
