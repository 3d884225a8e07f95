"""`mgen sample WORKDIR [--set name=value ...] [--count N] [--seed S] [--out DIR]`."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Makes sounds from a trained experiment; needs its checkpoint and nothing else."""

    workdir: tyro.conf.Positional[pathlib.Path]
    """Folder of the run."""
    settings: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE")] = ()
    """Controls to set, such as drums=1 bass=0.5. The others keep their defaults; of switches, the others are off."""
    vary: bool = False
    """Draw the controls that are not set at random for each sound; without any --set that is what happens anyway."""
    count: int = 4
    """Sounds to make."""
    seed: int = 0
    """Of what is drawn, of the model's noise and of the phase."""
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
    loaded = load(asked.workdir, step=asked.step)
    knobs = loaded.experiment.model.controls(loaded.spec)
    if asked.list:
        print("\n".join(controls.describe(knob) for knob in knobs) or "no controls")
        return
    if asked.count < 1 or asked.seed < 0:
        raise UsageError(f"--count: at least 1, --seed: at least 0; got {asked.count} and {asked.seed}")
    try:
        fixed = controls.parse(knobs, asked.settings)
    except ValueError as error:
        raise UsageError(str(error)) from error

    rng = np.random.default_rng(asked.seed)
    settings = controls.settle(knobs, fixed, count=asked.count, rng=rng, vary=asked.vary or not fixed)
    waves = generate(loaded.experiment, loaded.spec, averaged(loaded.state), settings, seed=asked.seed)
    out = asked.out or asked.workdir / "samples"
    sample_rate = loaded.experiment.features.sample_rate
    made = []
    for index, wave in enumerate(waves):
        values = controls.shown(knobs, settings, index)
        stem = out / f"sample_{index:03d}"
        audio.write(stem.with_suffix(".wav"), wave, sample_rate=sample_rate)
        title = controls.caption(values)
        pictures.spectrogram(stem.with_suffix(".png"), wave, sample_rate=sample_rate, title=title)
        made.append({"file": f"{stem.name}.wav", "settings": values})
        print(f"{stem}.wav  {title}")
    about = {"workdir": str(asked.workdir), "step": loaded.step, "seed": asked.seed, "samples": made}
    (out / "samples.json").write_text(json.dumps(about, indent=2) + "\n")


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
