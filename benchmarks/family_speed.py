"""How long a step of each family of system 001 takes, and a sound.

    python benchmarks/family_speed.py SONGS [--steps 150] [--name family_speed_gpu]

Each config alone on the machine: the median of what is logged once it is compiled, and the second of two makings of 64
sounds of 4.9 s, phase included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.dealing import deal
from benchmarks.record import markdown, record
from benchmarks.trials import Trial, experiment_of

CONFIGS = ("house_wave", "house_gan", "house_vae", "house_flow")
COUNT = 64


def main() -> None:
    """Prints the table and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--name", default="family_speed")
    asked = parser.parse_args()
    import jax
    import numpy as np

    from mgen import panel
    from mgen.contracts import Spec
    from mgen.training.loop import train
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    table = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        dealt = deal(asked.songs, root / "data")
        for config in CONFIGS:
            experiment = experiment_of(Trial("songs", config, config, steps=asked.steps, batch_size=16), dealt, 0)
            experiment = dataclasses.replace(experiment, log_every=max(asked.steps // 10, 1))
            began = time.perf_counter()
            state = train(experiment, root / config)
            whole_s = time.perf_counter() - began
            rows = [json.loads(line) for line in (root / config / "metrics.jsonl").read_text().splitlines()]
            rates = [row["steps_per_s"] for row in rows if "steps_per_s" in row][2:]
            features = experiment.features
            corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
            spec = Spec(shape=tuple(features.shape), labels=tuple(corpus.labels))
            knobs = experiment.model.controls(spec)
            settings = panel.settle(knobs, {}, count=COUNT, rng=np.random.default_rng(0), vary=True)
            made_s = []
            for _ in range(2):
                began = time.perf_counter()
                generate(experiment, spec, averaged(state), settings, seed=0)
                made_s.append(time.perf_counter() - began)
            rate = float(np.median(rates))
            table.append({
                "config": config,
                "parameters": int(sum(leaf.size for own in state.ema.values() for leaf in jax.tree.leaves(own))),
                "batch": experiment.batch_size,
                "steps a second": round(rate, 1),
                "seconds for 2,000 steps": round(2_000 / rate),
                "ms a sound": round(1_000 * made_s[1] / COUNT, 1),
                "first sounds, s": round(made_s[0], 1),
            })  # fmt: skip
            print(f"{config}: {whole_s:.0f} s for {asked.steps} steps with compilation; {table[-1]}", flush=True)
    about = f"{asked.steps} steps of each config alone; {COUNT} sounds of 4.9 s."
    path = record(asked.name, table=table, seed=0, about=about)
    print(markdown(table) + f"\nwrote {path}")


if __name__ == "__main__":
    main()
