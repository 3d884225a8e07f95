"""An experiment: data x features x model, and how long and how fast to train. The dataclass is the config."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from mgen.contracts import Data, Features, Model
from mgen.training.optimisers import Optimiser


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment, whole: build it in configs/NAME.py, override any field on the command line."""

    data: Data
    """Where the sound comes from."""
    features: Features
    """What the model sees of it."""
    model: Model
    """The family and its sizes."""
    optimisers: dict[str, Optimiser]
    """One for each player of the model."""
    base: str = ""
    """Folder of another run that this one begins from, if any: with all of its network, or what the model has of it."""
    batch_size: int = 16
    """Clips in a step, over all devices and processes."""
    steps: int = 10_000
    """Steps of the whole run."""
    seed: int = 0
    """Of the initial parameters, the batches and the noise."""
    ema_decay: float = 0.999
    """Of the running mean of the parameters, which is what is sampled; 0 samples the last parameters."""
    log_every: int = 50
    """Steps between lines of the log."""
    validate_every: int = 500
    """Steps between validations."""
    validation_batches: int = 4
    """Batches in one validation, always the same ones."""
    validation_sounds: int = 8
    """Sounds that a validation has the model play, and measures: 3 or more of 4096 samples, else only losses are."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; one is also saved at the end and on Ctrl-C."""
    keep_checkpoints: int = 3
    """Checkpoints kept, the newest."""
    preview_every: int = 2000
    """Steps between previews: sounds and pictures in WORKDIR/previews; 0 makes none."""
    preview_count: int = 2
    """Sounds in a preview."""

    def __post_init__(self):
        """Refuses what cannot be trained, naming the field."""
        from_one = ("batch_size", "steps", "log_every", "validate_every", "validation_batches", "checkpoint_every")
        from_zero = ("seed", "validation_sounds", "preview_every")
        for name in (*from_one, "keep_checkpoints", "preview_count", *from_zero):
            least = 0 if name in from_zero else 1
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay: expected 0 <= ema_decay < 1, got {self.ema_decay}")


#: Fields that may differ between two runs of one experiment in one folder: what is said and kept, not what is learnt.
#: Where the data lies is free too; that it is the same data is seen from its fingerprint. And so is where another run
#: lies that it began from: what it has from there is in its own checkpoints.
_FREE = {"log_every", "validate_every", "validation_batches", "validation_sounds"} | {
    "checkpoint_every",
    "keep_checkpoints",
    "preview_every",
    "preview_count",
    "data.path",
    "base",
}


def to_json(value: Any) -> Any:
    """A tree of dataclasses, tuples and plain values as JSON: each dataclass says its type by dotted name."""
    if dataclasses.is_dataclass(value):
        cls = type(value)
        fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": f"{cls.__module__}.{cls.__qualname__}", **fields}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value


def from_json(value: Any) -> Any:
    """Undoes `to_json`. Only dataclasses of mgen are built, so a checkpoint cannot name code of its own.

    Raises:
      ValueError: a type is not a dataclass of mgen, or one of its fields is unknown or refused.
    """
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    fields = {key: from_json(item) for key, item in value.items() if key != "type"}
    if "type" not in value:
        return fields
    module, _, name = value["type"].rpartition(".")
    if module.partition(".")[0] != "mgen":
        raise ValueError(f"{value['type']} is not a type of mgen; a checkpoint may only name those")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ValueError(f"{value['type']} does not exist in this version of mgen") from None
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"{value['type']} is not a dataclass")
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(f"{value['type']}: {error}; it was saved by another version of mgen") from None


def differences(saved: Any, asked: Any, prefix: str = "") -> list[str]:
    """What two experiments (as JSON) disagree on, as lines such as `model.width: saved 64, asked 32`.

    Fields that do not change what is learnt (logging, checkpoints, previews) are left out.
    """
    if isinstance(saved, dict) and isinstance(asked, dict):
        missing, lines = "(missing)", []
        for key in {**saved, **asked}:
            name = f"{prefix}.{key}".lstrip(".")
            if name not in _FREE:
                lines += differences(saved.get(key, missing), asked.get(key, missing), name)
        return lines
    return [] if saved == asked else [f"{prefix}: saved {saved}, asked {asked}"]
