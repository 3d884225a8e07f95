"""What is heard of a clip that a slider may have moved.

Of a clip of `data.tones.Tones` can be measured: `tempo`; `brightness` as rolloff; `pitch` where the lead plays alone; a
level (`drums`, `bass`, `chords`, `lead`) as loudness where the other three are 0. Not here: a level within a mix,
`pattern` and `key`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mgen.metrics.loudness import loudness
from mgen.metrics.onset import onset_envelope
from mgen.metrics.pitch import fundamental_frequency, note_pitch
from mgen.metrics.tempo import tempo
from mgen.metrics.timbre import timbre

Array = jax.Array


class MeasuredFactors(NamedTuple):
    """What was heard of each clip, each float32 [...]."""

    tempo: Array  # BPM, NaN where nothing repeats; may be an octave off: compare with `tempo.tempo_factor`
    pitch: Array  # MIDI number, the median over voiced frames, NaN where none is; of a mix it is the bass's
    loudness: Array  # LUFS, -70 for silence
    brightness: Array  # log2 of the Hz below which 85 % of the magnitude is, NaN for silence; drums have their own


def measured_factors(
    wave: Array, *, sample_rate: float, hop_length: int = 512, tempi: tuple[float, float] = (30.0, 320.0)
) -> MeasuredFactors:
    """Tempo, pitch, loudness and brightness of each clip; see the module for which labels of `Tones` these are.

    Args:
      wave: float32 [..., samples], amplitude in [-1, 1]; 4 s or more for a tempo.
      sample_rate: Hz, at least 17,600 (four times the highest pitch).
      hop_length: samples between frames.
      tempi: slowest and fastest tempo that may be heard, BPM: within an octave no tempo is heard an octave off.

    Raises:
      ValueError: as in the functions that are called.

    Reference: those of `tempo.tempo`, `pitch.fundamental_frequency`, `loudness.loudness` and `timbre.rolloff`.
    """
    envelope = onset_envelope(wave, sample_rate=sample_rate, hop_length=hop_length)
    return MeasuredFactors(
        tempo=tempo(envelope, sample_rate=sample_rate, hop_length=hop_length, min_tempo=tempi[0], max_tempo=tempi[1]),
        pitch=note_pitch(fundamental_frequency(wave, sample_rate=sample_rate, hop_length=hop_length)).midi,
        loudness=loudness(wave, sample_rate=sample_rate),
        brightness=jnp.log2(timbre(wave, sample_rate=sample_rate, hop_length=hop_length).rolloff),
    )
