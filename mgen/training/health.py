"""Watches a game of several players while it is trained, so that a collapse costs minutes and not the night."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from mgen.metrics.gan_health import diagnose

_WINDOW = 50  # logged values in which nothing may stand still
_HISTORY = 20 * _WINDOW  # in which the best window is looked for, to compare with
_ALIKE = 0.2  # of the spread of real sounds: less is always the same sound
_BROKEN = 0.5  # share of sounds that hold NaN


class Collapse(Exception):
    """The game has collapsed: what was found, and the last step at which it was well."""

    def __init__(self, step: int, findings: str, healthy: int):
        """At `step`; nothing was wrong up to `healthy`."""
        super().__init__(findings)
        self.step, self.findings, self.healthy = step, findings, healthy


class Watch:
    """Reads what a run logs: losses that stand still, gradients that vanish, sounds that are all alike or broken."""

    def __init__(self, players: int):
        """A game of one cannot collapse, and is not watched."""
        self._on = players > 1
        self._steps: deque[int] = deque(maxlen=_HISTORY)
        self._series: dict[str, deque[float]] = {}
        self._good = -1  # last step at which the sounds were well; -1 before any was

    def remember(self, step: int, values: Mapping[str, float]) -> None:
        """Takes in a line that was logged before, of which nothing more is said."""
        if any(name.endswith("/gradient_norm") for name in values):
            self._steps.append(step)
            for name, value in values.items():
                if name.endswith(("/loss", "/gradient_norm")):
                    self._series.setdefault(name, deque(maxlen=_HISTORY)).append(value)
        elif _sounds(values) == "":
            self._good = step

    def trained(self, step: int, values: Mapping[str, float]) -> None:
        """Looks at one logged line of training.

        Raises:
          Collapse: a loss is pinned or a gradient has vanished; it was well where the window of these begins.
        """
        self.remember(step, values)
        if not self._on or len(self._steps) < _WINDOW:
            return
        findings = diagnose({name: list(values) for name, values in self._series.items()}, window=_WINDOW)
        if findings:
            raise Collapse(step, "; ".join(findings), self._steps[-_WINDOW])

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Looks at one validation. A network that has only begun makes sounds that are alike: at first that is no news.

        Raises:
          Collapse: the generated sounds, which had been well, are alike or broken.
        """
        if self._on and self._good >= 0 and (found := _sounds(values)):
            raise Collapse(step, found, self._good)
        self.remember(step, values)


def _sounds(values: Mapping[str, float]) -> str | None:
    """What is wrong with the sounds of a validation: nothing is "", and None where none were played."""
    if values.get("validation/sound/broken", 0.0) >= _BROKEN:
        return f"{values['validation/sound/broken']:.0%} of the generated sounds hold NaN"
    spread = values.get("validation/sound/spread")
    if spread is None:
        return None
    return f"generated sounds differ from each other by {spread:.0%} of what real ones do" if spread < _ALIKE else ""
