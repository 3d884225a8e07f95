"""How well do switches work? Each alone against its song, and every two at half and half against the real mixture.

    python benchmarks/switches.py runs/switches [runs/OTHER ...]

Needs the runs' audio folder. For N songs the pairs (i, i + 1), cyclic, were never mixed in training ("held out"). Where
tags are the switches a song is all of its own.

- solo: log-mel L1 between the switch's spectrogram and its song, over the L1 between the mean spectrogram of all songs
  and that song. 0 is perfect, 1 is the trivial answer.
- a pair is right when the half-and-half spectrogram is nearer (log-mel L1) to the real half-and-half mixture of the two
  waveforms than to either song.
- heard: the same L1 after phase reconstruction, between the sound that is written and the song.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import sys

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record
from mgen import parallel
from mgen.training.checkpoint import load
from mgen.training.step import averaged


def measure(workdir: pathlib.Path, name: str) -> tuple[dict, dict]:
    """A row of the table, and all the numbers behind it."""
    loaded = load(workdir)
    experiment, spec, features = loaded.experiment, loaded.spec, loaded.experiment.features
    corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
    if not hasattr(corpus, "held_out"):
        raise SystemExit(f"{workdir}: measures runs on Mixtures, not on {type(experiment.data).__name__}")
    if tuple(corpus.labels) != spec.labels:
        raise SystemExit(f"{workdir}: {experiment.data.path} no longer holds the songs it was trained on")
    songs, labels = len(corpus.clips), [label.name for label in corpus.labels]
    names = [f"song {number}" for number in range(songs)] if experiment.data.tags else labels
    decibels = -features.floor_db / 2  # of one unit of the features
    encode = jax.jit(features.encode)
    unturned = {knob.name: knob.default for knob in experiment.model.controls(spec)[len(labels) :]}
    sample = jax.jit(lambda weights: experiment.model.sample(
        averaged(loaded.state), jax.random.key(0),
        dict(zip(labels, (weights @ corpus.switches).T, strict=True))
        | {name: jax.numpy.full(len(weights), value) for name, value in unturned.items()}, spec))  # fmt: skip

    def l1(a, b):
        return np.abs(np.asarray(a) - np.asarray(b)).mean(axis=(-2, -1)) * decibels

    real = encode(corpus.clips)
    alone = sample(np.eye(songs, dtype=np.float32))
    trivial = l1(real.mean(axis=0)[None], real)
    solo = l1(alone, real)
    keys = jax.random.split(jax.random.key(0), songs)
    heard = l1(encode(parallel.spread(features.decode, alone, keys)), real)
    best = l1(encode(parallel.spread(features.decode, real, keys)), real)  # what the inversion alone costs

    held = {frozenset(pair) for pair in corpus.held_out}
    pairs = []
    for i, j in itertools.combinations(range(songs), 2):
        weights = np.zeros((1, songs), np.float32)
        weights[0, [i, j]] = 0.5
        made, mixed = sample(weights)[0], encode(weights[0] @ corpus.clips)
        distances = [float(l1(made, target)) for target in (mixed, real[i], real[j])]
        pairs.append({
            "songs": [names[i], names[j]], "held_out": frozenset((i, j)) in held,
            "to_mixture_db": distances[0], "to_songs_db": distances[1:], "right": distances[0] < min(distances[1:]),
        })  # fmt: skip

    def count(chosen):
        return f"{sum(pair['right'] for pair in chosen)} of {len(chosen)}"

    def distance(chosen):
        return round(float(np.mean([pair["to_mixture_db"] for pair in chosen])), 2) if chosen else "-"

    out, rest = [p for p in pairs if p["held_out"]], [p for p in pairs if not p["held_out"]]
    row = {
        "run": name,
        "steps": loaded.step,
        "solo, mean": round(float((solo / trivial).mean()), 3),
        "solo, worst": round(float((solo / trivial).max()), 3),
        "solo, dB": round(float(solo.mean()), 2),
        "heard, dB": round(float(heard.mean()), 2),
        "held-out pairs right": count(out),
        "other pairs right": count(rest),
        "held-out mixture, dB": distance(out),
        "other mixture, dB": distance(rest),
    }
    details = {
        "row": row,
        "seed": experiment.seed,
        "clip_s": features.samples / features.sample_rate,
        "songs": [
            {
                "song": label,
                "solo_db": float(solo[index]),
                "trivial_db": float(trivial[index]),
                "ratio": float(solo[index] / trivial[index]),
                "heard_db": float(heard[index]),
                "inversion_db": float(best[index]),
            }
            for index, label in enumerate(names)
        ],
        "pairs": pairs,
    }  # fmt: skip
    return row, details


def main() -> None:
    """Prints the table and writes benchmarks/results/switches.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="WORKDIR or WORKDIR=the name of its row")
    parser.add_argument("--name", default="switches", help="of the result file")
    asked = parser.parse_args()
    measured = []
    for run in asked.runs:
        workdir, _, name = run.partition("=")
        measured.append(measure(pathlib.Path(workdir), name or pathlib.Path(workdir).name))
    table = [row for row, _ in measured]
    first = measured[0][1]
    about = (
        f"Switch decoder on {len(first['songs'])} real pieces, one clip of {first['clip_s']:.1f} s each; distances are "
        "mean absolute decibels of the log-mel spectrogram, solo as a share of the mean spectrogram's."
    )
    details = [details for _, details in measured]
    path = record(asked.name, table=table, seed=first["seed"], about=about, details=details)
    print(markdown(table) + f"\nwrote {path}")


if __name__ == "__main__":
    main()
