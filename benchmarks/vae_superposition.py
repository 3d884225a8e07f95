"""Does a VAE lay its training songs over each other, and what keeps it from that: capacity, beta, or where it draws.

    python benchmarks/vae_superposition.py tones=SONGS pieces=PIECES --out runs/vae_superposition [--jobs 2]

configs/house_vae.py and one change at a time, three seeds. Of 128 sounds of each: how many are a sum of training clips
(p < 0.05 against held-out songs), what share of the variation of the median sound four training clips explain, how near
to training clips the median sound is, how far the set is from held-out songs; and of clips of held-out songs, with
dropout off, how many dimensions carry more than a tenth of a nat, how many nats all of them, and what share of the
variance of the components does not come back.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record
from benchmarks.trials import SETS, Trial, main

STEPS = 750
VARIANTS = {
    "as it stands": {},
    "normal prior": {"prior": "normal"},
    "beta 0.1": {"beta": 0.1},
    "beta 4": {"beta": 4.0},
    "latent 16": {"latent": 16},
    "latent 256": {"latent": 256},
    "no warm-up, no free bits": {"warmup": 0, "free_bits": 0.0},
    "the same, beta 4": {"warmup": 0, "free_bits": 0.0, "beta": 4.0},
}


def trials(folders: list[str], steps: int | None) -> list[Trial]:
    """Every variant on every folder."""
    return [
        Trial(data=data, name=name, config="house_vae", model=model, steps=steps or STEPS, measured=SETS[:2])
        for name, model in VARIANTS.items()
        for data in folders
    ]


def tabulate(rows: list[dict], name: str) -> None:
    """Prints the table, and writes benchmarks/results/NAME.json."""
    table = []
    for data in sorted({row["trial"]["data"] for row in rows}):
        for variant in (*VARIANTS, "held-out songs"):
            of = variant if variant in VARIANTS else "as it stands"
            some = [row for row in rows if row["trial"]["data"] == data and row["trial"]["name"] == of]
            scores = [row["scores"]["generated" if variant in VARIANTS else "held out"] for row in some]
            if not some:
                continue
            nearest = [score["nearest"] / score["nearest of held out, lower quartile"] for score in scores]
            frechet = [score["frechet to held out"][0] for score in scores if "frechet to held out" in score]
            table.append({
                "songs": data,
                "VAE": variant,
                "superposed, %": round(100 * float(np.mean([score["superposed"] for score in scores])), 1),
                "explained by training": round(float(np.mean([s["explained by training"] for s in scores])), 3),
                "explained by held out": round(float(np.mean([s["explained by held out"] for s in scores])), 3),
                "nearest, of held out": round(float(np.mean(nearest)), 2),
                "copies, %": round(100 * float(np.mean([score["copies"] for score in scores])), 1),
                "Frechet": round(float(np.mean(frechet)), 1) if frechet else "-",
                "rhythm strength": round(float(np.mean([np.mean(s["rhythm strength"]) for s in scores])), 2),
                "dimensions used, %": round(100 * float(np.mean([r["held out"]["vae/used"] for r in some])))
                if variant in VARIANTS
                else "-",
                "nats in all": round(float(np.mean([r["held out"]["vae/divergence"] for r in some])))
                if variant in VARIANTS
                else "-",
                "error": round(float(np.mean([r["held out"]["vae/error"] for r in some])), 3)
                if variant in VARIANTS
                else "-",
            })  # fmt: skip
    seeds = len({row["seed"] for row in rows})
    trial = rows[0]["trial"]
    about = f"{trial['steps']} steps of {trial['batch_size']}, seeds: {seeds}; 128 sounds each; means over seeds."
    record(name, table=table, seed=0, about=about, where=rows[0]["where"])
    print(markdown(table))


if __name__ == "__main__":
    main(__file__, trials, tabulate, __doc__)
