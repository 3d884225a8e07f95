"""System 000 as it began: a vector of switches straight to a waveform, by four dense layers. Kept to compare with.

    switches [batch, songs] -> 256 -> 4096 -> 16384 -> 32768 samples (2 s at 16 kHz)

605,107,456 parameters for 100 songs. "Accurately returned the original clip for a single switch but only noise for
several non-zero inputs": it was never shown several. Here it is (`Mixtures`), unless `--data.solo-fraction 1`.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp

from mgen import controls, losses
from mgen.contracts import Array, Batch, Loss, LossOutput, Spec, Variables


class Decoder(nn.Module):
    """Switches float32 [batch, songs] to waveforms float32 [batch, samples]."""

    samples: int
    widths: tuple[int, ...]
    dropout: tuple[float, ...]

    @nn.compact
    def __call__(self, switches: Array, *, train: bool) -> Array:
        """Turns the switches on."""
        x = switches
        for width, share in zip(self.widths, self.dropout, strict=True):
            x = nn.Dropout(share, deterministic=not train)(nn.elu(nn.Dense(width)(x)))
        return nn.Dense(self.samples)(x)


@dataclasses.dataclass(frozen=True)
class OriginalSwitches:
    """Dense decoder from switches to a waveform (system 000 as first published)."""

    widths: tuple[int, ...] = (256, 4_096, 16_384)
    """Units of the layers before the last."""
    dropout: tuple[float, ...] = (0.3, 0.3, 0.5)
    """Share of each of them that is left out in training."""

    def __post_init__(self):
        """Refuses layers of which no network can be made."""
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"model.widths: expected layers of 1 unit or more, got {self.widths}")
        if len(self.dropout) != len(self.widths) or not all(0 <= share < 1 for share in self.dropout):
            raise ValueError(f"model.dropout: expected 0 up to 1 for each of {len(self.widths)} layers: {self.dropout}")

    def init(self, rng: Array, spec: Spec) -> Variables:
        """Fresh variables. Raises ValueError where the data has no labels or the features are no waveform."""
        if not spec.labels or len(spec.shape) != 1:
            raise ValueError(
                f"model: OriginalSwitches needs labels and Waveform features; got {len(spec.labels)} labels and "
                f"features {spec.shape}"
            )
        switches = controls.encode(spec.labels, jnp.zeros((1, len(spec.labels))))
        return {"decoder": {"params": self._decoder(spec).init(rng, switches, train=False)["params"]}}

    def _decoder(self, spec: Spec) -> Decoder:
        return Decoder(spec.shape[0], self.widths, self.dropout)

    def losses(self, spec: Spec) -> dict[str, Loss]:
        """One player, descending the L1 distance of waveforms."""
        return {"decoder": functools.partial(self._loss, spec)}

    def _loss(self, spec: Spec, variables: Variables, rng: Array, batch: Batch, *, train: bool) -> LossOutput:
        switches = controls.encode(spec.labels, batch["labels"])
        made = self._decoder(spec).apply(variables["decoder"], switches, train=train, rngs={"dropout": rng})
        value = losses.l1(made, batch["features"])
        return LossOutput(value, {"l1": value})

    def controls(self, spec: Spec) -> tuple[controls.Control, ...]:
        """The switches, named after the songs."""
        return spec.labels

    def sample(self, variables: Variables, rng: Array, settings: controls.Settings, spec: Spec) -> Array:
        """float32 [count, samples]; the same settings give the same waveform, so `rng` is not used."""
        switches = controls.encode(spec.labels, controls.columns(spec.labels, settings))
        return self._decoder(spec).apply(variables["decoder"], switches, train=False)
