"""What the original's work costs here: ten pieces of a minute, 2,000 rounds over them, "3 days" on a machine of 2016.

    python benchmarks/block_cost.py [--steps 50]

Sixty clips of ten seconds. The original takes them one at a time, and so a round is 60 of its steps; the network of
configs/block_lstm.py, eight at a time. Steps are timed on noise, which costs what music does, after those that compile;
the whole is extrapolated. "3 days" is the original's own word, of an AWS machine with 16 GB that it does not name.
Writes benchmarks/results/block_cost.json.
"""

from __future__ import annotations

import argparse
import pathlib
import runpy
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

CLIPS, ROUNDS = 60, 2_000
_COMPILING = 3  # steps at the start that are not timed


def timed(config: str, steps: int) -> tuple[float, int, int]:
    """Median seconds of a step, clips in one, and parameters."""
    import jax

    from mgen import parallel
    from mgen.contracts import Spec
    from mgen.training.step import create_state, make_step

    experiment = runpy.run_path(str(ROOT / "configs" / f"{config}.py"))["experiment"]
    features, spec = experiment.features, Spec(shape=tuple(experiment.features.shape))
    optimisers = {player: own.build(experiment.steps) for player, own in experiment.optimisers.items()}
    state = create_state(experiment.model.init(jax.random.key(0), spec), optimisers)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.variables["blocks"]["params"]))
    state = parallel.place(state)
    step = parallel.replicate(
        make_step(
            experiment.model.losses(spec),
            optimisers,
            encode=lambda batch: features.encode(batch["wave"]),
            ema_decay=experiment.ema_decay,
        )
    )
    rng = np.random.default_rng(0)
    times = []
    for number in range(steps + _COMPILING):
        wave = rng.normal(0, 0.1, (experiment.batch_size, features.samples)).astype(np.float32)
        batch = parallel.split({"wave": wave, "labels": np.zeros((len(wave), 0), np.float32)})
        began = time.perf_counter()
        state, metrics = step(state, jax.random.key(0), batch)
        jax.block_until_ready(metrics)
        if number >= _COMPILING:
            times.append(time.perf_counter() - began)
    return float(np.median(times)), experiment.batch_size, parameters


def main() -> None:
    """Times both, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    asked = parser.parse_args()
    table = []
    for name, config in (("the original's", "block_lstm_original"), ("the default", "block_lstm")):
        seconds, batch, parameters = timed(config, asked.steps)
        whole = ROUNDS * CLIPS / batch * seconds
        table.append(
            {
                "network": name,
                "parameters": f"{parameters:,}",
                "clips a step": batch,
                "ms a step": round(1000 * seconds),
                "2,000 rounds, hours": round(whole / 3600, 1),
                "days": round(whole / 86_400, 2),
            }
        )
    about = f"Median of {asked.steps} steps, extrapolated to 2,000 rounds over 60 clips of 10 s."
    record("block_cost", table=table, seed=0, about=about)
    print(markdown(table))


if __name__ == "__main__":
    main()
