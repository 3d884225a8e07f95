"""Do more layers reach an error in fewer steps, as the original hoped, and which kind of layer reaches it first.

    python benchmarks/block_layers.py PIECES --out runs/block_layers [--seeds 3] [--steps 120]

configs/block_lstm.py at half its width on five-second clips of a folder of pieces, a quarter of which (by piece) are
held out: one to four LSTM layers, and at one depth GRU layers and gated linear recurrences. Every tenth step the nats
that held-out blocks cost are measured; the target is the least that one LSTM layer comes to, in the mean of its seeds.
Writes benchmarks/results/block_layers.json and docs/figures/block_layers.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import runpy
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

VARIANTS = {
    "LSTM, 1 layer": {"depth": 1},
    "LSTM, 2 layers": {"depth": 2},
    "LSTM, 3 layers": {"depth": 3},
    "LSTM, 4 layers": {"depth": 4},
    "GRU, 1 layer": {"cell": "gru"},
    "linear, 2 layers": {"cell": "linear", "depth": 2},
}
_EVERY = 10


def curve(folder: str, fields: dict, seed: int, steps: int, workdir: pathlib.Path) -> dict:
    """Trains one variant: steps, held-out loss at each, seconds a step, parameters."""
    import jax

    from mgen.data.folder import Folder
    from mgen.training.loop import train

    path = workdir / "curve.json"
    if path.exists():
        return json.loads(path.read_text())
    own = runpy.run_path(str(ROOT / "configs" / "block_lstm.py"))["experiment"]
    experiment = dataclasses.replace(
        own,
        data=Folder(path=folder, validation_fraction=0.25),
        features=dataclasses.replace(own.features, blocks=216),
        model=dataclasses.replace(own.model, width=own.model.width // 2, recall=216, own=0.0, **fields),
        batch_size=4,
        steps=steps,
        seed=seed,
        log_every=_EVERY,
        validate_every=_EVERY,
        validation_batches=2,
        validation_sounds=0,
        checkpoint_every=steps,
        preview_every=0,
    )
    began = time.perf_counter()
    state = train(experiment, workdir)
    wall = time.perf_counter() - began
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    held = [(line["step"], line["validation/blocks/loss"]) for line in lines if "validation/blocks/loss" in line]
    rates = [line["steps_per_s"] for line in lines if "steps_per_s" in line][1:]
    found = {
        "steps": [step for step, _ in held],
        "loss": [loss for _, loss in held],
        "step_s": float(1 / np.median(rates)),
        "wall_s": wall,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.variables["blocks"]["params"])),
    }
    path.write_text(json.dumps(found) + "\n")
    return found


def reached(found: dict, target: float) -> float:
    """The first step at which a held-out loss is at a target or below, or infinity."""
    return next((step for step, loss in zip(found["steps"], found["loss"], strict=True) if loss <= target), np.inf)


def draw(curves: dict[str, list[dict]], target: float) -> None:
    """The held-out loss of each variant, mean over seeds and their range."""
    from matplotlib.figure import Figure

    figure = Figure((8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, found in curves.items():
        losses = np.array([one["loss"] for one in found])
        (line,) = axes.plot(found[0]["steps"], losses.mean(axis=0), label=name)
        axes.fill_between(found[0]["steps"], losses.min(axis=0), losses.max(axis=0), alpha=0.15, color=line.get_color())
    axes.axhline(target, color="black", linewidth=0.8, linestyle=":")
    least = min(min(one["loss"]) for found in curves.values() for one in found)
    highest = max(one["loss"][0] for found in curves.values() for one in found)
    axes.set(xlabel="steps", ylabel="held-out nats for each number", ylim=(least - 0.01, highest + 0.05))
    axes.legend()
    figure.savefig(ROOT / "docs" / "figures" / "block_layers.png", dpi=100)


def main() -> None:
    """Trains what is not trained yet, and writes the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120)
    asked = parser.parse_args()
    curves: dict[str, list[dict]] = {name: [] for name in VARIANTS}
    for seed in range(asked.seeds):
        for name, fields in VARIANTS.items():
            workdir = asked.out / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
            curves[name].append(curve(asked.folder, fields, seed, asked.steps, workdir))
            print(f"{name}, seed {seed}: {curves[name][-1]['loss'][-1]:.4f}", flush=True)
    first = curves["LSTM, 1 layer"]
    mean = np.mean([found["loss"] for found in first], axis=0)
    target = float(mean.min())
    table = []
    for name, found in curves.items():
        when = [reached(one, target) for one in found]
        ends = [one["loss"][-1] for one in found]
        seconds = float(np.median([one["step_s"] for one in found]))
        middle = float(np.median(when))
        table.append(
            {
                "layers": name,
                "parameters": found[0]["parameters"],
                "steps to the target": "; ".join("not" if np.isinf(step) else f"{step:.0f}" for step in when),
                "median": "not" if np.isinf(middle) else f"{middle:.0f}",
                "ms a step": round(1000 * seconds),
                "seconds to the target": "-" if np.isinf(middle) else f"{middle * seconds:.0f}",
                "held-out nats at the end": round(float(np.mean(ends)), 4),
                "largest less smallest": round(float(np.ptp(ends)), 4),
            }
        )
    about = (
        f"{asked.steps} steps of 4 clips of 5 s, {asked.seeds} seeds; the target is {target:.4f} nats for each number, "
        "of pieces that were held out."
    )
    record("block_layers", table=table, seed=0, about=about, details=curves)
    draw(curves, target)
    print(markdown(table))


if __name__ == "__main__":
    main()
