"""From a corpus to batches: shuffled, sharded over processes, read ahead, and resumable by the step number alone.

grain does the work. Its random-access pipeline makes batch `step` a pure function of (seed, step), so there is no
iterator state to save: a resumed run asks for its batches from the step it had reached.
"""

from __future__ import annotations

from collections.abc import Iterator

import grain
import jax
import numpy as np

from mgen.contracts import Corpus
from mgen.data import DataError


class _Item(grain.transforms.RandomMap):
    def __init__(self, corpus: Corpus, split: str):
        self.corpus, self.split = corpus, split

    def random_map(self, element: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self.corpus.item(self.split, int(element), rng)


def batches(
    corpus: Corpus, split: str, *, batch_size: int, seed: int, start: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the batches of `split`, from batch number `start` on, without end.

    "train" is shuffled anew in every epoch and each item gets fresh randomness; any other split comes in order. The
    items of global batch n are the same for any number of processes.

    Args:
      corpus: opened data.
      split: "train" or "validation".
      batch_size: items of the global batch, over all processes.
      seed: of the shuffle and of the items' randomness.
      start: number of the first batch, such as the step at which a run was stopped.

    Raises:
      DataError: the split is empty, or the batch does not divide over the processes.
    """
    size, processes = corpus.size(split), jax.process_count()
    if not size:
        raise DataError(f"the {split} split is empty")
    if batch_size % processes:
        raise DataError(f"batch_size: {batch_size} does not divide over {processes} processes")
    items = grain.MapDataset.range(size).seed(seed)
    items = (items.shuffle() if split == "train" else items).repeat().random_map(_Item(corpus, split))
    own = items[jax.process_index() :: processes].batch(batch_size // processes)
    # Two threads: numpy and soxr release the lock, and two batches ahead hide a slow one.
    iterator = iter(own.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)))
    iterator.set_state({"next_index": start})
    return iterator
