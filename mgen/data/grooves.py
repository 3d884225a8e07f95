"""What the patterns of `tones` play: eight genres that rhythm, harmony and timbre tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

Events = tuple[tuple[float, float], ...]

_MAJOR, _MINOR = (0, 2, 4, 7, 9), (0, 3, 5, 7, 10)  # pentatonic: no note of it fights any of the chords


@dataclasses.dataclass(frozen=True)
class Groove:
    """What a pattern plays. Times and lengths are beats of a bar of four, pitches semitones above the tonic."""

    scale: tuple[int, ...]  # of the lead
    progression: tuple[tuple[int, ...], ...]  # one chord a bar, root first, the tonic's chord in the first bar
    drums: Mapping[str, Events]  # sound -> (beat, velocity)
    bass: Events  # (beat, length)
    chords: Events  # (beat, length)
    chord_gain: float = 1.0  # short notes need more to sound as loud as a pad
    electric_piano: bool = False  # else detuned saws
    attack_s: float = 0.004  # of the chords
    decay_s: float = 0.3  # of the chords
    swing: float = 0.5  # where the second half of a beat begins
    hiss: float = 0.0
    bass_slope: float = 1.3  # of harmonic n, n ** -slope: less is brighter
    chord_slope: float = 1.0  # of the saws
    lead_slope: float = 1.5


def _even(step: float, *velocities: float, start: float = 0.0) -> Events:
    """Hits every `step` beats of a bar, the velocities taken in turn."""
    count = round((4 - start) / step)
    return tuple((start + step * i, velocities[i % len(velocities)]) for i in range(count))


GROOVES: dict[str, Groove] = {
    "house": Groove(  # i7 VImaj7 IIImaj7 VII7, four on the floor, stabs between the beats
        scale=_MINOR,
        progression=((0, 3, 7, 10), (8, 0, 3, 7), (3, 7, 10, 2), (10, 2, 5, 8)),
        drums={
            "kick": _even(1, 1.0),
            "clap": ((1, 1.0), (3, 1.0)),
            "hat": _even(0.25, 0.5, 0.25, 0.0, 0.3),
            "open_hat": _even(1, 0.8, start=0.5),
        },
        bass=((0.5, 0.4), (1.5, 0.4), (2.5, 0.2), (2.75, 0.2), (3.5, 0.4)),
        chords=((0, 0.4), (0.5, 0.4), (1.5, 0.7), (2.5, 0.4), (3.5, 0.4)),
        chord_gain=1.7,
    ),
    "lofi": Groove(  # Imaj7 vi7 ii7 V7, swung eighths, a soft kit on a dusty record
        scale=_MAJOR,
        progression=((0, 4, 7, 11), (9, 0, 4, 7), (2, 5, 9, 0), (7, 11, 2, 5)),
        drums={
            "soft_kick": ((0, 1.0), (1.5, 0.6), (2.5, 0.9)),
            "rim": ((1, 1.0), (3, 1.0), (3.75, 0.3)),
            "hat": _even(0.5, 0.6, 0.35),
        },
        bass=((0, 1.2), (1.5, 0.9), (2.5, 1.3)),
        chords=((0, 1.4), (1.5, 2.3)),
        chord_gain=1.4,
        electric_piano=True,
        decay_s=0.9,
        swing=0.62,
        hiss=0.006,
    ),
    "breakbeat": Groove(  # i7 VImaj7 iv7 v7, a broken kick and ghosted snares under a pad
        scale=_MINOR,
        progression=((0, 3, 7, 10), (8, 0, 3, 7), (5, 8, 0, 3), (7, 10, 2, 5)),
        drums={
            "kick": ((0, 1.0), (0.5, 0.8), (2.5, 0.9), (2.75, 0.6)),
            "snare": ((1, 1.0), (1.75, 0.35), (2.25, 0.4), (3, 1.0), (3.75, 0.45)),
            "hat": _even(0.5, 0.7, 0.5),
        },
        bass=((0, 0.7), (0.75, 0.5), (1.5, 0.9), (2.75, 1.1)),
        chords=((0, 3.9),),
        attack_s=0.08,
        decay_s=3.0,
    ),
    "techno": Groove(  # one chord, four on the floor, a bass between all beats
        scale=_MINOR,
        progression=((0, 3, 7, 10),),
        drums={
            "kick": _even(0.5, 1.0, 0.6),
            "hat": _even(0.25, 0.2, 0.5, 0.9, 0.5),
            "rim": ((0.75, 0.8), (1.5, 0.6), (2.75, 0.8), (3.5, 0.5)),
        },
        bass=tuple((beat + part, 0.2) for beat in range(4) for part in (0.25, 0.5, 0.75)),
        chords=((1.75, 0.25), (3.25, 0.25)),
        chord_gain=2.4,
        decay_s=0.2,
        bass_slope=0.8,
        lead_slope=1.0,
    ),
    "reggae": Groove(  # I7 IV7 I7 V7 of the scale, all that is heard falls off the beat
        scale=_MAJOR,
        progression=((0, 4, 7, 9), (5, 9, 0, 2), (0, 4, 7, 9), (7, 11, 2, 5)),
        drums={
            "soft_kick": ((0, 0.5), (2, 1.0), (2.75, 0.5)),
            "rim": ((2, 1.0), (3.5, 0.4)),
            "hat": _even(0.5, 0.4, 0.8),
        },
        bass=((0, 0.8), (0.75, 0.7), (1.5, 0.9), (2.5, 1.2)),
        chords=((1, 0.4), (3, 0.4), (3.5, 0.25)),
        chord_gain=4.8,
        decay_s=0.3,
        swing=0.6,
        bass_slope=2.2,
        chord_slope=1.5,
        lead_slope=2.0,
    ),
    "ambient": Groove(  # two chords that swell and fade, hardly a beat
        scale=_MAJOR,
        progression=((0, 2, 7, 11), (5, 7, 0, 4)),
        drums={"soft_kick": ((0, 0.7),), "rim": ((2.5, 0.25),)},
        bass=((0, 1.9), (2, 1.9)),
        chords=((0, 1.95), (2, 1.95)),
        chord_gain=2.7,
        electric_piano=True,
        attack_s=0.2,
        decay_s=1.0,
        hiss=0.01,
        bass_slope=1.5,
        lead_slope=3.0,
    ),
    "bossa": Groove(  # ii7 V7 Imaj7 vi7, a clave on the rim, short plucked chords
        scale=_MAJOR,
        progression=((2, 5, 9, 0), (7, 11, 2, 5), (0, 4, 7, 11), (9, 0, 4, 7)),
        drums={
            "rim": ((0, 0.9), (0.75, 0.7), (1.5, 0.9), (2.5, 0.8), (3.25, 0.8)),
            "soft_kick": ((0, 0.7), (1.5, 0.5), (2, 0.7), (3.5, 0.5)),
            "hat": _even(0.25, 0.4, 0.15),
        },
        bass=((0, 1.2), (1.5, 0.4), (2, 1.2), (3.5, 0.4)),
        chords=((0, 0.4), (1, 0.3), (1.5, 0.5), (2.5, 0.4), (3.5, 0.4)),
        chord_gain=2.2,
        electric_piano=True,
        decay_s=0.3,
        bass_slope=2.0,
    ),
    "rock": Groove(  # i5 VI5 III5 VII5, bright fifths and a bass on every eighth, cymbals left open
        scale=_MINOR,
        progression=((0, 7, 0, 7), (8, 3, 8, 3), (3, 10, 3, 10), (10, 5, 10, 5)),
        drums={
            "kick": ((0, 1.0), (1.5, 0.7), (2, 1.0), (2.5, 0.7)),
            "snare": ((1, 1.0), (3, 1.0)),
            "open_hat": _even(0.5, 0.8, 0.6),
        },
        bass=tuple((0.5 * number, 0.45) for number in range(8)),
        chords=tuple((0.5 * number, 0.45) for number in range(8)),
        decay_s=0.6,
        bass_slope=1.0,
        chord_slope=0.7,
        lead_slope=1.0,
    ),
}
