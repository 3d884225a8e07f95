import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import parallel


def test_several_devices_are_there():
    assert jax.local_device_count() == 4, "conftest.py must run before jax starts"


def double(x, key):
    return 2 * x + jax.random.uniform(key)


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8])
def test_spread_is_the_function_of_each_item(count):
    x = np.arange(count * 5, dtype=np.float32).reshape(count, 5)
    keys = jax.random.split(jax.random.key(0), count)
    together = parallel.spread(double, x, keys)
    assert together.shape == (count, 5)
    for index in range(count):
        np.testing.assert_array_equal(together[index], double(x[index], keys[index]))


def test_spread_in_several_rounds_is_the_same():
    x, keys = np.arange(22, dtype=np.float32).reshape(11, 2), jax.random.split(jax.random.key(0), 11)
    np.testing.assert_array_equal(parallel.spread(double, x, keys, at_once=1), parallel.spread(double, x, keys))


def test_spread_takes_what_a_replicated_function_gave():
    placed = parallel.place(np.ones((3, 5), np.float32))
    keys = jax.random.split(jax.random.key(0), 3)
    np.testing.assert_array_equal(parallel.spread(double, placed, keys)[2], double(np.ones(5, np.float32), keys[2]))


def test_replicate_averages_over_devices_and_keeps_the_state_whole():
    def step(state, rng, batch):
        mean = jax.lax.pmean(batch["wave"].mean(), parallel.AXIS)
        return state + mean, {"mean": mean}

    batch = {"wave": np.arange(8, dtype=np.float32)}
    state, metrics = parallel.replicate(step)(jnp.ones(3), jax.random.key(0), parallel.split(batch))
    np.testing.assert_allclose(state, np.full(3, 4.5))
    assert float(metrics["mean"]) == 3.5


def test_a_batch_is_split_in_its_order():
    batch = {"wave": np.arange(24, dtype=np.float32).reshape(8, 3), "labels": np.arange(8, dtype=np.float32)[:, None]}
    found = parallel.split(batch)
    assert {name: array.shape for name, array in found.items()} == {"wave": (4, 2, 3), "labels": (4, 2, 1)}
    for name, array in batch.items():
        np.testing.assert_array_equal(np.concatenate(found[name]), array)


def test_a_batch_without_labels_is_split_too():
    batch = parallel.split({"wave": np.ones((8, 3), np.float32), "labels": np.zeros((8, 0), np.float32)})
    assert batch["labels"].shape == (4, 2, 0)
    run = parallel.replicate(lambda state, rng, batch: (state + batch["wave"].sum(), batch["labels"]))
    state, labels = run(jnp.zeros(()), jax.random.key(0), batch)
    assert float(state) == 6 and labels.shape == (2, 0)


@pytest.mark.parametrize("count", [3, 6])
def test_what_does_not_split_is_no_shorter(count):
    with pytest.raises(ValueError, match="reshape"):
        parallel.split({"wave": np.ones((count, 3), np.float32)})


def test_a_placed_state_compiles_once():
    run = parallel.replicate(lambda state, rng, batch: (state + batch["x"].sum(), {}))
    state, batch = parallel.place(jnp.zeros(3)), parallel.split({"x": np.ones(4, np.float32)})
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("logging.Logger.handle", lambda self, record: lines.append(record.getMessage()))
        state, _ = run(state, jax.random.key(0), batch)
        first = len(lines)
        state, _ = run(state, jax.random.key(0), batch)
    assert first > 0
    assert not [line for line in lines[first:] if "ompil" in line]


def test_a_donated_state_is_used_up():
    state, batch = parallel.place(jnp.zeros(3)), parallel.split({"x": np.ones(4, np.float32)})
    run = parallel.replicate(lambda state, rng, batch: (state + batch["x"].sum(), {}), donate=True)
    run(state, jax.random.key(0), batch)
    assert state.is_deleted()


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch_size: 6 does not divide over 4 devices; use a multiple of 4"):
        parallel.check_batch_size(6)


@pytest.mark.parametrize("flags", ["", "--xla_dump_to=x"])
def test_every_core_becomes_a_device(monkeypatch, flags):
    monkeypatch.setenv("XLA_FLAGS", flags)
    parallel.use_all_cores()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert os.environ["XLA_FLAGS"].startswith(flags)
    assert f"--xla_force_host_platform_device_count={cores}" in os.environ["XLA_FLAGS"].split()


def test_a_device_count_that_was_asked_for_stays(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    parallel.use_all_cores()
    assert os.environ["XLA_FLAGS"] == "--xla_force_host_platform_device_count=3"
