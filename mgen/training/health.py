"""Watches a game of several players while it is trained, so that a collapse costs minutes and not the night."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from mgen.metrics.gan_health import diagnose

_WINDOW = 50  # logged values in which nothing may stand still
_ALIKE = 0.2  # of the spread of real sounds: less is always the same sound


class Collapse(Exception):
    """The game has collapsed: what was found, and the last step at which it was seen to be well."""

    def __init__(self, step: int, findings: str, healthy: int):
        """At `step`; nothing wrong was found up to `healthy`."""
        super().__init__(findings)
        self.step, self.findings, self.healthy = step, findings, healthy


class Watch:
    """Reads what a run logs: losses that stand still, gradients that vanish, sounds that are all alike."""

    def __init__(self, players: int, step: int):
        """Watches from `step` on; a game of one cannot collapse, and is not watched."""
        self._on, self._healthy = players > 1, step
        self._series: dict[str, deque[float]] = {}

    def trained(self, step: int, values: Mapping[str, float]) -> None:
        """Looks at one logged line of training.

        Raises:
          Collapse: a loss is pinned or a gradient has vanished.
        """
        if not self._on:
            return
        for name, value in values.items():
            if name.endswith(("/loss", "/gradient_norm")):
                self._series.setdefault(name, deque(maxlen=_WINDOW)).append(value)
        length = min(map(len, self._series.values()), default=0)
        findings = diagnose(self._series, window=_WINDOW) if length == _WINDOW else []
        if findings:
            raise Collapse(step, "; ".join(findings), self._healthy)

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Looks at one validation, which finds the run well or not.

        Raises:
          Collapse: the generated sounds are alike.
        """
        if not self._on:
            return
        spread = values.get("validation/sound/spread")
        if spread is not None and spread < _ALIKE:
            words = f"generated sounds differ from each other by {spread:.0%} of what real ones do"
            raise Collapse(step, words, self._healthy)
        self._healthy = step
