"""`mgen sample WORKDIR [--set name=value ...] [--settings FILE] [--count N] [--seed S] [--out DIR]`."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Makes sounds from a trained experiment; needs its checkpoint and nothing else."""

    workdir: tyro.conf.Positional[pathlib.Path]
    """Folder of the run."""
    assignments: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE")] = ()
    """Controls to set, such as drums=1 bass=0.5, or clip=a.wav where a control is a sound file. The others keep their
    defaults; of switches, the others are off."""
    vary: bool = False
    """Draw the controls that are not set at random for each sound; without any --set that is what happens anyway."""
    settings: pathlib.Path | None = None
    """Makes the sounds of a samples.json, or of the studio, again: same settings, seed and step, same files."""
    count: int | None = None
    """Sounds to make; 4 if not given."""
    seed: int | None = None
    """Of what is drawn, of the model's noise and of the phase; 0 if not given."""
    out: pathlib.Path | None = None
    """Folder of the wav and png files; WORKDIR/samples if not given."""
    step: int | None = None
    """Checkpoint to use; the newest if not given."""
    list: bool = False
    """Only list the controls, with their ranges and defaults."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Writes sounds, a picture of each, and samples.json, which says how each was made."""
    asked = tyro.cli(Arguments, args=_one_set(arguments), prog=program)
    from mgen import audio, controls, pictures
    from mgen.commands.arguments import UsageError
    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    again = None if asked.settings is None else _again(asked)
    loaded = load(asked.workdir, step=asked.step if again is None else again["step"])
    knobs = loaded.experiment.model.controls(loaded.spec)
    if asked.list:
        print("\n".join(controls.describe(knob) for knob in knobs) or "no controls")
        return
    count, seed = 4 if asked.count is None else asked.count, asked.seed or 0
    if count < 1 or seed < 0:
        raise UsageError(f"--count: at least 1, --seed: at least 0; got {count} and {seed}")
    try:
        if again is not None:
            seed = again["seed"]
            settings = controls.settings_of(knobs, [made["settings"] for made in again["samples"]])
        else:
            fixed = controls.parse(knobs, asked.assignments)
            rng = np.random.default_rng(seed)
            settings = controls.settle(knobs, fixed, count=count, rng=rng, vary=asked.vary or not fixed)
    except ValueError as error:
        raise UsageError(str(error)) from error

    waves = generate(loaded.experiment, loaded.spec, averaged(loaded.state), settings, seed=seed)
    out = asked.out or asked.workdir / "samples"
    sample_rate = loaded.experiment.features.sample_rate
    made = []
    for index, wave in enumerate(waves):
        values = controls.shown(knobs, settings, index)
        stem = out / f"sample_{index:03d}"
        audio.write(stem.with_suffix(".wav"), wave, sample_rate=sample_rate)
        title = audio.printable(controls.caption(values))
        pictures.spectrogram(stem.with_suffix(".png"), wave, sample_rate=sample_rate, title=title)
        made.append({"file": f"{stem.name}.wav", "settings": values})
        print(f"{stem}.wav  {title}")
    about = {"workdir": str(asked.workdir), "step": loaded.step, "seed": seed, "samples": made}
    (out / "samples.json").write_text(json.dumps(about, indent=2) + "\n")


def _again(asked: Arguments) -> dict[str, Any]:
    """The settings, seed and step of sounds that were made before. Raises UsageError."""
    from mgen.commands.arguments import UsageError

    if asked.assignments or asked.vary or asked.count is not None or asked.seed is not None or asked.step is not None:
        raise UsageError("--settings: the file says all of --set, --vary, --count, --seed and --step; leave them out")
    try:
        about = json.loads(asked.settings.read_text())
        whole = about["samples"] and all(isinstance(made["settings"], dict) for made in about["samples"])
        if not whole or type(about["seed"]) is not int or type(about["step"]) is not int or about["seed"] < 0:
            raise ValueError("seed, step or samples are wrong")
    except OSError as error:
        raise UsageError(f"--settings {asked.settings}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--settings {asked.settings}: expected a samples.json, or what the studio saved ({error})"
        ) from error
    return about


def _one_set(arguments: Sequence[str]) -> list[str]:
    """`--set a=1 --set b=2` as `--set a=1 b=2`: both are said, and neither may be dropped."""
    before: list[str] = []
    assignments: list[str] = []
    words = iter(arguments)
    word = next(words, None)
    while word is not None:
        if word != "--set":
            before.append(word)
            word = next(words, None)
            continue
        while (word := next(words, None)) is not None and not word.startswith("--"):
            assignments.append(word)
    return [*before, "--set", *assignments] if assignments else before
