"""Where the beats of a wave are: tracked one by one, and a straight line where they lie on one.

    onsets, bpm -> tracked -> beat times -> aligned -> Pulse(bpm, start_s, times)

A song whose tempo drifts has no such line, and keeps the beats that were tracked.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mgen.data.tempo import Onsets

_TIGHTNESS = 100.0  # what an interval costs that is not the expected one; librosa's default
_NEAR = 0.1  # of a beat: what lies further from the line is not on it
_ENOUGH = 0.75  # of the beats on the line, else the tempo drifts
_WRONG_BY = 0.02  # how far an estimate may be off, as a share of it
_FEWEST = 4  # beats that show whether a tempo is constant


@dataclasses.dataclass(frozen=True)
class Pulse:
    """The beats of a wave."""

    bpm: float
    """Beats a minute; of a tempo that drifts the median."""
    start_s: float
    """Time of the first beat, less than a beat from the beginning; a hair before it where the wave begins on one."""
    times: tuple[float, ...] = ()
    """Seconds of each beat, where the tempo drifts; empty where it is constant."""

    def beats(self, duration_s: float) -> np.ndarray:
        """Seconds of the beats within a wave of this length and at its end, float64 [beats]."""
        if self.times:
            return np.array(self.times)
        period = 60 / self.bpm
        # A tenth of a beat beyond the end is still the end: the last beat of a loop has one.
        return self.start_s + period * np.arange(1 + max(0, np.floor((duration_s - self.start_s) / period + _NEAR)))


def pulse(found: Onsets, bpm: float, *, known: bool = False) -> Pulse:
    """The beats of onsets about a tempo.

    Args:
      found: from `tempo.onsets`.
      bpm: beats a minute, estimated or known.
      known: whether it is exact, so that a straight line has it as its slope, if such a line fits at all.

    Returns:
      A line where three quarters of the tracked beats lie within a tenth of a beat of it, else what was tracked.
    """
    times, heard = tracked(found, 60 / bpm)
    if len(times) < _FEWEST:
        return Pulse(bpm, float(times[0] % (60 / bpm)) if len(times) else 0.0)
    for fixed in (True, False) if known else (False,):
        period, start = aligned(times, heard, 60 / bpm, fixed=fixed)
        wrong_by = np.abs((times - start) / period - np.round((times - start) / period))
        if np.average(wrong_by <= _NEAR, weights=heard) >= _ENOUGH:
            first = start % period
            # A wave that begins on a beat has it at its beginning and not a beat later.
            return Pulse(60 / period, float(first - period if first > (1 - _NEAR) * period else first))
    return Pulse(60 / float(np.median(np.diff(times))), float(times[0]), tuple(np.round(times, 4).tolist()))


def tracked(found: Onsets, period_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Beats that are where onsets are and about a period apart: their seconds, and how much is heard at each.

    Each beat is moved to the middle of the onset that is there, two frames at most. What is heard is 0 where there is
    no onset and 1 where it is as strong as at most beats: float64 [beats], both.

    Reference: Ellis 2007, as in `tempo.estimate`, section 2: dynamic programming.
    """
    period = period_s / found.hop_s
    if len(found.strength) < period:
        return np.zeros(0), np.zeros(0)
    strength = found.strength / max(float(np.std(found.strength)), 1e-9)
    reach = np.arange(-np.ceil(period), np.ceil(period) + 1)
    local = np.convolve(strength, np.exp(-0.5 * (reach * 32 / period) ** 2))[len(reach) // 2 :][: len(strength)]
    back = np.arange(round(period / 2), round(2 * period) + 1)
    cost = _TIGHTNESS * np.log(back / period) ** 2
    longest = int(back[-1])
    total = np.zeros(longest + len(local))  # zeros in front: a chain may begin anywhere
    before = np.full(len(local), -1)
    # Of what lies before the beginning nothing is taken, and so its cost is none.
    for frame in range(len(local)):
        chains = total[longest + frame - back] - cost
        best = int(chains.argmax())
        if chains[best] > 0:
            before[frame] = frame - back[best]
            total[longest + frame] = local[frame] + chains[best]
        else:
            total[longest + frame] = local[frame]
    frame = int(len(local) - round(period) + np.argmax(total[-round(period) :]))
    beats = []
    while frame >= 0:
        beats.append(frame)
        frame = int(before[frame])
    places = np.array(beats[::-1])
    near = places[:, None] + np.arange(-2, 3)
    weight = strength[near.clip(0, len(strength) - 1)] * ((near >= 0) & (near < len(strength)))
    shift = (weight * np.arange(-2, 3)).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    strongest = weight.max(axis=1)
    heard = np.minimum(1, strongest / max(float(np.median(strongest)), 1e-9)) + 1e-9
    return found.start_s + found.hop_s * (places + shift), heard


def loudness(found: Onsets, times: np.ndarray) -> float:
    """How strong the onsets are at some times and up to 30 ms about them, the mean; 0 of none."""
    frames = np.round((times - found.start_s) / found.hop_s).astype(int)
    near = frames[(frames >= 0) & (frames < len(found.strength))][:, None] + np.arange(-3, 4)
    return float(found.strength[near.clip(0, len(found.strength) - 1)].max(axis=1).mean()) if len(near) else 0.0


def aligned(times: np.ndarray, heard: np.ndarray, period: float, *, fixed: bool) -> tuple[float, float]:
    """The straight line on which most beats lie: its period and the time of one of its beats, seconds.

    The period at which the phases of the beats agree best, up to 2 % from the given one, which is kept where it is
    `fixed`; then the least squares of the beats that are near. Beats count as much as is `heard` of them.
    """
    periods = np.array([period])
    if not fixed:
        span = max(times[-1] - times[0], period)
        steps = int(np.ceil(2 * _WRONG_BY * span / period / 0.05))  # a twentieth of a beat apart at the end
        periods = period * np.linspace(1 - _WRONG_BY, 1 + _WRONG_BY, max(steps, 9) | 1)
    agreement = np.array([(heard * np.exp(2j * np.pi * times / each)).sum() for each in periods])
    best = int(np.abs(agreement).argmax())
    period = float(periods[best])
    start = float(np.angle(agreement[best]) / (2 * np.pi)) * period
    for _ in range(3):  # each time with the beats that are near the better line
        number = np.round((times - start) / period)
        near = np.abs((times - start) / period - number) <= _NEAR
        if len(set(number[near].tolist())) < 2:
            break
        if fixed:
            start = float(np.average(times[near] - period * number[near], weights=heard[near]))
        else:
            # polyfit weighs the residuals, not their squares.
            line = np.polyfit(number[near], times[near], 1, w=np.sqrt(heard[near]))
            period, start = float(line[0]), float(line[1])
    return period, start
