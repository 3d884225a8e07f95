"""Clips of a corpus for those who listen on the host, as the training step hears them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgen import parallel
from mgen.contracts import Corpus, Processed
from mgen.training.experiment import Experiment

_AT_ONCE = 256  # clips of which the waves are held together


def clips(
    corpus: Corpus, split: str, index: Sequence[int], rngs: Sequence[np.random.Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """Items by number, processed where the corpus leaves something to be done on the device.

    Args:
      corpus: opened data.
      split: "train" or "validation".
      index: of the items.
      rngs: one for each of them.

    Returns:
      waves float32 [count, samples] and labels float32 [count, labels].
    """
    items = [corpus.item(split, int(number), rng) for number, rng in zip(index, rngs, strict=True)]
    waves, labels = np.stack([item["wave"] for item in items]), np.stack([item["labels"] for item in items])
    if isinstance(corpus, Processed):
        waves = parallel.spread(corpus.process, waves, labels)
    return waves, labels


def examples(experiment: Experiment, corpus: Corpus, count: int) -> np.ndarray:
    """Features of clips drawn from the training split, float32 [clips, *shape], the same in every process."""
    order = np.random.default_rng([experiment.seed, 1]).permutation(corpus.size("train"))[:count]
    found = np.empty((len(order), *experiment.features.shape), np.float32)
    for start in range(0, len(order), _AT_ONCE):  # waves of all at once would take as much memory again
        some = order[start : start + _AT_ONCE]
        waves, _ = clips(corpus, "train", some, [np.random.default_rng([experiment.seed, index]) for index in some])
        found[start : start + len(some)] = parallel.spread(experiment.features.encode, waves)
    return found
