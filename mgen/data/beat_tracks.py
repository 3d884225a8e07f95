"""A sound file by its beats: how fast it is and how that is known, and the fragments that can be cut from it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mgen.data import DataError
from mgen.data.cache import remembered
from mgen.data.pulse import Pulse, loudness, pulse
from mgen.data.scan import SILENCE, File
from mgen.data.tags import tags_in
from mgen.data.tempo import LIMITS, Estimator, agrees, estimate, hinted, named, onsets

#: Raise it when other beats are found in the same sound.
VERSION = 2
_WHOLE = 0.03  # of a beat: a file whose length is nearer to a whole number of beats was cut as a loop
_LONGEST_LOOP = 16  # beats, or two fragments; of a whole song a whole number of beats is chance
_ALIKE = 0.002  # as a share: tempi that are said to be the same
_GOLDEN = (5**0.5 - 1) / 2
_PLAINLY = 0.4  # as strong are the onsets where a loop begins, or less, and it began on no beat


@dataclasses.dataclass(frozen=True)
class Track:
    """The beats of a wave, and the fragments of a number of beats that can be cut from it."""

    pulse: Pulse
    beats: np.ndarray
    """Seconds of every beat, float64; of a loop also of the first one a round later."""
    origin: str
    """Where the tempo comes from: "csv", "file name", or the estimator."""
    loop: bool
    """Whether it is read round and round."""
    starts: tuple[int, ...]
    """The beats at which a fragment may start, none of them silent."""
    rms: float
    """Of the whole wave, linear."""

    def tempo(self, start: float, beats: int) -> float:
        """Beats a minute of the fragment that starts at a beat, or between two."""
        if not self.pulse.times:
            return self.pulse.bpm
        return 60 * beats / float(np.ptp(self.seconds(start, beats)[[0, -1]]))

    def seconds(self, start: float, beats: int) -> np.ndarray:
        """Times of the beats of a fragment and of its end, float64 [beats + 1]; a loop's go on beyond its end.

        Of a fragment that starts between two beats they are those of the places as far behind every beat.
        """
        number = start + np.arange(beats + 1)
        rounds, number = np.divmod(number, len(self.beats) - 1) if self.loop else (0, number)
        return np.interp(number, np.arange(len(self.beats)), self.beats) + rounds * np.ptp(self.beats)

    def off_beat(self, start: int, beats: int) -> float:
        """Where a fragment starts that is to start anywhere: between a beat and the next, always at the same place.

        Over the beats of a file these places are spread evenly, as multiples of the golden ratio are. A file that has
        room for a single fragment has it where it was.
        """
        share = (start + 1) * _GOLDEN % 1
        last = np.inf if self.loop else len(self.beats) - 1 - beats
        return start + share if start < last else max(0.0, start - 1 + share)


def listen(
    wave: np.ndarray,
    *,
    sample_rate: int,
    beats: int,
    tempo: tuple[float, float],
    estimator: Estimator,
    known: float | None = None,
    hints: tuple[float, ...] = (),
    origin: str = "",
) -> Track | str:
    """Finds the beats of a wave; a fragment may start at each.

    Args:
      wave: float32 [samples].
      sample_rate: Hz.
      beats: of a fragment.
      tempo: range that estimates are folded into.
      estimator: of the tempo.
      known: the tempo, if it is known.
      hints: numbers, one of which is the tempo if the estimate agrees with it.
      origin: where the tempo is known from.

    Returns:
      The track, or why it has no fragment.
    """
    if abs(wave).max(initial=0.0) <= SILENCE:
        return "silent"
    found, bpm, duration_s = onsets(wave, sample_rate=sample_rate), known, len(wave) / sample_rate
    if bpm is None:
        bpm = estimate(wave, found, sample_rate=sample_rate, tempo=tempo, estimator=estimator)
        if np.isnan(bpm):
            asked = f"{tempo[0]:g} to {tempo[1]:g} bpm (data.tempo)"
            return f"no beat can be found at {asked}; if it has one, say its tempo in data.tempi"
        hint = next((number for number in hints if agrees(bpm, number)), None)
        origin = f"estimated by {estimator}" if hint is None else "file name"
        bpm, known = (bpm, None) if hint is None else (hint, hint)
    own = pulse(found, bpm, known=known is not None)
    # What is known is asked first: the beats of a loop need not be found at all.
    round_bpm = next((each for each in (known or own.bpm, own.bpm) if _is_loop(duration_s * each / 60, beats)), None)
    if round_bpm is not None:
        count = round(duration_s * round_bpm / 60)
        times = np.arange(count + 1) * (duration_s / count)
        # Who cuts a loop begins with a beat, unless it is plain that something else was cut.
        later = own.start_s % (duration_s / count)
        if loudness(found, times[1:-1]) < _PLAINLY * loudness(found, times[:-1] + later):
            times = times + later
        # A known tempo that does not fit the loop is not the one that its beats have.
        own = Pulse(known if round_bpm == known else 60 * count / duration_s, float(times[0]))
    else:
        times = own.beats(duration_s)
        if len(times) <= beats:
            return f"{beats} beats at {own.bpm:.4g} bpm are {beats * 60 / own.bpm:.2f} s, and it has {duration_s:.2f} s"
    if known and abs(own.bpm / known - 1) > _ALIKE:
        origin = f"{origin} says {known:g}, its beats another"
    rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    track = Track(own, times, origin, round_bpm is not None, (), rms)
    last = len(times) - 1 if track.loop else len(times) - beats
    sounding = _sounding(wave, np.round(times * sample_rate).astype(int))
    starts = tuple(start for start in range(last) if sounding[(start + np.arange(beats)) % len(sounding)].any())
    return dataclasses.replace(track, starts=starts) if starts else "every fragment of it is silent"


def _is_loop(length: float, beats: int) -> bool:
    """Whether a file of so many beats is one that was cut to be repeated."""
    return 2 <= round(length) <= max(_LONGEST_LOOP, 2 * beats) and abs(length - round(length)) <= _WHOLE


def _sounding(wave: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Whether there is sound from each beat to the next, bool [beats - 1]."""
    pairs = zip(samples[:-1].clip(0), samples[1:].clip(0), strict=True)
    return np.array([abs(wave[start:stop]).max(initial=0.0) > SILENCE for start, stop in pairs])


def listen_to(
    file: File, known: float | None, *, beats: int, tempo: tuple[float, float], estimator: Estimator
) -> Track | str:
    """`listen` to a file, once and then remembered.

    Args:
      file: of a folder; its name may say how fast it is.
      known: what a table says.
      beats: of a fragment.
      tempo: range that estimates are folded into.
      estimator: of the tempo.
    """
    stem = pathlib.PurePosixPath(file.name).stem
    origin = "file name" if known is None else "csv"
    known = named(stem) if known is None else known
    asked: dict[str, Any] = {"beats": beats, "tempo": tempo, "estimator": estimator, "known": known, "origin": origin}
    if known is None:
        asked["hints"] = hinted(stem)
    sound = file.audio

    def find() -> Any:
        track = listen(sound.read(0, sound.length), sample_rate=sound.sample_rate, **asked)
        return track if isinstance(track, str) else _noted(track)

    answer = remembered(sound, f"beats {VERSION} {sorted(asked.items())}", find)
    return answer if isinstance(answer, str) else _read(answer)


def _noted(track: Track) -> dict[str, Any]:
    """A track as JSON can hold it."""
    return dataclasses.asdict(track) | {"beats": track.beats.tolist()}


def _read(note: dict[str, Any]) -> Track:
    own = Pulse(note["pulse"]["bpm"], note["pulse"]["start_s"], tuple(note["pulse"]["times"]))
    return Track(**note | {"pulse": own, "beats": np.array(note["beats"]), "starts": tuple(note["starts"])})


def known_tempi(path: str, table: str) -> Callable[[str], float | None]:
    """What a table says of how fast the files of a folder are, by their names within it; see `tags.read_tags`.

    Args:
      path: the folder.
      table: CSV file with a column bpm; "" says nothing of any file.

    Raises:
      DataError: the table cannot be read, or, when asked of a file, what it says is no tempo.
    """
    if not table:
        return lambda name: None
    tags_of = tags_in(path, table, "bpm", field="tempi")

    def tempo_of(name: str) -> float | None:
        said = tags_of(name)
        if not said:
            return None
        try:
            bpm = float(said[0])
        except ValueError:
            bpm = 0.0
        if len(said) > 1 or not LIMITS[0] <= bpm <= LIMITS[1]:
            limits = f"{LIMITS[0]:g} to {LIMITS[1]:g}"
            raise DataError(f"data.tempi={table}: bpm of {name} is {';'.join(said)}: expected a number from {limits}")
        return bpm

    return tempo_of
