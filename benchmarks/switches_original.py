"""The published dense network from switches to a waveform beside ours, on its own task: two seconds at 16 kHz.

    python train.py configs/switches_original.py --data.path SONGS --data.songs 8 --model.widths 32 512 2048 \
        --workdir runs/dense
    python train.py configs/switches.py --data.path SONGS --features.sample-rate 16000 --features.frames 64 \
        --workdir runs/two_seconds
    python benchmarks/switches_original.py runs/dense runs/two_seconds

Parameters are counted for 100 songs, as it was published, and for the run; a run of a narrower network is told as such.
What is heard is compared by its log-mel spectrogram: each switch alone with its song, as a share of the distance of the
songs' mean spectrogram (0 is perfect, 1 trivial), and every two at one half with the real mixture and with either song.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record

_SONGS = 100  # of the published network


def main() -> None:
    """Prints the table and writes benchmarks/results/switches_original.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    asked = parser.parse_args()
    from mgen.models.original_switches import OriginalSwitches

    rows = [_row(run) for run in asked.runs]
    published = {title: "-" for title in rows[0]} | {"network": "as published, counted"}
    published[f"parameters, {_SONGS} songs"] = _parameters(OriginalSwitches(), (32_768,), _SONGS)
    about = "two seconds at 16 kHz; distances are log-mel L1 of what is heard, dB above a floor of -80"
    print(markdown([published, *rows]))
    print(record("switches_original", table=[published, *rows], seed=0, about=about))


def _parameters(model, shape: tuple[int, ...], songs: int) -> int:
    import jax

    from mgen.contracts import Spec
    from mgen.controls import Switch

    spec = Spec(shape=shape, labels=tuple(Switch(f"song_{index}") for index in range(songs)))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), spec))
    return sum(leaf.size for own in variables.values() for leaf in jax.tree.leaves(own["params"]))


def _row(run: pathlib.Path) -> dict:
    import numpy as np

    from mgen import panel
    from mgen.features import LogMel
    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    loaded = load(run)
    experiment, variables = loaded.experiment, averaged(loaded.state)
    features, model = experiment.features, experiment.model
    corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
    names, songs, knobs = [label.name for label in corpus.labels], len(corpus.clips), model.controls(loaded.spec)
    heard = LogMel(
        sample_rate=features.sample_rate, frames=features.samples // 256, n_fft=1024, hop_length=256, n_mels=80
    )

    def mel(waves):
        return np.asarray(heard.encode(np.asarray(waves)[:, : heard.samples]))

    def made(levels):
        rows = (np.asarray(levels, np.float32) @ corpus.switches).tolist()
        settings = panel.settings_of(knobs, [dict(zip(names, row, strict=True)) for row in rows])
        return mel(generate(experiment, loaded.spec, variables, settings, seed=0))

    def distance(a, b):
        return np.abs(a - b).mean(axis=(1, 2)) * -heard.floor_db / 2

    real = mel(corpus.clips)
    alone = distance(made(np.eye(songs)), real)
    which = list(itertools.combinations(range(songs), 2))
    pairs = np.array([[0.5 * (song in pair) for song in range(songs)] for pair in which])
    held = np.array([set(pair) in map(set, corpus.held_out) for pair in which])
    both = made(pairs)
    to_mixture = distance(both, mel(pairs.astype(np.float32) @ corpus.clips))
    to_songs = np.stack([[distance(clip[None], real[song : song + 1])[0] for song in np.flatnonzero(pair)]
                         for clip, pair in zip(both, pairs, strict=True)])  # fmt: skip
    right = to_mixture < to_songs.min(axis=1)
    return {
        "network": run.name,
        f"parameters, {_SONGS} songs": _parameters(model, features.shape, _SONGS),
        "parameters of the run": _parameters(model, features.shape, songs),
        "steps": loaded.step,
        "solo": round(float((alone / distance(np.repeat(real.mean(axis=0)[None], songs, axis=0), real)).mean()), 3),
        "held-out mixture, dB": round(float(to_mixture[held].mean()), 2),
        "held-out pairs right": f"{int(right[held].sum())} of {held.sum()}",
        "other mixture, dB": round(float(to_mixture[~held].mean()), 2),
        "other pairs right": f"{int(right[~held].sum())} of {(~held).sum()}",
    }


if __name__ == "__main__":
    main()
