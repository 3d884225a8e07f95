"""What another layer is worth to an autoencoder of the waveform whose bottleneck stays the same.

    python benchmarks/wave_layers.py tones=SONGS pieces=PIECES --out runs/wave_layers [--jobs 2]

configs/house_wave.py with 1, 2, 3 and 6 residual layers on either side, all to 4 numbers for every 64 samples, the same
number of steps: how far the fragments of held-out songs are from what comes back.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record
from benchmarks.trials import Trial, main

STEPS = 500
LAYERS = (1, 2, 3, 6)


def trials(folders: list[str], steps: int | None) -> list[Trial]:
    """Every number of layers on every folder, the deepest first."""
    return [
        Trial(
            data=data,
            name=str(layers),
            config="house_wave",
            model={"layers": layers},
            steps=steps or STEPS,
            batch_size=2,
            measured=(),
        )
        for layers in reversed(LAYERS)
        for data in folders
    ]


def tabulate(rows: list[dict], name: str) -> None:
    """Prints the table, and writes benchmarks/results/NAME.json."""
    table = []
    for data in sorted({row["trial"]["data"] for row in rows}):
        for layers in LAYERS:
            some = [row for row in rows if row["trial"]["data"] == data and row["trial"]["name"] == str(layers)]
            if some:
                found = {
                    f"{name}": round(float(np.mean([row["reconstruction"][name] for row in some])), 3)
                    for name in some[0]["reconstruction"]
                }
                spread = np.ptp([row["reconstruction"]["signal to noise, dB"] for row in some])
                about = {"songs": data, "layers": layers, "parameters": some[0]["parameters"], "seeds": len(some)}
                took = {"seconds to train": round(float(np.mean([row["train_s"] for row in some])))}
                table.append(about | found | {"largest less smallest of seeds, dB": round(float(spread), 2)} | took)
    trial = rows[0]["trial"]
    about = f"{trial['steps']} steps of {trial['batch_size']} clips; 128 held-out fragments; means over seeds."
    record(name, table=table, seed=0, about=about, where=rows[0]["where"])
    print(markdown(table))


if __name__ == "__main__":
    main(__file__, trials, tabulate, __doc__)
