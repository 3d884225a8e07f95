"""Effects as labels: how much of each a clip is given, drawn as it is read and applied on the device."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from mgen import dsp
from mgen.controls import Control, Slider
from mgen.data import DataError

Array = jax.Array

#: Effects that clips can be given, in the order they are applied, and what a person is told of them.
EFFECTS = {
    "vibrato": "how far the pitch sways, of 50 cents",
    "distortion": "how hard the note is driven",
    "low_pass": "how dark the note is filtered: 1 leaves what is below 300 Hz",
    "slow_attack": "how slowly the note begins: 1 takes half a second",
    "reverb": "how much of a room is heard: 1 is as loud as the note",
}
_DRY = 0.5  # share of the clips on which an effect is not used


def effects_as_labels(effects: Sequence[str], others: Sequence[Control]) -> tuple[Slider, ...]:
    """A slider for each effect.

    Raises:
      DataError: an effect is unknown, named twice, or one of the `others` has its name.
    """
    taken = {label.name for label in others}
    for name in effects:
        if name not in EFFECTS:
            raise DataError(f"data.effects={name}: unknown; expected some of {', '.join(EFFECTS)}")
        if name in taken:
            others = " ".join(effect for effect in effects if effect not in taken)
            raise DataError(
                f"data.effects={name}: the notes say themselves whether they have it: --data.effects {others}"
            )
    if len(set(effects)) < len(effects):
        raise DataError(f"data.effects={' '.join(effects)}: one of them is named twice")
    return tuple(Slider(name, 0.0, 1.0, 0.0, help=EFFECTS[name]) for name in effects)


def draw_amounts(effects: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """An amount of each effect, float32 [effects]: 0 for half of the clips, else anything up to 1."""
    if not effects:
        return np.zeros(0, np.float32)
    wet = rng.random(len(effects)) >= _DRY
    return (wet * rng.random(len(effects))).astype(np.float32)


def apply_effects(effects: Sequence[str], wave: Array, amounts: Array, *, sample_rate: int) -> Array:
    """Effects one after another: waves [..., samples] and amounts [..., effects] to [..., samples]."""
    for name in (name for name in EFFECTS if name in effects):
        amount = amounts[..., list(effects).index(name)]
        if name == "distortion":
            wave = dsp.distortion(wave, amount)
        else:
            wave = getattr(dsp, name)(wave, amount, sample_rate=sample_rate)
    return wave
