"""The log of a run: metrics.jsonl (always), TensorBoard scalars, pictures and sounds, and a progress bar."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Mapping

import numpy as np
import tqdm
from tensorboardX import SummaryWriter

from mgen import audio, pictures


class Log:
    """Writes what a run says, in WORKDIR; one process of several writes, the others are silent (`active=False`)."""

    def __init__(self, workdir: pathlib.Path, *, steps: int, start: int, active: bool = True):
        """Opens the log at step `start`: what a killed run wrote beyond its last checkpoint is cut off first."""
        self.active = active
        if not active:
            return
        self.workdir = workdir
        metrics = workdir / "metrics.jsonl"
        kept = _before(metrics, start) if metrics.exists() else []
        metrics.write_text("".join(kept))
        self._metrics = metrics.open("a")
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1, write_to_disk=True)
        self._bar = tqdm.tqdm(total=steps, initial=start, unit="step", dynamic_ncols=True, file=sys.stderr)
        self._shown: dict[str, str] = {}

    def advance(self) -> None:
        """One step is done."""
        if self.active:
            self._bar.update()

    def say(self, text: str) -> None:
        """A line for the person at the terminal, above the bar."""
        if self.active:
            tqdm.tqdm.write(text, file=sys.stderr)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl; the losses are shown on the bar."""
        if not self.active:
            return
        self._metrics.write(
            json.dumps({"step": step, **{name: float(f"{x:.6g}") for name, x in values.items()}}) + "\n"
        )
        self._metrics.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._shown |= {name: f"{value:.4f}" for name, value in values.items() if name.endswith("/loss")}
        self._bar.set_postfix(self._shown)

    def sound(self, step: int, name: str, wave: np.ndarray, *, sample_rate: int, title: str = "") -> None:
        """Writes WORKDIR/previews/STEP_NAME.wav and .png, and both to TensorBoard."""
        if not self.active:
            return
        stem = self.workdir / "previews" / f"{step:07d}_{name}"
        picture = pictures.spectrogram(stem.with_suffix(".png"), wave, sample_rate=sample_rate, title=title)
        audio.write(stem.with_suffix(".wav"), wave, sample_rate=sample_rate)
        self._board.add_image(name, picture, step, dataformats="HWC")
        self._board.add_audio(name, np.clip(wave, -1, 1)[:, None], step, sample_rate=sample_rate)

    def close(self) -> None:
        """Flushes and closes all of it."""
        if self.active:
            self._bar.close()
            self._metrics.close()
            self._board.close()


def _before(path: pathlib.Path, start: int) -> list[str]:
    """The lines up to step `start`; a last line that a killed run left half-written is dropped."""
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= start:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):
            continue
    return kept
