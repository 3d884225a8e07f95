"""Opened `Beats`: fragments by number, each warped on its first visit and then kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mgen.audio import printable
from mgen.controls import Slider, Switch
from mgen.data import DataError
from mgen.data.beat_tracks import Track
from mgen.data.host import on_host
from mgen.data.scan import File, Scan, fingerprint
from mgen.data.tags import tag_switches
from mgen.data.warping import Warping, beat_positions, common_tempo, margin, moved


class Source(NamedTuple):
    """A file that fragments are cut from, those of its starts that are used, and what tables say of it."""

    file: File
    track: Track
    starts: tuple[float, ...]
    """In beats; a fraction is between two."""
    tags: tuple[str, ...] | None
    known: float | None
    """Its tempo, as a table says; the name is the file's."""


def fragment(
    wave: np.ndarray, times: np.ndarray, *, first: int, sample_rate: int, samples: int, warping: Warping
) -> np.ndarray:
    """A piece of a wave as a clip with beats of one length, float32 [samples].

    Args:
      wave: float32 [samples of the piece], with a `margin` on either side.
      times: seconds of the beats and of the end, from the wave's beginning.
      first: sample of the wave that is the piece's first.
      sample_rate: Hz.
      samples: of the clip.
      warping: "resample" or "stretch".
    """
    places = beat_positions(times, sample_rate=sample_rate, samples=samples) - first
    with on_host():
        return np.asarray(moved(wave, places, sample_rate=sample_rate, warping=warping))


class BeatsCorpus:
    """Opened `Beats`: item -> {"wave": float32 [samples], "labels": [tempo of the fragment, a switch for each tag]}.

    An item is always the same; the loader shuffles those of training.

    Attributes:
      labels: the tempo, and a switch for each tag; those of the first file are on by default.
      sources: the files in use, by split.
    """

    def __init__(
        self,
        sources: dict[str, Sequence[Source]],
        *,
        found: Scan,
        refused: Sequence[tuple[str, str]],
        beats: int,
        level: float | None,
        warping: Warping,
        cache_mb: int,
        sample_rate: int,
        samples: int,
        about: str,
    ):
        """Opens "train" and "validation".

        Args:
          sources: by split.
          found: the folder.
          refused: names of the files that are not in use, and why.
          beats: of a fragment.
          level: RMS that every file is brought to; None leaves it.
          warping: "resample" or "stretch".
          cache_mb: of warped fragments that are kept.
          sample_rate: Hz.
          samples: of a fragment when it is warped.
          about: the settings that change the items and the versions of what finds the beats, for the fingerprint.

        Raises:
          DataError: a tag is called like the slider.
        """
        self.sources = {split: tuple(some) for split, some in sources.items()}
        self._beats, self._level, self._warping = beats, level, warping
        self._sample_rate, self._samples = sample_rate, samples
        every = sorted((source for some in sources.values() for source in some), key=lambda source: source.file.name)
        tags, names, switches = tag_switches([source.tags or () for source in every])
        if "tempo" in names:
            raise DataError("data.tags: a tag is called tempo, as the slider is; give it another name")
        self._switches = {source.file.name: row for source, row in zip(every, switches, strict=True)}
        self._items = {
            split: [(source, start) for source in some for start in source.starts] for split, some in sources.items()
        }
        pieces = [item for some in self._items.values() for item in some]
        tempi = np.array([source.track.tempo(start, beats) for source, start in pieces])
        low, high = float(np.floor(np.round(tempi.min(), 3))), float(np.ceil(np.round(tempi.max(), 3)))
        middle = float(np.round(np.median(tempi), 2).clip(low, high))
        heard_in = [", ".join(s.file.name for s, own in zip(every, tags, strict=True) if name in own) for name in names]
        self.labels: tuple[Slider | Switch, ...] = (
            Slider("tempo", low, high, middle, "bpm", "beats a minute, of which all that is heard has its length"),
            *(
                Switch(name, default=float(on), help=printable(files))
                for name, on, files in zip(names, switches[0], heard_in, strict=True)
            ),
        )
        longest = max(float(np.ptp(source.track.seconds(start, beats))) for source, start in pieces)
        # Of one length, so that it is compiled once.
        self._width = int(np.ceil(longest * sample_rate)) + 2 * margin(sample_rate)
        self._kept: dict[tuple[str, int], tuple[np.ndarray, float]] = {}
        self._keep = cache_mb * 1_000_000 // (2 * samples)
        of_all = fingerprint(source.file for source in every)
        # In steps of 0.1 bpm and of 10 ms: another CPU finds a little else, and a run is to go on there.
        pulses = [(source.known, source.track.pulse) for source in every]
        found_out = [(known, round(10 * own.bpm), round(100 * own.start_s)) for known, own in pulses]
        split = sorted(source.file.name for source in self.sources["validation"])
        said = ascii((of_all, about, found_out, split, tags, names))
        self.fingerprint = hashlib.sha256(said.encode("ascii")).hexdigest()[:16]
        common = common_tempo(beats=beats, sample_rate=sample_rate, samples=samples)
        lines = [
            found.report,
            f"  fragments of {beats} beats, warped to {samples} samples "
            f"({samples / sample_rate:.2f} s, {common:.4g} bpm); their own tempi are {tempi.min():.4g} to "
            f"{tempi.max():.4g} bpm",
            *(f"    {split}: {self.size(split)} in {len(some)} files" for split, some in self.sources.items()),
            *(f"    {_described(source)}" for source in every),
            *(f"    {name}: not used, {reason}" for name, reason in refused),
        ]
        if names:
            lines.append(f"  {len(names)} tags are switches: {', '.join(names)}")
        self.report = printable("\n".join(lines))

    def size(self, split: str) -> int:
        """Fragments in `split`, "train" or "validation"."""
        if split not in self._items:
            raise ValueError(f"split={split}: expected train or validation")
        return len(self._items[split])

    def item(self, split: str, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Fragment `index` of `split`: {"wave": float32 [samples], "labels": float32 [labels]}; `rng` is not read.

        Raises:
          IndexError: index is not below size(split).
        """
        if not 0 <= index < self.size(split):
            raise IndexError(f"item {index} of {split}: expected 0 to {self.size(split) - 1}")
        source, start = self._items[split][index]
        pcm, scale = self._kept.get((split, index)) or self._warped(source, start)
        if len(self._kept) < self._keep:
            self._kept[split, index] = pcm, scale
        labels = np.append(source.track.tempo(start, self._beats), self._switches[source.file.name])
        return {"wave": pcm * np.float32(scale), "labels": labels.astype(np.float32)}

    def _warped(self, source: Source, start: float) -> tuple[np.ndarray, float]:
        """A fragment in steps of 16 bits, and the size of a step."""
        sound, rate = source.file.audio, self._sample_rate
        times = source.track.seconds(start, self._beats)
        first = int(times[0] * rate) - margin(rate)
        if source.track.loop:
            wave = sound.read(0, sound.length)[np.arange(first, first + self._width) % sound.length]
        else:
            wave = sound.read(max(0, first), max(0, first + self._width))
            front = max(0, -first)
            wave = np.pad(wave, (front, self._width - front - len(wave)))
        made = fragment(wave, times, first=first, sample_rate=rate, samples=self._samples, warping=self._warping)
        if self._level is not None:
            made = made * np.float32(self._level / source.track.rms)
        scale = float(abs(made).max()) / 32_767
        return np.rint(made / (scale or 1.0)).astype(np.int16), scale


def _described(source: Source) -> str:
    """A line of the report."""
    track, count = source.track, len(source.starts)
    length = f"{'loop of ' if track.loop else ''}{len(track.beats) - 1} beats"
    course = "drifting" if track.pulse.times else "constant"
    fragments = f"{count} fragment{'s' if count > 1 else ''}"
    return f"{source.file.name}: {track.pulse.bpm:.4g} bpm ({track.origin}), {course}, {length}, {fragments}"
