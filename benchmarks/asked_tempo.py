"""Is the tempo that is asked for the tempo that is heard?

    python train.py configs/house_flow.py --data.path THREE --data.tempi loops.csv --workdir runs/three_tempi
    python benchmarks/asked_tempo.py runs/three_tempi 97 120 148 [--count 64] [--name asked_tempo]

Sounds at each tempo, three seeds, and the estimate of each by mgen (the autocorrelation of its onsets, from half to
twice the tempi asked for) and by librosa (`librosa.feature.tempo`), beside the recordings themselves where the data has
some at that tempo. A tempo is right within 2 %; the column beside it counts also what is an octave off, half or double.
Both take some recordings for another level of their metre, such as 4/3 of their tempo; so there is also the strongest
tempo within 15 % of the one that is asked for, which by chance is right in one of seven.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record

HOP = 100  # samples at 10 kHz: 10 ms
SEEDS = (0, 1, 2)
_NEAR = 1.15


def main() -> None:
    """Prints the table and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("tempi", type=float, nargs="+")
    parser.add_argument("--count", type=int, default=64, help="sounds of each tempo and seed")
    parser.add_argument("--name", default="asked_tempo")
    asked = parser.parse_args()
    import librosa
    import numpy as np

    from mgen import panel
    from mgen.metrics.onset import onset_envelope
    from mgen.metrics.tempo import tempo, tempo_factor
    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate, heard
    from mgen.training.step import averaged

    run = load(asked.workdir)
    features, knobs = run.experiment.features, run.experiment.model.controls(run.spec)
    rate = features.sample_rate
    corpus = run.experiment.data.open(sample_rate=rate, samples=features.samples)

    def estimates(waves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        envelope = onset_envelope(waves, sample_rate=rate, n_fft=512, hop_length=HOP, n_mels=40)
        limits = {"min_tempo": min(asked.tempi) / 2, "max_tempo": 2 * max(asked.tempi)}
        ours = np.asarray(tempo(envelope, sample_rate=rate, hop_length=HOP, **limits))
        theirs = [
            float(librosa.feature.tempo(onset_envelope=np.asarray(own), sr=rate, hop_length=HOP)[0]) for own in envelope
        ]
        return ours, np.array(theirs), envelope

    def row(bpm: float, what: str, waves: np.ndarray) -> dict:
        ours, theirs, envelope = estimates(waves)
        near = np.asarray(
            tempo(
                envelope, sample_rate=rate, hop_length=HOP, start_bpm=bpm, min_tempo=bpm / _NEAR, max_tempo=bpm * _NEAR
            )
        )
        truth = np.full(len(waves), bpm)
        found = {"asked, bpm": bpm, "sounds": f"{len(waves)} {what}"}
        found["median near it, bpm"] = round(float(np.nanmedian(near)), 1)
        found["right near it, %"] = round(100 * float(np.mean(tempo_factor(near, truth, tolerance=0.02) == 1)), 1)
        for name, values in (("mgen", ours), ("librosa", theirs)):
            factor = tempo_factor(values, truth, tolerance=0.02)
            found[f"right by {name}, %"] = round(100 * float(np.mean(factor == 1)), 1)
            found[f"or an octave off by {name}, %"] = round(100 * float(np.mean(np.isin(factor, (1, 2, 0.5)))), 1)
        return found

    table = []
    drawn = [corpus.item("train", index, np.random.default_rng(index)) for index in range(corpus.size("train"))]
    labels = np.stack([item["labels"] for item in drawn])
    for bpm in asked.tempi:
        near = np.abs(labels[:, 0] - bpm) < 0.5
        if np.any(near):
            waves = np.stack([item["wave"] for item, there in zip(drawn, near, strict=True) if there])
            table.append(row(bpm, "recorded", heard(run.experiment, waves, labels[near])))
        made = []
        for seed in SEEDS:
            fixed = {"tempo": bpm}
            settings = panel.settle(knobs, fixed, count=asked.count, rng=np.random.default_rng(seed), vary=False)
            made.append(generate(run.experiment, run.spec, averaged(run.state), settings, seed=seed))
        table.append(row(bpm, "generated", np.concatenate(made)))
    about = f"{asked.workdir.name} at step {run.step}, {len(SEEDS)} seeds; right is within 2 %."
    path = record(asked.name, table=table, seed=0, about=about)
    print(markdown(table) + f"\nwrote {path}")


if __name__ == "__main__":
    main()
