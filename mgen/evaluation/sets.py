"""The sounds of an evaluation: real ones, what the features keep, what the model makes, and what it must beat."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from mgen import parallel
from mgen.contracts import Corpus
from mgen.training.checkpoint import Loaded
from mgen.training.sampling import generate, settings_like
from mgen.training.step import averaged

#: Names of the sets that are measured, in the order they are shown.
REAL, RECONSTRUCTED, GENERATED, MEAN, NOISE = "real", "reconstructed", "generated", "mean spectrogram", "white noise"


@dataclasses.dataclass(frozen=True)
class Sets:
    """Sounds, float32 [count, samples] each, of one seed."""

    sample_rate: int
    """Hz."""
    train: np.ndarray
    """Clips that the model was trained on."""
    named: dict[str, np.ndarray]
    """Sets by their name; `REAL` was held out of training if the data has something to spare for it."""
    settings: dict[str, np.ndarray]
    """What `GENERATED` was made from, {control: [count]}."""
    labels: dict[str, np.ndarray]
    """What the data says of `REAL`, {label: [count]}."""
    paired: bool
    """Whether sound i of each set has the labels of real clip i, so that the two can be compared one to one."""
    held_out: bool
    """Whether `REAL` was held out of training."""


def collect(loaded: Loaded, corpus: Corpus, *, count: int, seed: int) -> Sets:
    """Makes the sets of one seed.

    Real clips come from the validation split, or from the training split where there is none; there are at most
    `count` of them. Where the labels are the model's controls (`settings_like`), each generated sound has the real one
    that it should be.

    Args:
      loaded: the checkpoint.
      corpus: its data, opened as for training.
      count: sounds of each set.
      seed: of the clips that are drawn, of the settings, of the model's noise and of invented phases.

    Returns:
      Sets of `count` sounds, fewer where there are not as many real clips and sounds are compared one to one.
    """
    experiment, rng = loaded.experiment, np.random.default_rng([seed, 0])
    features, split = experiment.features, "validation" if corpus.size("validation") else "train"
    real, labels = _items(corpus, split, count, rng)
    train, _ = _items(corpus, "train", count, rng)
    knobs = experiment.model.controls(loaded.spec)
    settings, paired = settings_like(knobs, corpus.labels, labels, rng=rng)
    encoded = np.asarray(jax.jit(features.encode)(real))
    keys = jax.random.split(jax.random.key(seed), len(real))
    mean = np.asarray(jax.jit(features.encode)(train)).mean(axis=0, keepdims=True)
    level = np.sqrt(np.mean(np.square(real, dtype=np.float64)))
    generated = generate(experiment, loaded.spec, averaged(loaded.state), settings, seed=seed)
    noise = rng.normal(0, level, (len(generated), features.samples)).clip(-1, 1).astype(np.float32)
    named = {
        REAL: real,
        RECONSTRUCTED: parallel.spread(features.decode, encoded, keys),
        GENERATED: generated,
        MEAN: np.repeat(parallel.spread(features.decode, mean, keys[:1]), len(generated), axis=0),
        NOISE: noise,
    }
    known = {label.name: labels[:, column] for column, label in enumerate(corpus.labels)}
    return Sets(features.sample_rate, train, named, settings, known, paired, split == "validation")


def _items(corpus: Corpus, split: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Distinct items of a split, as many as there are up to `count`: waves [count, samples], labels [count, labels]."""
    chosen = rng.permutation(corpus.size(split))[:count]
    seeds = rng.integers(2**63, size=len(chosen))
    drawn = (np.random.default_rng(seed) for seed in seeds)
    items = [corpus.item(split, int(index), own) for index, own in zip(chosen, drawn, strict=True)]
    return np.stack([item["wave"] for item in items]), np.stack([item["labels"] for item in items])
