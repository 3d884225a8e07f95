"""`Tones`: built-in synthetic music with known truth; no files, no network, every sound explained by its labels."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from mgen.controls import Choice, Settings, Slider
from mgen.data import DataError
from mgen.data import tones_synth as synth
from mgen.data.grooves import GROOVES

KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
#: Every groove, and those that `Tones` draws from if it is not told.
GENRES = tuple(GROOVES)
PATTERNS = ("house", "lofi", "breakbeat")
STEMS = ("drums", "bass", "chords", "lead")
#: Every factor in the order of the label columns.
FACTORS = ("pattern", *STEMS, "brightness", "tempo", "key", "pitch")

_VERSION = 1  # raise it when the same labels sound different
_CHOICES = {"pattern": GENRES, "key": KEYS}
_LIMITS = {**dict.fromkeys((*STEMS, "brightness"), (0.0, 1.0)), "tempo": (40.0, 240.0), "pitch": (36.0, 96.0)}
_DEFAULTS = {**dict.fromkeys(STEMS, 0.8), "brightness": 0.6}
_HELP = {
    "pattern": "groove of the drums and of all that plays along",
    "drums": "level of the drums",
    "bass": "level of the bass",
    "chords": "level of the chords",
    "lead": "level of the lead melody",
    "brightness": "low-pass of bass, chords and lead: 0 is 300 Hz, 1 is 8 kHz",
    "tempo": "beats a minute",
    "key": "tonic; house and breakbeat are minor, lofi is major",
    "pitch": "MIDI note about which the lead plays",
}
_UNITS = {"tempo": "bpm", "pitch": "MIDI"}
_SHORTEST_S = 0.05


def cutoff_hz(brightness: float) -> float:
    """Hz of the pitched stems' low-pass: 300 at brightness 0, 8000 at 1, on a log scale."""
    return 300.0 * (8000.0 / 300.0) ** brightness


def render(
    labels: Mapping[str, float | str], *, sample_rate: int, samples: int, variation: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Plays the music that the labels describe, from the first beat of the first bar.

    The stems are added with their levels as linear gains, then tanh holds the peak below 1. At variation 0 the result
    depends on the labels alone.

    Args:
      labels: factor name to value in its own unit, `pattern` and `key` by name; a missing factor has its default:
        levels 0.8, brightness 0.6, the middle of the default range or the first option.
      sample_rate: Hz, 8000 or more.
      samples: length of the clip.
      variation: 0 to 1, how far `seed` moves timing (8 ms), accents and melody.
      seed: draws the variation, not read at variation 0.

    Returns:
      float32 [samples], within (-1, 1), about -18 dBFS RMS at middling levels.

    Raises:
      DataError: an unknown factor, key or pattern, a value out of its limits, or an unplayable rate or length.
    """
    for name in labels:
        if name not in FACTORS:
            raise DataError(f"label {name!r}: unknown factor; expected some of {', '.join(FACTORS)}")
    _check_clip(sample_rate, samples, shortest=1)
    _check_between("variation", variation, (0.0, 1.0))
    truth = {name: labels.get(name, _default(name, getattr(Tones, name))) for name in FACTORS}
    for name, value in truth.items():
        if name in _CHOICES:
            _check_option(name, value)
        else:
            _check_between(name, value, _LIMITS[name])

    groove = GROOVES[str(truth["pattern"])]
    tonic, cutoff = KEYS.index(str(truth["key"])), cutoff_hz(float(truth["brightness"]))
    players = {
        "drums": lambda clock: synth.drum_stem(groove, clock),
        "bass": lambda clock: synth.bass_stem(groove, clock, tonic, cutoff),
        "chords": lambda clock: synth.chord_stem(groove, clock, tonic, cutoff),
        "lead": lambda clock: synth.lead_stem(groove, clock, tonic, cutoff, float(truth["pitch"])),
    }
    mix = np.zeros(samples, np.float32)
    for number, (name, play) in enumerate(players.items()):
        if level := float(truth[name]):
            # A generator per stem: what one plays does not depend on whether another is silent.
            rng = np.random.default_rng((seed, number)) if variation else None
            clock = synth.Clock(sample_rate, samples, float(truth["tempo"]), groove.swing, variation, rng)
            mix += np.float32(level) * play(clock)
    return np.tanh(mix)


@dataclasses.dataclass(frozen=True)
class Tones:
    """Synthetic house, lo-fi and other genres whose every audible factor is a label, unless its range is one value."""

    pattern: tuple[str, ...] = PATTERNS
    """Grooves to draw from: these, and techno, reggae, ambient, bossa and rock."""
    drums: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest level of the drums, a linear gain from 0 to 1."""
    bass: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest level of the bass."""
    chords: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest level of the chords."""
    lead: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest level of the lead melody."""
    brightness: tuple[float, float] = (0.0, 1.0)
    """Low-pass of bass, chords and lead, from 0 (300 Hz) to 1 (8 kHz) on a log scale."""
    tempo: tuple[float, float] = (118.0, 132.0)
    """Slowest and fastest tempo in beats a minute."""
    key: tuple[str, ...] = KEYS
    """Tonics to draw from; house and breakbeat are minor, lofi is major."""
    pitch: tuple[int, int] = (60, 84)
    """Lowest and highest MIDI note about which the lead plays."""
    clips: int = 512
    """Distinct training clips."""
    validation_clips: int = 32
    """Distinct validation clips, none of which is a training clip."""
    seed: int = 0
    """Draws the factors of every clip."""
    variation: float = 0.0
    """From 0 to 1: how far timing, accents and melody change from one visit to the next; at 0 the labels tell all."""
    cache_mb: int = 512
    """Rendered clips kept in memory as 16-bit samples, in megabytes; clips beyond it are rendered at every visit."""

    def open(self, *, sample_rate: int, samples: int) -> TonesCorpus:
        """Opens the generator as clips of `samples` mono samples at `sample_rate` Hz; nothing is rendered yet.

        Raises:
          mgen.data.DataError: a field cannot be used; the message names it, its value and the way out.
        """
        for name in FACTORS:
            values = getattr(self, name)
            if name in _CHOICES:
                if not values:
                    raise DataError(f"data.{name}=(): empty; name one or more of {', '.join(_CHOICES[name])}")
                for value in values:
                    _check_option(name, value, "data.")
                if len(set(values)) < len(values):
                    raise DataError(f"data.{name}={values}: an option is named twice; name each once")
                continue
            if len(values) != 2:
                raise DataError(f"data.{name}={values}: expected a lowest and a highest value")
            for value in values:
                _check_between(name, value, _LIMITS[name], "data.")
            if values[0] > values[1]:
                raise DataError(f"data.{name}={values}: the range is reversed; write ({values[1]}, {values[0]})")
        for name, least in (("clips", 1), ("validation_clips", 0), ("seed", 0), ("cache_mb", 0)):
            if getattr(self, name) < least:
                raise DataError(f"data.{name}={getattr(self, name)}: expected {least} or more")
        _check_between("variation", self.variation, (0.0, 1.0), "data.")
        _check_clip(sample_rate, samples, shortest=int(np.ceil(_SHORTEST_S * sample_rate)))
        return TonesCorpus(self, sample_rate, samples)


class TonesCorpus:
    """Opened `Tones`: clips by number, each rendered on its first visit and then kept."""

    def __init__(self, data: Tones, sample_rate: int, samples: int):
        """See `Tones.open`, which checks what is given here."""
        self._data, self._sample_rate, self._samples = data, sample_rate, samples
        self._sizes = {"train": data.clips, "validation": data.validation_clips}
        self._kept: dict[tuple[str, int], np.ndarray] = {}
        # Kept first come, never evicted: epochs go round and round, and there a least-recently-used cache never hits.
        self._keep = 0 if data.variation else data.cache_mb * 1_000_000 // (2 * samples)
        played = dataclasses.replace(data, cache_mb=0)  # which changes no sound
        self.fingerprint = hashlib.sha256(f"{_VERSION} {played!r}".encode()).hexdigest()[:16]
        self.labels: tuple[Slider | Choice, ...] = tuple(
            _control(name, getattr(data, name)) for name in FACTORS if len(set(getattr(data, name))) > 1
        )
        varied = ", ".join(
            f"{name} {'/'.join(values) if name in _CHOICES else f'{values[0]:g} to {values[1]:g}'}"
            for name in FACTORS
            if len(set(values := getattr(data, name))) > 1
        )
        self.levels = tuple(label.name for label in self.labels if label.name in STEMS)
        fixed = ", ".join(f"{name} {getattr(data, name)[0]}" for name in FACTORS if len(set(getattr(data, name))) == 1)
        self.report = (
            f"built-in synthetic music: {data.clips} training and {data.validation_clips} validation clips of "
            f"{samples / sample_rate:.2f} s at {sample_rate} Hz, mono; varied: {varied or 'nothing'}"
            + (f"; fixed: {fixed}" if fixed else "")
            + (f"; variation {data.variation:g}" if data.variation else "")
        )

    def size(self, split: str) -> int:
        """Distinct clips in `split`, "train" or "validation".

        Raises:
          ValueError: there is no such split.
        """
        if split not in self._sizes:
            raise ValueError(f"split={split!r}: expected one of {', '.join(self._sizes)}")
        return self._sizes[split]

    def truth(self, split: str, index: int) -> dict[str, float | str]:
        """Every factor of a clip, constants too, as `render` takes them.

        Sliders are uniform in their range, choices uniform; a level is at either end of its range one time in six each,
        so that silence and full level are heard often enough to be learned.

        Raises:
          ValueError: there is no such split.
          IndexError: there is no such clip.
        """
        if not 0 <= index < self.size(split):
            raise IndexError(f"{split} clip {index}: expected 0 to {self.size(split) - 1}")
        draws = np.random.default_rng((self._data.seed, list(self._sizes).index(split), index)).random(len(FACTORS))
        values: dict[str, float | str] = {}
        # One draw per factor, used or not: fixing one factor of an experiment leaves the others as they were.
        for name, draw in zip(FACTORS, draws.tolist(), strict=True):
            options = getattr(self._data, name)
            if name in _CHOICES:
                values[name] = options[int(draw * len(options))]
                continue
            if name in STEMS:
                draw = min(max(1.5 * draw - 0.25, 0.0), 1.0)
            values[name] = min(options[0] + draw * (options[1] - options[0]), float(options[1]))
        return values

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Clip `index` of `split`: {"wave": float32 [samples], "labels": float32 [labels]}.

        `rng` is read only where `variation` is above 0. The wave is `render` of `truth`, in steps of 1 / 32767.

        Raises:
          ValueError: there is no such split.
          IndexError: there is no such clip.
        """
        truth = self.truth(split, index)
        pcm = self._kept.get((split, index))
        if pcm is None:
            variation = self._data.variation
            seed = int(rng.integers(2**31)) if variation else 0
            rate = self._sample_rate
            wave = render(truth, sample_rate=rate, samples=self._samples, variation=variation, seed=seed)
            pcm = np.rint(wave * 32767).astype(np.int16)
            if len(self._kept) < self._keep:
                self._kept[split, index] = pcm
        columns = [
            control.options.index(truth[control.name]) if isinstance(control, Choice) else truth[control.name]
            for control in self.labels
        ]
        return {"wave": pcm.astype(np.float32) / np.float32(32767), "labels": np.array(columns, np.float32)}

    def render(self, settings: Settings) -> np.ndarray:
        """What settings of every label truly sound like: {label: [count]} to float32 [count, samples].

        Raises:
          DataError: as in `render`, where a value is out of its limits.
        """
        fixed = {name: getattr(self._data, name)[0] for name in FACTORS}
        rows = zip(*(np.asarray(settings[label.name]).tolist() for label in self.labels), strict=True)
        size = {"sample_rate": self._sample_rate, "samples": self._samples}
        return np.stack([render(fixed | self._named(row), **size) for row in rows])

    def _named(self, row: tuple[float, ...]) -> dict[str, float | str]:
        values = zip(self.labels, row, strict=True)
        return {label.name: label.show(value) if isinstance(label, Choice) else value for label, value in values}


def _default(name: str, values: tuple) -> float | str:
    """Where a factor stands when nobody turns it: its own default within the range, the middle, or the first option."""
    if name in _CHOICES:
        return values[0]
    return min(max(_DEFAULTS.get(name, (values[0] + values[1]) / 2), values[0]), values[1])


def _control(name: str, values: tuple) -> Slider | Choice:
    """The control of a factor that varies."""
    if name in _CHOICES:
        return Choice(name, tuple(values), help=_HELP[name])
    low, high = float(values[0]), float(values[1])
    return Slider(name, low, high, float(_default(name, values)), _UNITS.get(name, ""), _HELP[name])


def _check_option(name: str, value: object, prefix: str = "") -> None:
    if value not in _CHOICES[name]:
        raise DataError(f"{prefix}{name}={value!r}: unknown; expected one of {', '.join(_CHOICES[name])}")


def _check_between(name: str, value: float | str, limits: tuple[float, float], prefix: str = "") -> None:
    if isinstance(value, str) or not limits[0] <= value <= limits[1]:
        raise DataError(f"{prefix}{name}={value!r}: expected a number from {limits[0]:g} to {limits[1]:g}")


def _check_clip(sample_rate: int, samples: int, *, shortest: int) -> None:
    if sample_rate < 8000:
        raise DataError(f"sample_rate={sample_rate}: too low for the synthetic music; use 8000 Hz or more")
    if samples < shortest:
        raise DataError(f"samples={samples}: too short at {sample_rate} Hz; use {shortest} or more")
