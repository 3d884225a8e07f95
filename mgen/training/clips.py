"""Clips of a corpus for those who listen on the host, as the training step hears them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgen import parallel
from mgen.contracts import Corpus, Processed


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
