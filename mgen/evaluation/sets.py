"""The sounds of an evaluation: real ones, what the features keep, what the model makes, and what it must beat."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from mgen import parallel
from mgen.contracts import Corpus
from mgen.metrics.embedding import embed
from mgen.training.checkpoint import Loaded
from mgen.training.clips import clips
from mgen.training.experiment import Experiment
from mgen.training.sampling import generate, heard, labels_asked, settings_like
from mgen.training.step import averaged

#: Names of the sets that are measured, in the order they are shown.
REAL, RECONSTRUCTED, GENERATED, MEAN, NOISE = "real", "reconstructed", "generated", "mean features", "white noise"

_AT_ONCE = 64
_LEVEL = 0.1  # root mean square


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
    index: np.ndarray
    """Which clips of their split `REAL` are, int [count]: two seeds may have drawn the same."""


def collect(loaded: Loaded, corpus: Corpus, *, count: int, seed: int) -> Sets:
    """Makes the sets of one seed.

    Real clips come from the validation split, or from the training split where there is none; there are at most
    `count` of them. The model is asked for sounds with the labels of the real ones, its other controls at their
    defaults. Where it has no others (`settings_like`), each generated sound has the real one that it should be.

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
    index = rng.permutation(corpus.size(split))[:count]
    real, labels = _items(corpus, split, index, rng)
    train, trained = _items(corpus, "train", rng.permutation(corpus.size("train"))[:count], rng)
    knobs = experiment.model.controls(loaded.spec)
    settings, paired = settings_like(knobs, corpus.labels, labels)
    if not paired and len(labels) < count:  # as many as were asked for, though there are fewer labels to ask with
        again = labels[rng.integers(len(labels), size=count)]
        settings, _ = settings_like(knobs, corpus.labels, again)
    encoded = np.asarray(jax.jit(features.encode)(real))
    keys = jax.random.split(jax.random.key(seed), len(real))
    mean = np.asarray(jax.jit(features.encode)(train)).mean(axis=0, keepdims=True)
    level = np.sqrt(np.mean(np.square(real, dtype=np.float64)))
    generated = generate(experiment, loaded.spec, averaged(loaded.state), settings, seed=seed)
    noise = rng.normal(0, level, (len(generated), features.samples)).clip(-1, 1).astype(np.float32)
    middle = np.repeat(parallel.spread(features.decode, mean, keys[:1]), len(generated), axis=0)
    named = {
        REAL: heard(experiment, real, labels),
        RECONSTRUCTED: heard(experiment, parallel.spread(features.decode, encoded, keys), labels),
        GENERATED: generated,
        MEAN: heard(experiment, middle, labels_asked(loaded.spec, settings, len(generated))),
        NOISE: noise,
    }
    train = heard(experiment, train, trained)
    known = {label.name: labels[:, column] for column, label in enumerate(corpus.labels)}
    return Sets(features.sample_rate, train, named, settings, known, paired, split == "validation", index)


def library(experiment: Experiment, corpus: Corpus, *, most: int = 2000) -> np.ndarray:
    """Embeddings of the training clips, all of them up to `most`, each brought to one level: a quiet copy is a copy."""
    index = np.random.default_rng(0).permutation(corpus.size("train"))[:most]
    parts = np.array_split(index, -(-len(index) // _AT_ONCE))
    made = (heard(experiment, *_items(corpus, "train", part, np.random.default_rng(0))) for part in parts)
    return np.concatenate([levelled(waves, sample_rate=experiment.features.sample_rate) for waves in made])


def levelled(waves: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Embeddings of clips brought to one level, float [count, dimensions]; silence stays silence."""
    level = np.sqrt(np.mean(np.square(waves, dtype=np.float64), axis=-1, keepdims=True))
    gain = np.where(level > 0, _LEVEL / np.where(level > 0, level, 1), 0)
    return np.asarray(embed((waves * gain).astype(np.float32), sample_rate=sample_rate))


def _items(corpus: Corpus, split: str, index: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Items of a split: waves [count, samples], labels [count, labels]."""
    drawn = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=len(index))]
    return clips(corpus, split, index, drawn)
