"""Do several switches, or learnt codes, give new music: how far from every song, and is it a mixture of them?

    python benchmarks/switch_novelty.py runs/codes [runs/tags ...]

Each row is a kind of sound: the switches of one song at a time; those of two at a half each; one tag alone, and two
(runs with `--data.tags`); the mean of the codes moved along their axes at random, as far as these are sliders (runs
with `--model.codes`), by one standard deviation and by two; and, to compare, the real mixtures of two songs, and other
pieces of the same folder that the run never heard.

- nearest song: standard deviation of the difference of log-mel spectrograms, dB, to the most similar song (a copy is
  at 0, other songs 7 to 14 away, see `metrics.novelty.shifted_distance`).
- explained: share of the variation of the mel power that sums of one, two or all songs can explain
  (`metrics.superposition.sparse_mixture`).
- flatness: of the spectrum, median; noise is near 0.56.

`switch_axes`: each axis of the codes moved alone from -4 to 4 standard deviations, about the mean of the codes: the
rank correlation of what is measured of the sound with the slider (1 always rises, -1 always falls), and how much of its
movement is the slider's own, of all axes (`metrics.control`).
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record

_COUNT, _SEED, _POINTS = 16, 0, 9


def main() -> None:
    """Prints the table and writes benchmarks/results/switch_novelty.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="WORKDIR of a run on Mixtures")
    asked = parser.parse_args()
    rows = [row for run in asked.runs for row in _measured(run)]
    about = f"{_COUNT} sounds each, or as many as there are songs; mean and, of the nearest song, least"
    print(markdown(rows))
    print(record("switch_novelty", table=rows, seed=_SEED, about=about))
    axes = [row for run in asked.runs for row in _axes(run)]
    if axes:
        print(markdown(axes))
        about = f"{_POINTS} settings of each axis; rank correlation, and in brackets the movement beside the largest"
        print(record("switch_axes", table=axes, seed=_SEED, about=about))


def _measured(run: pathlib.Path) -> list[dict]:
    import numpy as np

    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    loaded = load(run)
    experiment, features = loaded.experiment, loaded.experiment.features
    data, size = experiment.data, {"sample_rate": features.sample_rate, "samples": features.samples}
    corpus = data.open(**size)
    if tuple(corpus.labels) != loaded.spec.labels:
        raise SystemExit(f"{run}: {data.path} no longer holds the songs it was trained on")
    knobs, variables = experiment.model.controls(loaded.spec), averaged(loaded.state)
    rng, songs, names = np.random.default_rng(_SEED), len(corpus.clips), [label.name for label in corpus.labels]
    off = {knob.name: 0.0 if knob.name in names else float(knob.default) for knob in knobs}

    def made(rows: list[dict]) -> np.ndarray:
        settings = {name: np.array([{**off, **row}[name] for row in rows], np.float32) for name in off}
        return generate(experiment, loaded.spec, variables, settings, seed=_SEED)

    def switched(levels: np.ndarray) -> list[dict]:
        return [dict(zip(names, row.tolist(), strict=True)) for row in levels @ corpus.switches]

    halves = np.zeros((_COUNT, songs), np.float32)
    for row in halves:
        row[rng.permutation(songs)[:2]] = 0.5
    if songs < 2:
        raise SystemExit(f"{run}: one song has nothing to be mixed with")
    kinds = {
        "one song's switches": made(switched(np.eye(songs, dtype=np.float32))),
        "two songs' at a half": made(switched(halves)),
    }
    if data.tags:
        kinds["one tag alone"] = made([{name: 1.0} for name in names])
        pairs = [rng.permutation(len(names))[:2] for _ in range(_COUNT if len(names) > 1 else 0)]
        if pairs:
            kinds["two tags"] = made([{names[i]: 1.0, names[j]: 1.0} for i, j in pairs])
    axes = [knob.name for knob in knobs if knob.name.startswith("axis_")]
    for spread in (1.0, 2.0) if axes else ():
        drawn = np.clip(spread * rng.normal(size=(_COUNT, len(axes))), -4, 4)
        moved = [{"mean": 1.0} | dict(zip(axes, row.tolist(), strict=True)) for row in drawn]
        kinds[f"codes at random, spread {spread:g}"] = made(moved)
    kinds["real mixtures of two songs"] = halves @ corpus.clips
    # Where tags are the switches every piece of the folder may have been heard.
    others = dataclasses.replace(data, songs=0, tags="", windows=1).open(**size)
    used = {label.help.partition(", clip ")[0] for label in corpus.labels}
    new = [clip for clip, label in zip(others.clips, others.labels, strict=True) if label.help not in used]
    if new and not data.tags:
        kinds["other pieces"] = np.stack(new)
    return [{"run": run.name, "sound": kind} | _row(waves, corpus.clips, features) for kind, waves in kinds.items()]


def _axes(run: pathlib.Path) -> list[dict]:
    """What each axis of the codes moves; nothing where there are none."""
    import numpy as np

    from mgen import panel
    from mgen.metrics.control import monotonicity, movement, sweeps
    from mgen.metrics.factors import measured_factors
    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    loaded = load(run)
    features, knobs = loaded.experiment.features, loaded.experiment.model.controls(loaded.spec)
    axes = [knob.name for knob in knobs if knob.name.startswith("axis_")]
    if not axes:
        return []
    off = {label.name: 0.0 for label in loaded.spec.labels} | {"mean": 1.0}
    moved = sweeps([-4.0] * len(axes), [4.0] * len(axes), [0.0] * len(axes), points=_POINTS)
    settings = panel.settings_of(knobs, [off | dict(zip(axes, row.tolist(), strict=True)) for row in moved])
    waves = generate(loaded.experiment, loaded.spec, averaged(loaded.state), settings, seed=_SEED)
    measured = [
        measured_factors(waves[start : start + _COUNT], sample_rate=features.sample_rate)
        for start in range(0, len(waves), _COUNT)
    ]
    heard = np.concatenate([np.stack(some, axis=1) for some in measured]).astype(np.float64)
    ranks, far = monotonicity(moved, heard), movement(moved, heard)
    share = far / np.maximum(far.max(axis=0), 1e-9)
    return [
        {"axis": f"{run.name} {axis}"}
        | {
            factor: f"{ranks[index, column]:.2f} ({share[index, column]:.2f})"
            for column, factor in enumerate(measured[0]._fields)
        }
        for index, axis in enumerate(axes)
    ]


def _row(waves, songs, features) -> dict:
    import numpy as np

    from mgen import dsp
    from mgen.metrics.novelty import shifted_distance
    from mgen.metrics.superposition import sparse_mixture
    from mgen.metrics.timbre import timbre

    sizes = {"sample_rate": features.sample_rate, "n_fft": 2048, "hop_length": 512, "n_mels": 64}
    mel, references = (np.asarray(dsp.mel_spectrogram(sounds, **sizes)) for sounds in (waves, songs))
    nearest = shifted_distance(mel, references).distance.min(axis=1)
    share = sparse_mixture(mel, references, atoms=len(songs)).share.mean(axis=0)
    flat = timbre(waves, sample_rate=features.sample_rate).flatness
    return {
        "nearest song, dB": round(float(nearest.mean()), 1),
        "least, dB": round(float(nearest.min()), 1),
        "explained by one": round(float(share[0]), 2),
        "by two": round(float(share[1]), 2),
        "by all": round(float(share[-1]), 2),
        "flatness": float(f"{np.median(np.asarray(flat)):.2g}"),
    }


if __name__ == "__main__":
    main()
