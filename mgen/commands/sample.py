"""`mgen sample WORKDIR [--set name=value ...] [--then name=value ...] [--settings FILE] [--count N] [--out DIR]`."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import tyro

_REPEATED = ("--set=", "--then=")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Makes sounds from a trained experiment; needs its checkpoint and nothing else."""

    workdir: tyro.conf.Positional[pathlib.Path]
    """Folder of the run."""
    assignments: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE")] = ()
    """Controls to set, such as drums=1 bass=0.5, or clip=a.wav where a control is a sound file. The others keep their
    defaults; of switches, the others are off."""
    then: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """What follows, faded into what was before and heard as one longer sound; may be given again and again. Switches
    that it does not name go off if it names any, all else stays as it was."""
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
    seconds: float | None = None
    """Length of the sounds, where the model can make any (style transfer); that of a clip if not given."""
    channels: int | None = None
    """1 or 2: stereo is widened from the mono sound; 1 if not given."""
    step: int | None = None
    """Checkpoint to use; the newest if not given."""
    list: bool = False
    """Only list the controls, with their ranges and defaults."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Writes sounds, a picture of each, and samples.json, which says how each was made."""
    asked = tyro.cli(Arguments, args=_one_of_each(arguments), prog=program)
    from mgen import audio, panel, pictures
    from mgen.commands.arguments import UsageError
    from mgen.contracts import Joinable
    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate, lengthened
    from mgen.training.step import averaged

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    again = None if asked.settings is None else _again(asked)
    loaded = load(asked.workdir, step=asked.step if again is None else again["step"])
    knobs = loaded.experiment.model.controls(loaded.spec)
    if asked.list:
        print("\n".join(panel.describe(knob) for knob in knobs) or "no controls")
        return
    count, seed = 4 if asked.count is None else asked.count, asked.seed or 0
    channels = (1 if asked.channels is None else asked.channels) if again is None else again.get("channels", 1)
    if count < 1 or seed < 0:
        raise UsageError(f"--count: at least 1, --seed: at least 0; got {count} and {seed}")
    if channels not in (1, 2):
        raise UsageError(f"--channels: 1 (mono) or 2 (stereo, widened from the mono sound); got {channels}")
    try:
        if again is not None:
            seed, windows = again["seed"], 1 + len(again["samples"][0].get("then", ()))
            rows = [row for made in again["samples"] for row in (made["settings"], *made.get("then", ()))]
            settings = panel.settings_of(knobs, rows)
        else:
            fixed = panel.parse(knobs, asked.assignments)
            rng, windows = np.random.default_rng(seed), 1 + len(asked.then)
            settings = panel.settle(knobs, fixed, count=count, rng=rng, vary=asked.vary or not fixed)
            if asked.then:
                settings = _followed(knobs, settings, [panel.parse(knobs, group.split("\n")) for group in asked.then])
    except ValueError as error:
        raise UsageError(str(error)) from error
    seconds = asked.seconds if again is None else again.get("seconds")
    experiment, spec = loaded.experiment, loaded.spec
    if seconds is not None:
        try:
            experiment, spec = lengthened(experiment, spec, seconds)
        except ValueError as error:
            raise UsageError(f"--seconds {seconds:g}: {error}") from error
    features = experiment.features
    if windows > 1 and not isinstance(features, Joinable):
        raise UsageError(f"--then: clips of {type(features).__name__} cannot be joined to a longer sound")

    waves = generate(experiment, spec, averaged(loaded.state), settings, seed=seed, windows=windows)
    out = asked.out or asked.workdir / "samples"
    sample_rate = features.sample_rate
    made = []
    for index, wave in enumerate(waves):
        first, *rest = (panel.shown(knobs, settings, index * windows + window) for window in range(windows))
        stem = out / f"sample_{index:03d}"
        heard = wave if channels == 1 else _widened(wave, sample_rate, seed)
        audio.write(stem.with_suffix(".wav"), heard, sample_rate=sample_rate)
        title = audio.printable(" then ".join(map(panel.caption, (first, *rest))))
        pictures.spectrogram(stem.with_suffix(".png"), wave, sample_rate=sample_rate, title=title)
        first, *rest = (_placed(knobs, values) for values in (first, *rest))
        made.append({"file": f"{stem.name}.wav", "settings": first} | ({"then": rest} if rest else {}))
        print(f"{stem}.wav  {title}")
    about = {"workdir": str(asked.workdir), "step": loaded.step, "seed": seed, "channels": channels, "samples": made}
    about |= {} if seconds is None else {"seconds": seconds}
    (out / "samples.json").write_text(json.dumps(about, indent=2) + "\n")


def _widened(wave: np.ndarray, sample_rate: int, seed: int) -> np.ndarray:
    """Left and right [samples, 2] of a mono wave [samples]; quieter where a channel would be clipped."""
    import jax

    from mgen import dsp

    wide = np.asarray(dsp.widen(wave, rng=jax.random.key(seed), sample_rate=sample_rate))
    return wide / max(1.0, float(np.abs(wide).max()))


def _placed(knobs: Sequence, values: Mapping) -> dict[str, Any]:
    """Values whose files can be found from any folder."""
    from mgen import controls

    placed = dict(values)
    for knob in knobs:
        text = values[knob.name]
        if isinstance(knob, controls.Clip) and text and not text.startswith("data:"):
            placed[knob.name] = str(pathlib.Path(text).expanduser().resolve())
    return placed


def _followed(knobs: Sequence, first: Mapping, then: Sequence[Mapping]) -> dict[str, np.ndarray]:
    """Settings of each sound's windows, sound by sound: the first is given, the others change what they name."""
    from mgen import controls, panel

    off = {knob.name: 0.0 for knob in knobs if isinstance(knob, controls.Switch)}
    rows = []
    for index in range(len(next(iter(first.values())))):
        row = panel.shown(knobs, first, index)
        rows.append(row)
        for change in then:
            named = {knob.name: knob.show(change[knob.name]) for knob in knobs if knob.name in change}
            row = row | (off if off.keys() & named.keys() else {}) | named
            rows.append(row)
    return panel.settings_of(knobs, rows)


def _again(asked: Arguments) -> dict[str, Any]:
    """The settings, seed and step of sounds that were made before. Raises UsageError."""
    from mgen.commands.arguments import UsageError

    said = asked.assignments or asked.then or asked.vary
    if said or any(value is not None for value in (asked.count, asked.seed, asked.step, asked.channels, asked.seconds)):
        raise UsageError(
            "--settings: the file says all of --set, --then, --vary, --count, --seed, --seconds, --step and --channels"
            "; leave them out"
        )
    try:
        about = json.loads(asked.settings.read_text())
        rows = [[made["settings"], *made.get("then", ())] for made in about["samples"]]
        whole = len({len(row) for row in rows}) == 1 and all(isinstance(one, dict) for row in rows for one in row)
        if not whole or type(about["seed"]) is not int or type(about["step"]) is not int or about["seed"] < 0:
            raise ValueError("seed, step or samples are wrong")
        if not isinstance(about.get("seconds", 1.0), (int, float)):
            raise ValueError("seconds is no number")
        if about.get("channels", 1) not in (1, 2):
            raise ValueError("channels is neither 1 nor 2")
    except OSError as error:
        raise UsageError(f"--settings {asked.settings}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--settings {asked.settings}: expected a samples.json, or what the studio saved ({error})"
        ) from error
    return about


def _one_of_each(arguments: Sequence[str]) -> list[str]:
    """`--set a=1 --set b=2` as `--set a=1 b=2`, and each `--then` as one word of lines: none of them may be dropped."""
    from mgen.commands.arguments import UsageError

    rest: list[str] = []
    assignments: list[str] = []
    then: list[list[str]] = []
    into = rest
    # `--set=a=1` is `--set a=1`.
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith(_REPEATED) else [word])]
    for word in words:
        if word == "--set":
            into = assignments
        elif word == "--then":
            then.append([])
            into = then[-1]
        elif word.startswith("--"):
            into = rest
            rest.append(word)
        else:
            into.append(word)
    if not all(then):
        raise UsageError("--then: expected name=value after it")
    if assignments:
        rest += ["--set", *assignments]
    return [*rest, "--then", *("\n".join(group) for group in then)] if then else rest
