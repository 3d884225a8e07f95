"""Draws docs/figures/*.png from the JSON of the spectrogram studies; measures nothing.

python benchmarks/spectrogram_figures.py
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import RESULTS, ROOT
from benchmarks.window_times import FEW, MANY, per_minute

FIGURES = ROOT / "docs" / "figures"
FROM = {"magnitudes": "from magnitudes (phase lost)", "mel": "from 128 mel bands"}
BLUES = ("#9ecae1", "#6baed6", "#3182bd", "#08519c", "#08306b")
COLOURS = {"magnitudes": "#1f77b4", "mel": "#d95f02", "mel, held": "#e6ab02", "resampled": "#555555"}


def details_of(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())["details"]


def figure_of(height: float = 3.6) -> Figure:
    return Figure(figsize=(9, height), dpi=100, layout="constrained")


def window_axis(axes: Axes, windows: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(windows, [str(window) for window in windows])
    axes.grid(alpha=0.3)


def quality(studies: list[dict]) -> Figure:
    """Distance and convergence against the window, a line for each count of iterations."""
    figure = figure_of(8.4)
    grid = figure.subplots(3, 2, sharex=True, sharey="row")
    windows = [study["window"] for study in studies]
    sounds = [sound for study in studies for sound in study["sounds"]]
    labels = {
        "log_spectral_db": "log-spectral distance, dB",
        "log_mel_db": "log-mel distance, dB",
        "convergence_db": "convergence, dB",
    }
    for column, (kind, title) in enumerate(FROM.items()):
        counts = sorted({sound["iterations"] for sound in sounds})
        for row, (key, label) in enumerate(labels.items()):
            axes = grid[row, column]
            for shade, count in zip(BLUES, counts, strict=False):
                found = [s[key] for s in sounds if (s["from"], s["iterations"]) == (kind, count)]
                axes.plot(windows, found, "o-", color=shade, label=f"{count} iterations")
            if kind == "mel":
                held = [sound[key] for sound in sounds if sound["from"] == "mel, held"]
                axes.plot(windows, held, "s--", color=COLOURS["mel, held"], label=f"{counts[-1]}, magnitudes held")
            window_axis(axes, windows)
            if not column:
                axes.set_ylabel(label)
        grid[0, column].set_title(title)
        grid[0, column].legend(fontsize=8, loc="upper center")
        grid[-1, column].set_xlabel("window, samples at 22,050 Hz")
    figure.suptitle("Quality against window, lower is better; convergence cannot be compared between windows")
    return figure


def times(windows: list[dict]) -> Figure:
    """Mel solve and phase apart, ours beside librosa's, for each minute of sound."""
    figure = figure_of(4.2)
    left, right = figure.subplots(1, 2, sharey=True)

    def line(axes: Axes, whose: str, step: str, style: str, colour: str) -> None:
        found = [per_minute(entry, whose)[step] for entry in windows]
        label = f"{whose}: {step}{' iterations' * (',' in step)}"
        axes.plot([entry["window"] for entry in windows], found, style, color=COLOURS[colour], label=label)

    line(left, "librosa", "mel solve", "s--", "resampled")
    line(left, "mgen", "mel solve", "o-", "mel")
    left.set(title="mel bands to magnitudes", ylabel="seconds for a minute of sound")
    line(right, "librosa", f"phase, {MANY}", "s--", "resampled")
    line(right, "mgen", f"phase, {MANY}", "o-", "magnitudes")
    line(right, "mgen", f"phase, {FEW}", "o:", "magnitudes")
    line(right, "mgen", f"both in one, {MANY}", "^-", "mel")
    right.set_title("to sound")
    for axes in (left, right):
        window_axis(axes, [entry["window"] for entry in windows])
        axes.set_yscale("log")
        axes.set_xlabel("window, samples at 22,050 Hz")
        axes.legend(fontsize=8)
    figure.suptitle("Time against window: processor seconds after compilation")
    return figure


#: Where the label of a known case goes, in points from its mark, and what it says.
_LABELS = {
    "the piece, 1 sample late": ((6, 8), "1 sample late"),
    "the piece, 10 samples (0.5 ms) late": ((-6, 12), "0.5 ms late"),
    "the piece, polarity inverted": ((-6, 8), "polarity\ninverted"),
    "the piece at half its amplitude": ((6, 4), "half the\namplitude"),
    "silence": ((6, -4), "silence"),
    "white noise as loud": ((-8, -3), "white noise as loud"),
    "white noise 20 dB down": ((8, -3), "white noise 20 dB down"),
    "the piece backwards": ((8, -6), "the piece backwards"),
    "another piece as loud": ((8, -3), "another piece as loud"),
}


def blindness(studies: list[dict], blind: dict) -> Figure:
    """Waveform MSE against log-spectral distance: of known cases and of every reconstruction."""
    figure = figure_of(4.8)
    axes = figure.add_subplot()
    sounds = [sound for study in studies for sound in study["sounds"]]
    for kind, title in {**FROM, "mel, held": "from 128 mel bands, magnitudes held"}.items():
        found = [sound for sound in sounds if sound["from"] == kind]
        axes.scatter(
            [sound["mse_over_power"] for sound in found],
            [sound["log_spectral_db"] for sound in found],
            s=18,
            color=COLOURS[kind],
            label=f"made anew {title}",
            zorder=3,
        )
    for case in blind["cases"]:
        if case["sound"] in _LABELS:
            offset, words = _LABELS[case["sound"]]
            point = (case["mse_over_power"], case["log_spectral_db"])
            axes.plot(*point, "kx")
            side = "right" if offset[0] < 0 else "left"
            axes.annotate(words, point, offset, textcoords="offset points", fontsize=9, ha=side)
    axes.set(xlabel="waveform MSE / power of the piece", ylabel="log-spectral distance, dB", xlim=(-0.1, 4.2))
    axes.set_ylim(bottom=-1)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper right")
    figure.suptitle("The waveform MSE prefers silence to every reconstruction")
    return figure


def rates(results: list[dict]) -> Figure:
    """Distances against the sample rate, and how much energy each rate takes away."""
    figure = figure_of(4.0)
    left, right = figure.subplots(1, 2)
    places = range(len(results))
    labels = [f"{result['rate'] / 1000:g}" for result in results]
    styles = {"resampled": "o-", "magnitudes": "s--", "mel": "^:"}
    for name, style in styles.items():
        found = [result["sounds"][name]["log_mel_db"] for result in results]
        title = {"resampled": "only resampled", **{key: f"made anew {words}" for key, words in FROM.items()}}[name]
        left.plot(places, found, style, color=COLOURS[name], label=title)
    left.set(xlabel="sample rate, kHz", ylabel="log-mel distance, dB", title="distance to the piece at 44.1 kHz")
    left.legend(fontsize=8)
    lost = [100 * (1 - result["energy_kept"]) for result in results]
    bars = right.bar(places, lost, color=COLOURS["resampled"])
    right.bar_label(bars, [f"{share:.2f}" for share in lost], fontsize=8)
    right.set(xlabel="sample rate, kHz", ylabel="share of the energy, %", title="energy taken away")
    for axes in (left, right):
        axes.set_xticks(list(places), labels)
        axes.grid(alpha=0.3, axis="y")
    figure.suptitle("What a sample rate takes away")
    return figure


def main() -> None:
    """Writes the four figures."""
    studies, blind = details_of("spectrogram_settings")["windows"], details_of("waveform_mse")
    drawn = {
        "window_quality": quality(studies),
        "window_time": times(details_of("window_times")),
        "waveform_mse": blindness(studies, blind),
        "sample_rates": rates(details_of("sample_rates")),
    }
    FIGURES.mkdir(exist_ok=True)
    for name, figure in drawn.items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
        picture.quantize(128).save(FIGURES / f"{name}.png", optimize=True)  # a palette is a third of the bytes
        print(f"wrote {(FIGURES / f'{name}.png').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
