"""Pictures of sound: the only file of the package that draws. matplotlib is imported when something is drawn."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Sequence

import numpy as np

from mgen.arrays import EPSILON

_BANDS = 96


def spectrogram(path: pathlib.Path, wave: np.ndarray, *, sample_rate: int, title: str = "") -> np.ndarray:
    """Draws the mel spectrogram of a waveform, in decibels below its loudest point, as a PNG.

    Args:
      path: the PNG to write; its folder is made.
      wave: float32 [samples].
      sample_rate: Hz.
      title: printed above it.

    Returns:
      The picture, uint8 [height, width, 3].
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from mgen.dsp import mel_frequencies, mel_spectrogram

    n_fft = 2 ** round(np.log2(0.09 * sample_rate))  # about 90 ms: a bass line and a hi-hat can both be read
    wave = np.pad(np.asarray(wave, np.float32), (0, max(0, n_fft - len(wave))))
    mel = np.asarray(mel_spectrogram(wave, sample_rate=sample_rate, n_fft=n_fft, hop_length=n_fft // 4, n_mels=_BANDS))
    decibels = 10 * np.log10(np.maximum(mel, EPSILON) / max(mel.max(), EPSILON))

    figure = Figure(figsize=(9, 3.2), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    extent = (0, len(wave) / sample_rate, -0.5, _BANDS - 0.5)
    image = axes.imshow(decibels.T, origin="lower", aspect="auto", vmin=-80, vmax=0, cmap="magma", extent=extent)
    ticks = np.arange(7, _BANDS, 16)
    centres = mel_frequencies(sample_rate=sample_rate, n_mels=_BANDS)
    axes.set_yticks(ticks, [f"{centres[tick]:.0f}" for tick in ticks])
    axes.set(xlabel="seconds", ylabel="Hz")
    axes.set_title(title, fontsize=8, wrap=True, parse_math=False)  # a song's name may hold a $
    figure.colorbar(image, ax=axes, label="dB")
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The font has no letters of some scripts: a name in them is drawn as boxes, once, without a warning for each.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figure.savefig(path)
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def confusion(path: pathlib.Path, counts: np.ndarray, names: Sequence[str], *, title: str = "") -> None:
    """Draws which class was taken for which as a PNG: shares of each row in colour, and the counts as numbers.

    Args:
      path: the PNG to write; its folder is made.
      counts: int [classes, classes], the truth by row.
      names: of the classes.
      title: printed above it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.0 + 0.5 * len(names)
    figure = Figure(figsize=(side + 0.6, side), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    axes.set(xlabel="taken for", ylabel="is")
    axes.set_title(title, fontsize=8, wrap=True, parse_math=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_figure(path)
