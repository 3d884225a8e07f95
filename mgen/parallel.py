"""How a batch is spread over devices: the only file that says pmap.

Why pmap and not jit with a sharded batch: XLA gathers the whole batch onto every device at each FFT under jit
(jax-ml/jax#15680), and pmap has no collectives but those asked for. To move to `jax.shard_map`, change this file.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

#: Name of the device axis, for `jax.lax.pmean` and the like inside a replicated function.
AXIS = "device"


def use_all_cores() -> None:
    """Makes each CPU core a device, unless XLA_FLAGS says how many there are. To be called before jax is first used.

    XLA transforms on one core of a CPU device at a time, so `spread` over as many devices as cores is that much faster.
    The other flag is for jaxlib 0.11, which hangs on an FFT in a loop where there are several such devices without it.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" in flags:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    added = f"--xla_force_host_platform_device_count={cores} --xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = f"{flags} {added}".strip()


def replicate(function: Callable, *, donate: bool = False) -> Callable:
    """Compiles `function(state, rng, batch)` to run on every local device, each on its share of the batch.

    State and key go in and come out whole, the same on every device; the batch carries a leading device axis (see
    `split`); the function averages what must agree with `jax.lax.pmean(..., AXIS)`. With `donate` the state's memory
    is reused for the result.
    """
    return jax.pmap(
        function, axis_name=AXIS, in_axes=(None, None, 0), out_axes=None, donate_argnums=(0,) if donate else ()
    )


def place(tree: Any) -> Any:
    """Puts a copy of every array on each local device, as `replicate` gives them back: it compiles once, not twice."""
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))


def check_batch_size(batch_size: int) -> None:
    """Refuses a global batch that does not divide over all devices of all processes.

    Raises:
      ValueError: the message names batch_size and the multiple to use.
    """
    if batch_size % jax.device_count():
        raise ValueError(
            f"batch_size: {batch_size} does not divide over {jax.device_count()} devices; "
            f"use a multiple of {jax.device_count()}"
        )


def split(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays [batch, ...] of this process to [local devices, batch / devices, ...]; see `check_batch_size`."""
    devices = jax.local_device_count()
    return {name: array.reshape(devices, len(array) // devices, *array.shape[1:]) for name, array in batch.items()}


@functools.lru_cache(maxsize=32)
def _mapped(function: Callable) -> Callable:
    """`function` of single items, for batches [devices, items, ...].

    On an accelerator the items of a device run together. On a CPU they run one after another, where each stays in the
    cache of its core: phases of clips of 5 s are so found in 60 to 80 % of the time.
    """

    def one_by_one(*arrays: Any) -> Any:
        return jax.lax.map(lambda item: function(*item), arrays)

    return jax.pmap(one_by_one if jax.default_backend() == "cpu" else jax.vmap(function))


def spread(function: Callable, *arrays: Any, at_once: int = 8) -> Any:
    """Applies a function of single items to batches [batch, ...], spread over all local devices.

    A batch that does not divide is padded with copies of its last item, which are cut off again. The compiled form is
    kept for the same function object, so pass a bound method or a module's function, not a fresh lambda.

    Args:
      function: maps one item of each array to one result, in pure JAX.
      *arrays: batches with equal leading axes.
      at_once: items on one device at a time; a larger batch goes in several rounds, so memory is bounded.

    Returns:
      NumPy arrays [batch, ...].
    """
    count, devices = len(arrays[0]), jax.local_device_count()
    rows = min(-(-count // devices), at_once)
    rounds = [np.minimum(first + np.arange(rows * devices), count - 1) for first in range(0, count, rows * devices)]

    def deal(array: Any, index: np.ndarray) -> Any:
        # By way of the host: pmap refuses what already lies on devices in another arrangement.
        if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(deal(jax.random.key_data(array), index), impl=jax.random.key_impl(array))
        dealt = np.asarray(array)[index]
        return dealt.reshape(devices, rows, *dealt.shape[1:])

    def gather(leaf: Any) -> np.ndarray:
        return jax.device_get(leaf).reshape(rows * devices, *leaf.shape[2:])

    run = _mapped(function)
    made = [jax.tree.map(gather, run(*(deal(array, index) for array in arrays))) for index in rounds]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *made)
