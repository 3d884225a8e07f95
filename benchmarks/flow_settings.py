"""How strictly a flow is led, and how much noise it begins with: how far from songs is what it makes?

    python benchmarks/flow_settings.py runs/families/families/07_0 runs/families/families/data/tones

Of one run of a study (`benchmarks/families.py`; the data that was dealt for it is in its folder), 128 sounds for each
pair of guidance and variety, at tempi of training clips: Frechet distance to training clips, by which the defaults of
`LatentFlow` were chosen, and to what is held out; how strong a rhythm they have; harmonics to noise; and how near to
training clips the median sound is, beside the lower quartile of held-out clips.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record
from benchmarks.trials import COUNT, held_out_of, measured

GUIDANCE, VARIETY = (1.0, 2.5, 4.0), (1.0, 0.7, 0.5)


def main() -> None:
    """Prints the table and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("dealt", type=pathlib.Path, help="OUT/data/SONGS of the study")
    parser.add_argument("--name", default="flow_settings")
    asked = parser.parse_args()
    from mgen.evaluation.sets import library
    from mgen.training.checkpoint import load
    from mgen.training.sampling import generate, heard, settings_like
    from mgen.training.step import averaged

    loaded, rng = load(asked.run), np.random.default_rng(0)
    experiment, spec, variables = loaded.experiment, loaded.spec, averaged(loaded.state)
    features = experiment.features
    data = dataclasses.replace(experiment.data, path=str(asked.dealt / "train"))
    other, opened = held_out_of(experiment, asked.dealt)
    corpus = data.open(sample_rate=features.sample_rate, samples=features.samples)

    def drawn(source, some) -> tuple[np.ndarray, np.ndarray]:
        items = [some.item("train", int(index), rng) for index in rng.permutation(some.size("train"))[:COUNT]]
        labels = np.stack([item["labels"] for item in items])
        waves = np.stack([item["wave"] for item in items])
        return heard(dataclasses.replace(experiment, data=source), waves, labels), labels

    sets = {"held out": drawn(other, opened)[0]}
    sets["training"], labels = drawn(data, corpus)
    columns = labels[rng.integers(len(labels), size=COUNT)]
    plain, _ = settings_like(experiment.model.controls(spec), corpus.labels, columns)
    known = library(dataclasses.replace(experiment, data=data), corpus, most=1_500)
    table = []
    for guidance in GUIDANCE:
        for variety in VARIETY:
            turned = {"guidance": guidance, "variety": variety}
            settings = plain | {name: np.full(COUNT, value, np.float32) for name, value in turned.items()}
            sets["generated"] = generate(experiment, spec, variables, settings, seed=0)
            found = measured("generated", sets, known, columns[:, 0], features.sample_rate, 0)
            table.append(
                turned
                | {
                    f"Frechet to {name}": "{:.1f} ({:.1f} to {:.1f})".format(*found[f"frechet to {name}"])
                    for name in ("training", "held out")
                }
                | {
                    "rhythm strength": round(float(np.mean(found["rhythm strength"])), 2),
                    "harmonic to noise, dB": round(found["harmonic to noise"], 1),
                    "nearest, of held out": round(found["nearest"] / found["nearest of held out, lower quartile"], 2),
                    "copies, %": round(100 * found["copies"], 1),
                }
            )
            print(table[-1], flush=True)
    about = f"{COUNT} sounds each, of a flow after {loaded.step} steps of {experiment.batch_size} clips, one seed"
    about += f" ({type(experiment.model).__name__} on {asked.dealt.name})."
    path = record(asked.name, table=table, seed=0, about=about)
    print(markdown(table) + f"\nwrote {path}")


if __name__ == "__main__":
    main()
