"""How fast a sound file is: what its name says, or what its onsets do. The only user of librosa.

    wave -> onsets -> estimate -> bpm

`named` and `hinted` read a file's name.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import numpy as np

from mgen.data.host import on_host
from mgen.metrics.onset import onset_envelope
from mgen.metrics.rhythm import strengths_of_tempi

Estimator = Literal["onsets", "librosa"]
ESTIMATORS = ("onsets", "librosa")

#: Beats a minute that a table or a name may say.
LIMITS = (20.0, 400.0)
#: An estimate agrees with a number that is no further off than this share of it, or of its octave.
AGREES = 0.04

_HOP_S = 0.01
_FRAME_S = 0.025
_BANDS = 24
_FLOOR_DB = 60.0
_BASS_HZ = 200.0
_BASS_BANDS = 4
# Of all bands and of the bass, that a kick is not outvoted by the hats between the beats.
_BASS_SHARE = 0.5
# A click is heard in the first frame whose window has risen above the floor over it; measured on click tracks.
_HEARD = 0.2  # of a frame, from its end
_LOWEST_BPM, _HIGHEST_BPM = 30.0, 320.0
_SHORTEST_S = 0.5  # shows two beats of the fastest
_WINDOW = 2000  # frames in which a tempo is looked for: a song may breathe between them
_WINDOWS = 8
# Noise of a second is seldom as rhythmic, and longer noise less so, by the square root; see `estimate`.
_CHANCE = 0.5
_STEP = 16  # windows of fewer frames are cut to a multiple, so that not every file is compiled for
_NUMBER = r"\d{2,3}(?:\.\d+)?"
_WITH_UNIT = re.compile(rf"(?<![\d.])({_NUMBER})[ _-]?bpm(?![a-z])|(?<![a-z])bpm[ _-]?({_NUMBER})(?![\d.])", re.I)
_BARE = re.compile(rf"(?:^|(?<=[ _-]))({_NUMBER})(?=[ _-]|$)")


class Onsets(NamedTuple):
    """The onset envelope of a wave: `strength` float32 [frames]; frame i is of the time `start_s + i * hop_s`."""

    strength: np.ndarray
    start_s: float
    hop_s: float


def onsets(wave: np.ndarray, *, sample_rate: int) -> Onsets:
    """The onsets of a wave, float32 [samples], every 10 ms: those of all bands and once more those of the bass.

    A sudden sound shows at the time that it has, not half a frame earlier or later: to 10 ms. A wave that is shorter
    than three frames has none.
    """
    hop = round(_HOP_S * sample_rate)
    n_fft = 2 ** round(np.log2(_FRAME_S * sample_rate))
    start_s = (hop / 2 + (1 - _HEARD) * n_fft) / sample_rate
    frames = (len(wave) - n_fft) // hop
    if frames < 3:
        return Onsets(np.zeros(0, np.float32), start_s, hop / sample_rate)
    # Of a power of two, so that few lengths are compiled for.
    padded = np.pad(wave, (0, 2 ** int(np.ceil(np.log2(len(wave)))) - len(wave)))
    size = {"sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop, "top_db": _FLOOR_DB}
    with on_host():
        every = np.asarray(onset_envelope(padded, n_mels=_BANDS, **size))[:frames]
        bass = np.asarray(onset_envelope(padded, n_mels=_BASS_BANDS, fmax=_BASS_HZ, **size))[:frames]
    return Onsets((1 - _BASS_SHARE) * every + _BASS_SHARE * bass, start_s, hop / sample_rate)


def estimate(
    wave: np.ndarray, found: Onsets, *, sample_rate: int, tempo: tuple[float, float], estimator: Estimator = "onsets"
) -> float:
    """The tempo of a wave in beats a minute; NaN where its onsets repeat no better than those of noise do.

    Estimates are often an octave off, and so one that lies outside `tempo` is halved or doubled until it is inside.
    Where no octave of it is, by either estimator, it is the tempo inside at which the onsets repeat best; NaN where
    they repeat at none of them better than those of noise do.

    Args:
      wave: float32 [samples].
      found: its `onsets`.
      sample_rate: Hz.
      tempo: slowest and fastest tempo to be expected.
      estimator: "onsets" has the greatest mean of the autocorrelation of the onsets one to four beats later, by windows
        of 20 s; "librosa" asks `librosa.feature.tempo`.

    Reference: Ellis, "Beat tracking by dynamic programming", J. New Music Research 36(1), 2007, section 3.2.
    """
    bpm, strengths = _strengths(found)
    seconds = len(found.strength) * found.hop_s
    # Below are 90 % of noises of 4 s, 99 % of those of 8 s (0.18) and all of a minute (0.06). Most music: 0.2 to 0.9.
    if not len(bpm) or strengths.max() <= (chance := _CHANCE / np.sqrt(seconds)):
        return float("nan")
    likely = strengths * np.exp(-0.5 * np.log2(bpm / 120.0) ** 2)
    guess = float(bpm[likely.argmax()])
    if estimator == "librosa":
        import librosa

        hop = round(found.hop_s * sample_rate)
        strength = librosa.onset.onset_strength(y=wave, sr=sample_rate, hop_length=hop)
        guess = float(librosa.feature.tempo(onset_envelope=strength, sr=sample_rate, hop_length=hop)[0])
    inside = folded(guess, tempo)
    if inside is not None:
        return inside
    within = (bpm >= tempo[0]) & (bpm <= tempo[1]) & (strengths > chance)
    return float(bpm[within][likely[within].argmax()]) if within.any() else float("nan")


def _strengths(found: Onsets) -> tuple[np.ndarray, np.ndarray]:
    """Tempi in beats a minute, and how well the onsets repeat at them, the mean of a few windows."""
    if len(found.strength) * found.hop_s < _SHORTEST_S or not found.strength.any():
        return np.zeros(0), np.zeros(0)
    # Wider than a frame, because a beat is no whole number of frames.
    smooth = np.convolve(found.strength, (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16), "same").astype(np.float32)
    width = min(len(smooth), _WINDOW)
    if width >= 8 * _STEP:
        width -= width % _STEP
    count = min(_WINDOWS, max(1, len(smooth) // width))
    starts = np.linspace(0, len(smooth) - width, count).astype(int)
    hop = {"sample_rate": 1 / found.hop_s, "hop_length": 1}
    hop |= {"min_tempo": _LOWEST_BPM, "max_tempo": _HIGHEST_BPM, "beats": 4}
    with on_host():
        some = [strengths_of_tempi(smooth[start : start + width], **hop) for start in starts]
    return some[0][0], np.mean([np.asarray(strengths) for _, strengths in some], axis=0)


def folded(bpm: float, tempo: tuple[float, float]) -> float | None:
    """The octave of a tempo that lies in a range, the one nearest to it; None where none does."""
    octaves = sorted(range(-4, 5), key=abs)
    # A hair wider, so that what is rounded to the end of the range stays.
    inside = (bpm * 2.0**octave for octave in octaves)
    return next((value for value in inside if tempo[0] * 0.999 <= value <= tempo[1] * 1.001), None)


def agrees(estimated: float, bpm: float) -> bool:
    """Whether an estimate is a tempo, its half or its double, to 4 %."""
    return any(abs(estimated / (bpm * octave) - 1) <= AGREES for octave in (0.5, 1.0, 2.0))


def named(stem: str) -> float | None:
    """The tempo that a file's name gives with its unit: 124 of `house_124bpm`, `124 bpm` and `bpm124`; or None.

    What lies outside the `LIMITS` is none.
    """
    numbers = (float(found[1] or found[2]) for found in _WITH_UNIT.finditer(stem))
    return next((number for number in numbers if LIMITS[0] <= number <= LIMITS[1]), None)


def hinted(stem: str) -> tuple[float, ...]:
    """Bare numbers of a file's name that may be its tempo: 110 of `conga_loop_110`."""
    numbers = (float(found[1]) for found in _BARE.finditer(stem))
    return tuple(number for number in numbers if 60 <= number <= 200)
