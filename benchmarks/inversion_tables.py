"""The tables and the figure of `inversion.py`, from what each number of devices measured."""

from __future__ import annotations

import pathlib
import statistics

#: Iterations that are measured, and those that the table shows.
COUNTS = (0, 1, 2, 4, 10, 32)
SHOWN = (0, 2, 4, 10, 32)


def rows_of(one: dict, all_devices: dict) -> list[dict]:
    """The table: a clip alone with one device, a batch with all."""
    base = one["alone"]["librosa 32"]
    base_s = statistics.median(base["s"])
    rows = []
    names = [name for name in one["alone"] if name.split()[0] in ("librosa", "torch") or int(name.split()[1]) in SHOWN]
    for name in names:
        method, n_iter = name.split()
        seen = one["alone"][name]
        ratios = [theirs / ours for theirs, ours in zip(base["s"], seen["s"], strict=True)]
        in_batch = all_devices["batch"].get(name, base_s)  # librosa has no batches: a clip takes what it takes
        rows.append(
            {
                "start": method,
                "iterations": int(n_iter),
                "convergence, dB": round(statistics.mean(seen["db"]), 2),
                "a clip alone, ms": round(1e3 * statistics.median(seen["s"]), 1),
                "x librosa": round(statistics.median(ratios), 1),
                "a clip of a batch, ms": round(1e3 * in_batch, 1),
                "x librosa, batch": round(base_s / in_batch, 1),
            }
        )
    return rows


def devices_rows(runs: dict[int, dict]) -> list[dict]:
    """Clips of a batch and the long song, by the number of devices."""
    rows = []
    for devices, run in runs.items():
        row: dict = {"devices": int(devices)}
        row |= {f"batch of {size}, ms a clip": round(1e3 * s, 1) for size, s in run["batch_sizes"].items()}
        row["3 minutes from mel, s"] = round(run["song"]["s"], 1)
        row["convergence of the mel, dB"] = round(run["song"]["mel_convergence_db"], 1)
        rows.append(row | {"first call, s": round(run["song"]["first_s"], 1)})
    return rows


def sizes_rows(one: dict) -> list[dict]:
    """A clip alone at 32 iterations, by the size of a frame."""
    rows = []
    for n_fft, found in one["sizes"].items():
        row: dict = {"n_fft": int(n_fft)}
        for name, seen in found.items():
            row |= {f"{name}, ms": round(1e3 * seen["s"], 1), f"{name}, dB": round(seen["db"], 1)}
        rows.append(row)
    return rows


def figure(rows: list[dict], one: dict, all_devices: dict, path: pathlib.Path) -> None:
    """Quality against time, the iterations along each line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sheet, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for method in ("tree", "scan"):
        db = [statistics.mean(one["alone"][f"{method} {n}"]["db"]) for n in COUNTS]
        alone = [1e3 * statistics.median(one["alone"][f"{method} {n}"]["s"]) for n in COUNTS]
        batch = [1e3 * all_devices["batch"][f"{method} {n}"] for n in COUNTS]
        (line,) = axes.plot(alone, db, "o-", label=f"mgen, {method}, a clip alone", markersize=4)
        axes.plot(batch, db, "o--", color=line.get_color(), label=f"mgen, {method}, in a batch", markersize=4)
    for row in rows:
        if row["start"] in ("librosa", "torch"):
            axes.plot(row["a clip alone, ms"], row["convergence, dB"], "s", label=f"{row['start']}, 32 iterations")
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("ms for 5 s of sound (0 to 32 iterations)")
    axes.set_ylabel("spectral convergence, dB (up is better)")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    path.parent.mkdir(exist_ok=True)
    sheet.savefig(path, dpi=110)
