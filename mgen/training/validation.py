"""What is seen of held-out sound while a run is trained: its losses, and how what the model plays measures up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from scipy.spatial.distance import pdist

from mgen import parallel
from mgen.arrays import EPSILON
from mgen.contracts import Corpus, Loss, Settings, Spec, Variables
from mgen.data.loader import batches
from mgen.metrics.distribution import kernel_distance
from mgen.metrics.embedding import embed
from mgen.metrics.mel import mel_distance
from mgen.metrics.timbre import timbre
from mgen.training.clips import clips
from mgen.training.experiment import Experiment
from mgen.training.sampling import generate, heard, settings_like
from mgen.training.step import TrainState, averaged, encoder, make_validation

_FEWEST, _SHORTEST = 3, 4096  # sounds, and samples of each, of which these measures say something


class Validation:
    """Measures the running means of the parameters on the same held-out sound each time.

    `validation/PLAYER/...` are the losses. `validation/sound/...` are of what the model plays, by the measures of
    `mgen evaluate`: `kernel_distance` to the real ones (no bias where there are few), `spread` (how far sounds are from
    each other, of what real ones are: near 0 they are all alike), `flatness` (1 is noise), and `log_mel_db` where the
    labels of a real sound say which one is to be played. The few sounds tell a run that gets better from one that does
    not; how good it is, `mgen evaluate` says. `broken` is the share that holds NaN.
    """

    def __init__(self, experiment: Experiment, corpus: Corpus, spec: Spec, losses: Mapping[str, Loss]):
        """Renders nothing yet; see `possible`."""
        self.possible = corpus.size("validation") > 0
        self._experiment, self._corpus, self._spec = experiment, corpus, spec
        self._run = parallel.replicate(make_validation(losses, encode=encoder(experiment.features, corpus)))
        features = experiment.features
        heard = min(experiment.validation_sounds, corpus.size("validation")) if self.possible else 0
        self._count = heard if heard >= _FEWEST and features.samples >= _SHORTEST else 0
        self._real: tuple[np.ndarray, Settings, bool] | None = None

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Means over the batches, and over the sounds."""
        variables = averaged(state)
        numbers = {f"validation/{name}": value for name, value in self._losses(variables).items()}
        if self._count:
            numbers |= {f"validation/sound/{name}": value for name, value in self._sounds(variables).items()}
        return numbers

    def _losses(self, variables: Variables) -> dict[str, float]:
        size = self._experiment.batch_size
        stream = batches(self._corpus, "validation", batch_size=size, seed=0)
        whole = -(-self._corpus.size("validation") // size)  # more batches would say the same again
        rows = []
        for index in range(min(self._experiment.validation_batches, whole)):
            rows.append(self._run(variables, jax.random.key(index), parallel.split(next(stream))))
        return means(jax.device_get(rows))

    def _sounds(self, variables: Variables) -> dict[str, float]:
        if self._real is None:
            self._real = self._listen()
        real, settings, paired = self._real
        rate = self._experiment.features.sample_rate
        made = generate(self._experiment, self._spec, variables, settings, seed=0)
        whole = np.isfinite(made).all(axis=1)  # a model that breaks now may mend: it is said, and the rest is measured
        broken = {"broken": float(1 - np.mean(whole))}
        if np.sum(whole) < _FEWEST:
            return broken
        made = made[whole]
        own, theirs = (np.asarray(embed(waves, sample_rate=rate)) for waves in (made, real))
        apart = [float(np.mean(pdist(points))) for points in (own, theirs)]
        numbers = broken | {
            "kernel_distance": kernel_distance(own, theirs).value,
            "spread": apart[0] / max(apart[1], EPSILON),
        }
        flatness = np.asarray(timbre(made, sample_rate=rate).flatness)
        if np.isfinite(flatness).any():  # silence has none
            numbers["flatness"] = float(np.mean(flatness[np.isfinite(flatness)]))
        if paired:
            numbers["log_mel_db"] = float(np.mean(mel_distance(made, real[whole], sample_rate=rate)))
        return numbers

    def _listen(self) -> tuple[np.ndarray, Settings, bool]:
        """Real sounds, the settings that ask for the like, and whether for each of them."""
        drawn = [np.random.default_rng([0, index]) for index in range(self._count)]
        real, labels = clips(self._corpus, "validation", range(self._count), drawn)
        knobs = self._experiment.model.controls(self._spec)
        settings, paired = settings_like(knobs, self._spec.labels, labels)
        return heard(self._experiment, real, labels), settings, paired


def means(rows: Sequence[Mapping[str, jax.Array]]) -> dict[str, float]:
    """Mean of each number over rows that all have it."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
