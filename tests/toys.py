"""Small stand-ins for each contract, so that training is tested in milliseconds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mgen import controls, panel
from mgen.contracts import LossOutput, Spec
from mgen.controls import Slider
from mgen.features import Waveform
from mgen.training.experiment import Experiment
from mgen.training.optimisers import Adam


@dataclasses.dataclass(frozen=True)
class ToyData:
    """Noise whose level is its label."""

    clips: int = 12
    held_out: int = 4

    def open(self, *, sample_rate, samples):
        return ToyCorpus(self, samples)


class ToyCorpus:
    labels = (Slider("level", 0.0, 1.0, 0.5),)
    report = "toy data"
    fingerprint = "toy"

    def __init__(self, data, samples):
        self.sizes = {"train": data.clips, "validation": data.held_out}
        self.samples = samples

    def size(self, split):
        return self.sizes[split]

    def item(self, split, index, rng):
        level = np.float32((index + 1) / self.sizes[split])
        return {"wave": level * rng.uniform(-1, 1, self.samples).astype(np.float32), "labels": level[None]}


@dataclasses.dataclass(frozen=True)
class WarpedData(ToyData):
    """The same noise, of which as much is heard as its label says; of a sound that is given, every second sample."""

    def warp(self, wave, *, sample_rate, samples):
        wave = wave[::2][:samples]
        return np.pad(wave, (0, samples - len(wave)))

    def unwarp(self, wave, labels, *, sample_rate, samples):
        return jnp.where(jnp.arange(len(wave)) < labels[0] * len(wave), wave, 0)


@dataclasses.dataclass(frozen=True)
class ToyModel:
    """A game of two: `mean` learns the mean absolute sample with noise in its loss, `follower` learns what mean has."""

    start: float = 0.0

    def init(self, rng, spec: Spec):
        def own(value):
            return {"params": {"value": jnp.full((3,), value) + jax.random.normal(rng, (3,)) * 0.01}}

        return {"mean": own(self.start), "follower": {**own(1.0), "batch_stats": {"seen": jnp.zeros(())}}}

    def losses(self, spec):
        return {"mean": self.mean_loss, "follower": self.follower_loss}

    def mean_loss(self, variables, rng, batch, *, train):
        noise = 0.01 * jax.random.normal(rng, (3,)) if train else 0.0
        value = jnp.mean((variables["mean"]["params"]["value"] + noise - jnp.abs(batch["features"]).mean()) ** 2)
        return LossOutput(value, {"square": value})

    def follower_loss(self, variables, rng, batch, *, train):
        gap = variables["follower"]["params"]["value"] - variables["mean"]["params"]["value"]
        seen = variables["follower"]["batch_stats"]["seen"] + batch["features"].shape[0]
        return LossOutput(jnp.mean(gap**2), {}, {"batch_stats": {"seen": seen}} if train else {})

    def controls(self, spec):
        return spec.labels

    def sample(self, variables, rng, settings, spec):
        level = jnp.asarray(settings["level"])[:, None]
        return level * jax.random.uniform(rng, (len(level), *spec.shape), minval=-1.0)


def settings(model, spec, count, **values):
    """Settings of a model, at their defaults but for values [count] or of all, or `Clips`."""
    plain = panel.settle(model.controls(spec), {}, count=count, rng=np.random.default_rng(0), vary=False)
    return plain | {
        name: value if isinstance(value, controls.Clips) else np.broadcast_to(np.float32(value), count)
        for name, value in values.items()
    }


def experiment(**changes) -> Experiment:
    """Ten steps of the toy game."""
    adam = Adam(rate=0.05, warmup=0, decay="none")
    return dataclasses.replace(
        Experiment(
            data=ToyData(),
            features=Waveform(sample_rate=8_000, samples=2_048),
            model=ToyModel(),
            optimisers={"mean": adam, "follower": adam},
            batch_size=4,
            steps=10,
            ema_decay=0.9,
            log_every=2,
            validate_every=5,
            validation_batches=1,
            checkpoint_every=5,
            preview_every=0,
        ),
        **changes,
    )
