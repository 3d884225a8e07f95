"""Is a game of several players being played at all: what the log of a run and its sounds say of it."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from mgen.evaluation.sets import GENERATED, REAL, Sets
from mgen.metrics.embedding import embed
from mgen.metrics.gan_health import diagnose, mode_collapse
from mgen.training.checkpoint import Loaded

_WINDOW = 50
_WON = 0.95  # of real sounds and of generated ones alike
_FEWEST = 5  # values of which it can be said that they stand still


def check(workdir: pathlib.Path, loaded: Loaded, sets: Sets, *, seed: int) -> list[str]:
    """What is wrong with a GAN's training up to the step that was loaded, a line each.

    Args:
      workdir: whose metrics.jsonl is read.
      loaded: the checkpoint.
      sets: of one seed, for what generated sounds differ by.
      seed: of the clusters.

    Returns:
      Findings of `gan_health.diagnose` on the log and on the sounds, each with one that says so where nothing was found
      or nothing could be looked at. None for a game of one player.
    """
    if len(loaded.state.variables) < 2:
        return []
    series = _series(workdir / "metrics.jsonl", loaded.step)
    length = min((len(values) for values in series.values()), default=0)
    if length < _FEWEST:
        lines = [f"training: {length} logged values are too few to say anything; log more often"]
    else:
        window = min(_WINDOW, length)
        lines = diagnose(series, window=window)
        right = [np.mean(values[-window:]) for name, values in series.items() if name.endswith("_right")]
        if right and min(right) >= _WON:
            lines.append(
                f"discriminator: right {np.mean(right):.0%} of the time; it has won: regularise or slow it down"
            )
        lines = lines or [f"training: in the last {window} logged values no loss stands still, no gradient vanished"]
    generated, real = (np.asarray(embed(sets.named[name], sample_rate=sets.sample_rate)) for name in (GENERATED, REAL))
    try:
        collapse = mode_collapse(generated, real, seed=seed)
    except ValueError as error:  # too few sounds, or real ones that are doubles of each other
        return [*lines, f"samples: not compared; {error}"]
    return lines + (diagnose({}, collapse=collapse) or [f"samples: {len(generated)} are as varied as the real ones"])


def _series(path: pathlib.Path, step: int) -> dict[str, list[float]]:
    """Each number that training steps logged, up to a step; validation has lines of its own and is left out."""
    found: dict[str, list[float]] = {}
    if not path.exists():
        return found
    for line in path.read_text().splitlines():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:  # the last line of a run that is being written
            continue
        if values["step"] <= step:
            for name, value in values.items():
                if name != "step" and not name.startswith("validation/"):
                    found.setdefault(name, []).append(value)
    return found
