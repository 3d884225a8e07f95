"""`mgen evaluate WORKDIR [--count N] [--seeds K]`: measures what a run makes, beside real sound and two baselines."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
import time
from collections.abc import Sequence

import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Samples from a run, measures the sounds, and writes evaluation.json and a page to look at and listen to."""

    workdir: tyro.conf.Positional[pathlib.Path]
    """The run."""
    count: int = 64
    """Sounds of each kind and seed."""
    seeds: int = 3
    """Evaluations, each with other clips, settings and noise; what they differ by is how sure the numbers are."""
    shown: int = 6
    """Sounds of each kind on the page."""
    step: int | None = None
    """Checkpoint to use; the newest if not given."""
    data_path: str | None = None
    """Where the data lies now, if it was moved since training."""
    out: pathlib.Path | None = None
    """Folder of evaluation.json and index.html; WORKDIR/evaluation if not given."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Prints the scorecard, and writes evaluation.json, index.html, and the sounds and pictures that it shows."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen import controls
    from mgen.commands.arguments import UsageError
    from mgen.evaluation import scorecard, sheet
    from mgen.evaluation.sets import GENERATED, collect
    from mgen.training.checkpoint import load

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    for name, least in (("count", 3), ("seeds", 1), ("shown", 1)):
        if getattr(asked, name) < least:
            raise UsageError(f"--{name}: at least {least}, got {getattr(asked, name)}")
    loaded = load(asked.workdir, step=asked.step)
    experiment = loaded.experiment
    data = experiment.data
    if asked.data_path is not None:
        if not hasattr(data, "path"):
            raise UsageError(f"--data-path: {type(data).__name__} has no path, it makes its own sound")
        data = dataclasses.replace(data, path=asked.data_path)
    corpus = data.open(sample_rate=experiment.features.sample_rate, samples=experiment.features.samples)

    began = time.perf_counter()
    all_sets = [collect(loaded, corpus, count=asked.count, seed=seed) for seed in range(asked.seeds)]
    made_s = time.perf_counter() - began
    began = time.perf_counter()
    runs = [scorecard.measure(sets, seed=seed) for seed, sets in enumerate(all_sets)]
    measured_s = time.perf_counter() - began
    summary = scorecard.summarise(runs)
    table, lines = scorecard.rows(summary), scorecard.verdict(summary)

    first = all_sets[0]
    notes = [
        f"{asked.workdir}, step {loaded.step}. {asked.seeds} seeds of at most {asked.count} sounds of each kind; "
        f"{len(first.named['real'])} real clips {'held out of training' if first.held_out else 'of the training data'} "
        f"and {len(first.train)} training clips, which distances of sets are taken from. "
        "Numbers are means over seeds ± half their range.",
        "Each generated sound has the labels of the real clip in its row."
        if first.paired
        else "The settings of generated sounds were drawn at random.",
        *lines,
    ]
    out = asked.out or asked.workdir / "evaluation"
    knobs = experiment.model.controls(loaded.spec)
    captions = [
        controls.caption(controls.shown(knobs, first.settings, index))
        for index in range(min(asked.shown, len(first.named[GENERATED])))
    ]
    page = sheet.write(
        out,
        title=f"{asked.workdir.name}: evaluation of step {loaded.step}",
        notes=notes,
        tables={"Scorecard": table},
        clips={name: waves[: asked.shown] for name, waves in first.named.items()},
        captions={GENERATED: captions},
        sample_rate=first.sample_rate,
    )
    result = {
        "workdir": str(asked.workdir),
        "step": loaded.step,
        "count": asked.count,
        "seeds": asked.seeds,
        "paired": first.paired,
        "held_out": first.held_out,
        "seconds": {"making": made_s, "measuring": measured_s},
        "verdict": lines,
        "summary": summary,
        "runs": runs,
    }
    (out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    print(_as_text(table))
    print("\n".join(lines))
    print(f"{page}  {made_s:.0f} s to make the sounds, {measured_s:.0f} s to measure them")


def _as_text(table: Sequence[dict[str, str]]) -> str:
    """Rows as aligned columns."""
    lines = [list(table[0]), *(list(row.values()) for row in table)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
