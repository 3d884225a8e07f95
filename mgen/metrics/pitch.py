"""The pitch of a sound: the fundamental of each frame, the note of a clip, and whether notes are those asked for.

    wave -> fundamental_frequency -> PitchTrack -> note_pitch -> Note -> pitch_accuracy

`mgen.metrics.tone` measures a track further. Chosen on 120 labelled notes of 15 instruments, clean and in white noise,
among YIN with its threshold, the peaks of McLeod and of Boersma, the harmonic product and a Viterbi path. With the path
the note of a clip is found no more often, and 1 to 4 % more of the single frames are right: not worth its code here.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.fft import next_fast_len

from mgen.arrays import EPSILON, check_same_shape
from mgen.metrics.clips import check_clips, one_by_one

Array = jax.Array


class PitchTrack(NamedTuple):
    """What is known of each frame, each float32 [..., frames].

    f0: fundamental frequency, Hz: always the best guess, also of noise. NaN where there is none, as in silence.
    aperiodicity: about 0 for a tone and 1 for noise (YIN's normalised difference); 1 in silence.
    correlation: of the frame and itself one period later, whatever the change in level; 0 in silence.
    power: mean square of the frame, less its mean.
    """

    f0: Array
    aperiodicity: Array
    correlation: Array
    power: Array


class Note(NamedTuple):
    """The pitch of whole clips, each float32 [...]; hertz and midi are NaN where no frame is voiced.

    hertz: fundamental frequency.
    midi: the same as a number of the keyboard, 69 + 12 log2(hertz / 440).
    voiced: share of the sounding frames that are voiced: above 0.9 for each of 120 real notes, near 0 for rain.
    """

    hertz: Array
    midi: Array
    voiced: Array


def period_window(sample_rate: float, fmin: float) -> int:
    """Samples that are compared with what comes one period later: the least power of two that holds a longest period.

    Longer windows were no better on notes, and smear a vibrato.
    """
    return 1 << (_longest(sample_rate, fmin) - 1).bit_length()


def fundamental_frequency(
    wave: Array,
    *,
    sample_rate: float,
    fmin: float = 26.0,
    fmax: float | None = None,
    hop_length: int = 512,
    win_length: int | None = None,
    octave_cost: float = 0.03,
) -> PitchTrack:
    """Fundamental frequency of every frame, by YIN with a cost of octaves in place of its threshold.

    The difference of a frame and itself later is had from a correlation by Fourier transform, at every half sample (at
    whole samples a bright tone above 1.4 kHz is taken for a lower one), and its valleys are parabolas. YIN takes the
    first valley below 0.1, which noise fills: of 120 notes with as much noise as tone it finds 23, this form 116.

    Args:
      wave: float32 [..., samples].
      sample_rate: Hz.
      fmin: Hz, lowest fundamental; 26 is just below the lowest key of a piano.
      fmax: Hz, highest fundamental; if None 4400, just above the highest key, or a quarter of sample_rate if less.
      hop_length: samples between frames. Frame t is of `win_length` samples and a period, from sample t * hop_length.
      win_length: samples compared; `period_window` if None, which is 46 ms at 22,050 Hz.
      octave_cost: aperiodicity that an octave down must gain. A fundamental that is weaker than the rest by about
        10 log10(octave_cost), -15 dB, is heard an octave higher.

    Returns:
      `PitchTrack` of float32 [..., frames], frames = 1 + (samples - win_length - longest period) // hop_length.

    Raises:
      ValueError: 0 < fmin < fmax <= sample_rate / 4 does not hold, win_length is shorter than the longest period,
        hop_length is less than 1, octave_cost is negative, or refused by `check_clips`.

    Reference: de Cheveigne & Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111(4),
      2002; the octave cost is that of Boersma, IFA Proceedings 17, 1993.
    """
    fmax = min(4400.0, sample_rate / 4) if fmax is None else fmax
    if not 0 < fmin < fmax <= sample_rate / 4:
        raise ValueError(
            f"fmin={fmin}, fmax={fmax}: expected 0 < fmin < fmax <= {sample_rate / 4:g}, a quarter of "
            f"sample_rate={sample_rate}; move the edges or raise the rate"
        )
    longest = _longest(sample_rate, fmin)
    window = period_window(sample_rate, fmin) if win_length is None else win_length
    if window < longest:
        raise ValueError(
            f"win_length={window}: expected at least {longest}, a period of fmin={fmin} at sample_rate={sample_rate}; "
            "raise win_length or fmin"
        )
    if hop_length < 1:
        raise ValueError(f"hop_length={hop_length}: expected at least 1; 512 is usual")
    if not octave_cost >= 0:
        raise ValueError(f"octave_cost={octave_cost}: expected zero or more; 0.03 is usual")
    return _track(
        check_clips(wave, shortest=window + longest),
        sample_rate=sample_rate,
        shortest=max(2, math.floor(2 * sample_rate / fmax)),
        longest=longest,
        window=window,
        hop=hop_length,
        cost=octave_cost,
    )


@functools.partial(jax.jit, static_argnames=("max_aperiodicity", "floor_db"))
def note_pitch(track: PitchTrack, *, max_aperiodicity: float = 0.5, floor_db: float = -30.0) -> Note:
    """The one pitch of a clip that holds one note: the median over the frames that sound and are voiced.

    Args:
      track: from `fundamental_frequency`, [..., frames].
      max_aperiodicity: below which a frame is voiced; 0.5 is as much noise as tone.
      floor_db: dB below the loudest frame of each clip, under which a frame does not sound.

    Returns:
      `Note` of float32 [...]; voiced is 0 where no frame sounds.

    Raises:
      ValueError: floor_db is not below zero.
    """
    sounds = sounding(track, floor_db=floor_db)
    voiced = sounds & (track.aperiodicity < max_aperiodicity)
    hertz = median_where(track.f0, voiced)
    share = jnp.sum(voiced, axis=-1) / jnp.maximum(jnp.sum(sounds, axis=-1), 1)
    return Note(hertz, 69 + 12 * jnp.log2(hertz / 440), share)


@functools.partial(jax.jit, static_argnames=("tolerance_cents",))
def pitch_accuracy(midi: Array, wanted: Array, *, tolerance_cents: float = 50.0) -> Array:
    """Share of clips whose pitch is the one wanted.

    Args:
      midi: float32 [...], `note_pitch(...).midi`; NaN, no pitch, is wrong.
      wanted: float32 or int [...], MIDI numbers.
      tolerance_cents: hundredths of a semitone.

    Returns:
      float32 scalar, 0 to 1, over all axes.

    Raises:
      ValueError: the shapes differ, or there are no clips.

    Reference: Engel et al., "GANSynth", ICLR 2019, where a classifier of notes does the hearing.
    """
    check_same_shape(midi, wanted)
    if not np.size(wanted):
        raise ValueError("wanted: expected at least one clip, got none")
    return jnp.mean(jnp.abs(jnp.asarray(midi) - jnp.asarray(wanted)) * 100 <= tolerance_cents)


def sounding(track: PitchTrack, *, floor_db: float) -> Array:
    """Which frames sound, bool [..., frames]: those above 1e-10 of power and `floor_db` under their clip's loudest.

    Raises:
      ValueError: floor_db is not below zero.
    """
    if not floor_db < 0:
        raise ValueError(f"floor_db={floor_db}: expected a number below 0, dB under the loudest frame; -30 is usual")
    loudest = jnp.max(track.power, axis=-1, keepdims=True)
    return (track.power > EPSILON) & (track.power >= loudest * 10 ** (floor_db / 10))


def median_where(values: Array, chosen: Array) -> Array:
    """Median of the chosen along the last axis; NaN where none is."""
    ordered = jnp.sort(jnp.where(chosen, values, jnp.inf), axis=-1)
    count = jnp.sum(chosen, axis=-1, keepdims=True)
    middle = [jnp.take_along_axis(ordered, jnp.maximum(index, 0), -1) for index in ((count - 1) // 2, count // 2)]
    return jnp.where(count > 0, (middle[0] + middle[1]) / 2, jnp.nan)[..., 0]


def _longest(sample_rate: float, fmin: float) -> int:
    return math.ceil(sample_rate / fmin) + 1  # a valley has two sides


@functools.partial(jax.jit, static_argnames=("sample_rate", "shortest", "longest", "window", "hop", "cost"))
def _track(wave: Array, **settings: Any) -> PitchTrack:
    return one_by_one(functools.partial(_track_one, **settings), wave)


def _track_one(
    wave: Array, *, sample_rate: float, shortest: int, longest: int, window: int, hop: int, cost: float
) -> PitchTrack:
    """The track of one clip [samples]. Lags are counted in half samples: `shortest`.. 2 * longest."""
    frames = _frames(wave, window + longest, hop)
    frames -= jnp.mean(frames, axis=-1, keepdims=True)
    size = next_fast_len(window + longest, real=True)
    size += size % 2
    spectrum = jnp.fft.rfft(frames, size)
    cross = spectrum * jnp.conj(jnp.fft.rfft(frames[:, :window], size))
    # Twice the length is a sample between any two; the last bin is then one of a pair and no longer alone.
    both = jnp.pad(cross * np.append(np.ones(size // 2, np.float32), np.float32(0.5)), ((0, 0), (0, size // 2)))
    correlation = 2 * jnp.fft.irfft(both, 2 * size)[:, : 2 * longest]

    squares = jnp.square(frames)
    own = jnp.sum(squares[:, :window], axis=-1, keepdims=True)
    change = _cumulative(squares[:, window : window + longest] - squares[:, :longest])
    later = own + jnp.pad(change, ((0, 0), (1, 0)))  # [frames, 1 + longest], energy at whole lags
    halves = jnp.stack([later[:, :-1], (later[:, :-1] + later[:, 1:]) / 2], axis=-1).reshape(len(frames), 2 * longest)

    difference = jnp.maximum(own + halves - 2 * correlation, 0)
    lags = np.arange(2 * longest, dtype=np.float32)
    silent = own < window * EPSILON
    normalised = difference * lags / jnp.where(silent, 1, jnp.maximum(_cumulative(difference), EPSILON**2))

    before, here, after = normalised[:, :-2], normalised[:, 1:-1], normalised[:, 2:]
    valley = (here <= before) & (here < after) & (lags[1:-1] >= shortest) & ~silent
    bend = jnp.where(valley, before - 2 * here + after, 1)
    depth = jnp.maximum(here - jnp.square(before - after) / (8 * bend), 0)
    octaves = np.log2(np.maximum(lags[1:-1], shortest) / shortest)
    best = jnp.argmin(jnp.where(valley, depth + cost * octaves, jnp.inf), axis=-1)[:, None]
    found = jnp.any(valley, axis=-1)

    # The lag is refined on the difference itself, whose valleys are not tilted by the normalisation.
    before, here, after = (jnp.take_along_axis(difference, best + side, -1) for side in range(3))
    bend = before - 2 * here + after
    shift = jnp.where(bend > 0, (before - after) / (2 * jnp.where(bend > 0, bend, 1)), 0)
    lag = (best + 1 + jnp.clip(shift, -1, 1)) / 2

    return PitchTrack(
        f0=jnp.where(found, sample_rate / lag[:, 0], jnp.nan),
        aperiodicity=jnp.where(found, jnp.take_along_axis(depth, best, -1)[:, 0], 1.0),
        correlation=jnp.where(found, _correlation_at(lag, frames[:, :window], spectrum, size), 0.0),
        power=own[:, 0] / window,
    )


def _correlation_at(lag: Array, first: Array, spectrum: Array, size: int) -> Array:
    """Normalised correlation of the first samples of a frame and those `lag` [frames, 1] later, also between samples.

    The frame is moved by turning its phases. From correlations at whole lags it could only be had to 25 dB.
    """
    turn = lag * (2 * np.pi / size * np.arange(1 + size // 2, dtype=np.float32))
    later = jnp.fft.irfft(spectrum * lax.complex(jnp.cos(turn), jnp.sin(turn)), size)[:, : first.shape[-1]]
    energy = jnp.sum(jnp.square(first), axis=-1) * jnp.sum(jnp.square(later), axis=-1)
    return jnp.sum(first * later, axis=-1) / jnp.sqrt(jnp.maximum(energy, EPSILON**2))


def _frames(wave: Array, length: int, hop: int) -> Array:
    """Overlapping frames [frames, length] of one wave, none beyond its end."""
    count = 1 + (len(wave) - length) // hop
    return wave[np.arange(count)[:, None] * hop + np.arange(length)]


def _cumulative(values: Array, block: int = 32) -> Array:
    """Cumulative sum along the last axis, as small products: jnp.cumsum is no faster and compiles 1 s longer."""
    rows, count = values.shape
    blocks = jnp.pad(values, ((0, 0), (0, -count % block))).reshape(rows, -1, block)
    precise = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    within = precise(blocks, np.triu(np.ones((block, block), np.float32)))
    before = precise(within[..., -1], np.triu(np.ones((blocks.shape[1],) * 2, np.float32), 1))
    return (within + before[..., None]).reshape(rows, -1)[:, :count]
