"""`mgen evaluate WORKDIR [--count N] [--seeds K]`: measures what a run makes, beside real sound and two baselines."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
import time
from collections.abc import Sequence

import tyro

_SHORTEST = 4096  # samples of which the measures say something


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
    sliders: bool = True
    """Whether to judge the sliders, where the data can play what they should do (Tones)."""
    step: int | None = None
    """Checkpoint to use; the newest if not given."""
    data_path: str | None = None
    """Where the data lies now, if it was moved since training."""
    out: pathlib.Path | None = None
    """Folder of evaluation.json and index.html; WORKDIR/evaluation if not given."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Prints the scorecard, and writes evaluation.json, index.html, and the sounds and pictures that it shows."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen import panel
    from mgen.commands.arguments import UsageError
    from mgen.contracts import Synthetic
    from mgen.evaluation import health, scorecard, sheet, sliders
    from mgen.evaluation.sets import GENERATED, REAL, collect, library
    from mgen.training.checkpoint import load

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    for name, least in (("count", 3), ("seeds", 1), ("shown", 1)):
        if getattr(asked, name) < least:
            raise UsageError(f"--{name}: at least {least}, got {getattr(asked, name)}")
    loaded = load(asked.workdir, step=asked.step)
    experiment = loaded.experiment
    if experiment.features.samples < _SHORTEST:
        raise UsageError(
            f"{asked.workdir}: its sounds have {experiment.features.samples} samples; {_SHORTEST} are needed"
        )
    data = experiment.data
    if asked.data_path is not None:
        if not hasattr(data, "path"):
            raise UsageError(f"--data-path: {type(data).__name__} has no path, it makes its own sound")
        data = dataclasses.replace(data, path=asked.data_path)
    corpus = data.open(sample_rate=experiment.features.sample_rate, samples=experiment.features.samples)

    known = library(experiment, corpus)
    runs, first, made_s, measured_s = [], None, 0.0, 0.0
    for seed in range(asked.seeds):
        began = time.perf_counter()
        sets = collect(loaded, corpus, count=asked.count, seed=seed)
        made_s += time.perf_counter() - began
        began = time.perf_counter()
        runs.append(scorecard.measure(sets, seed=seed, library=known))
        measured_s += time.perf_counter() - began
        first = first or sets
    summary = scorecard.summarise(runs)
    tables, lines = {"Scorecard": scorecard.rows(summary)}, scorecard.verdict(runs)
    lines += health.check(asked.workdir, loaded, first, seed=0)
    judged = None
    if asked.sliders and isinstance(corpus, Synthetic):
        judged = sliders.judge(loaded, corpus, count=2 * sliders.FEWEST, points=9, seed=0)
    if judged is not None:
        tables["Sliders"] = judged.rows()
        lines += judged.verdict()

    counts = ", ".join(f"{len(waves)} {name}" for name, waves in first.named.items())
    of_clips = max(score["of"] for score in summary[REAL].values())
    notes = [
        f"{asked.workdir}, step {loaded.step}. Sounds of each seed: {counts}; the real ones "
        f"{'held out of training' if first.held_out else 'of the training data'}. Distances of sets are taken from "
        f"{len(first.train)} training clips, copies looked for among {len(known)} of {corpus.size('train')}.",
        f"Numbers are means ± half of their 95 % interval: of sets over {asked.seeds} seeds, of clips over {of_clips} "
        "different real clips or as many generated ones as there are.",
        "Each generated sound has the labels of the real clip in its row."
        if first.paired
        else "Generated sounds have labels of real clips, and else the model's defaults.",
        *lines,
    ]
    out = asked.out or asked.workdir / "evaluation"
    knobs = experiment.model.controls(loaded.spec)
    captions = [
        panel.caption(panel.shown(knobs, first.settings, index))
        for index in range(min(asked.shown, len(first.named[GENERATED])))
    ]
    page = sheet.write(
        out,
        title=f"{asked.workdir.name}: evaluation of step {loaded.step}",
        notes=notes,
        tables=tables,
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
        "counts": {name: len(waves) for name, waves in first.named.items()},
        "runs": [run.sets for run in runs],
        "sliders": None if judged is None else dataclasses.asdict(judged),
    }
    (out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    print("\n\n".join(_as_text(rows) for rows in tables.values()))
    print("\n".join(lines))
    print(f"{page}  {made_s:.0f} s to make the sounds, {measured_s:.0f} s to measure them")


def _as_text(table: Sequence[dict[str, str]]) -> str:
    """Rows as aligned columns."""
    titles = list(dict.fromkeys(title for row in table for title in row))
    lines = [titles, *([row.get(title, "") for title in titles] for row in table)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
