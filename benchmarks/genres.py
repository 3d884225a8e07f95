"""Genres by segment and by track, which is taken for which, and how much a split by segment flatters.

    mgen render-tones SONGS --songs 160 --tempo 80 150 --pattern house lofi breakbeat techno reggae ambient bossa rock
    python train.py configs/genre.py --data.path SONGS --data.table songs.csv --data.column pattern \
        --data.validation-fraction 0.25 --steps 160 --validate-every 40 --workdir runs/genres
    python benchmarks/genres.py "eight synthetic genres=runs/genres" NAME=RUN ... [--picture docs/figures/genres.png]

Each RUN is of `Genres`, whose data still lies where it was. Held-out segments are classified by the running mean of the
parameters; a track is of the genre that its segments are on average. Runs of one NAME are of other splits or seeds, and
their tracks count together. The picture is of the first run.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record
from mgen import parallel, pictures
from mgen.metrics.classes import classified
from mgen.training.checkpoint import load
from mgen.training.step import averaged


def held_out(run: pathlib.Path) -> dict:
    """What a run makes of its held-out segments: probabilities, truth, tracks, and what was trained."""
    loaded = load(run)
    experiment, features = loaded.experiment, loaded.experiment.features
    corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
    rng, variables = np.random.default_rng(0), averaged(loaded.state)
    classify = jax.jit(lambda clips: experiment.model.classify(variables, clips, loaded.spec))
    likely, truth, tracks = [], [], []
    count = corpus.size("validation")
    for start in range(0, count, 32):
        index = range(start, min(start + 32, count))
        items = [corpus.item("validation", number, rng) for number in index]
        clips = parallel.spread(features.encode, np.stack([item["wave"] for item in items]))
        likely.append(np.asarray(classify(np.pad(clips, ((0, 32 - len(clips)), (0, 0), (0, 0)))))[: len(clips)])
        truth += [int(item["labels"][0]) for item in items]
        tracks += [f"{run} {corpus.track('validation', number)}" for number in index]
    own = loaded.state.variables["genre"]
    return {
        "likely": np.concatenate(likely),
        "truth": truth,
        "tracks": tracks,
        "genres": loaded.spec.labels[0].options,
        "split": experiment.data.split,
        "steps": loaded.step,
        "trained": sum(leaf.size for leaf in jax.tree.leaves(own["params"])),
        "heard": sorted({corpus.track("train", number) for number in range(corpus.size("train"))}),
        "about": json.loads((run / "experiment.json").read_text()),
    }


def main() -> None:
    """Prints and records the table, and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--picture", type=pathlib.Path)
    asked = parser.parse_args()
    named: dict[str, list[dict]] = {}
    for word in asked.runs:
        name, _, run = word.rpartition("=")
        named.setdefault(name, []).append(held_out(pathlib.Path(run)))
    table, details = [], []
    for name, runs in named.items():
        found = classified(
            np.concatenate([run["likely"] for run in runs]),
            [one for run in runs for one in run["truth"]],
            [one for run in runs for one in run["tracks"]],
        )
        table.append({
            "run": name,
            "split by": runs[0]["split"],
            "trained numbers": runs[0]["trained"],
            "steps": runs[0]["steps"],
            "splits": len(runs),
            "segments right, %": round(100 * found.segment, 1),
            "tracks right, %": round(100 * found.track, 1),
            "95 % interval": f"{100 * found.low:.0f} to {100 * found.high:.0f}",
            "of tracks": found.tracks,
        })  # fmt: skip
        for run in runs:
            del run["about"]["data"]["path"]  # which is of this machine alone
        details.append({
            "run": name,
            "genres": runs[0]["genres"],
            "confusion, segments": found.confusion.tolist(),
            "training tracks": [len(run["heard"]) for run in runs],
            "experiments": [run["about"] for run in runs],
        })  # fmt: skip
    first = details[0]
    if asked.picture:
        counts = np.array(first["confusion, segments"])
        pictures.confusion(asked.picture, counts, first["genres"], title=f"{first['run']}: held-out segments")
    print(markdown(table))
    record("genres", table=table, seed=0, about="Held-out segments and tracks.", details=details)


if __name__ == "__main__":
    main()
