"""`Beats`: songs and loops cut on the beat, and time-warped to one tempo, which is kept as a label.

file -> tempo, beats -> fragments of some beats -> warped to one length -> wave, and its tempo as a label
what a model made at the one tempo -> unwarp -> the tempo that was asked for
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from mgen.data import DataError, beat_tracks, structure
from mgen.data.beat_corpus import BeatsCorpus, Source, fragment
from mgen.data.beat_tracks import known_tempi, listen, listen_to
from mgen.data.level import AtRms
from mgen.data.scan import none_usable, scan, validation_files
from mgen.data.structure import repeated_start
from mgen.data.tags import tags_in
from mgen.data.tempo import ESTIMATORS, Estimator
from mgen.data.warping import WARPINGS, Warping, common_tempo, frame, margin, moved

Array = jax.Array
_log = logging.getLogger(__name__)

_CROPS = ("random", "start", "repeat")
_STARTS = ("beat", "anywhere")
_VERSION = 2  # raise it when the same settings make other items


@dataclasses.dataclass(frozen=True)
class Beats(AtRms):
    """Fragments of a few beats, cut on the beat; all are warped to the length of a clip, and so to one tempo."""

    path: str = ""
    """Folder of audio files, searched with all its subfolders."""

    beats: int = 8
    """Beats of a fragment: the common tempo is so many in the length of a clip."""

    every: int = 1
    """A fragment may start at every n-th beat of a song: 4 keeps to the bars of one that starts with a bar."""

    tempi: str = ""
    """CSV file with the columns file and bpm, in `path`, beside it, or here. Without it the tempo is read from the name
    of a file, such as house_124bpm.wav, or estimated."""

    tempo: tuple[float, float] = (80.0, 160.0)
    """Slowest and fastest tempo, into which estimates are folded by octaves; a tempo that is known stays."""

    estimator: Estimator = "onsets"
    """Of a tempo that is not known: the autocorrelation of the onsets, or librosa's."""

    warping: Warping = "resample"
    """How fragments come to one tempo and back: as a record player does, or by a phase vocoder, which keeps pitch."""

    crop: Literal["random", "start", "repeat"] = "random"
    """Training fragments: every one of each file, shuffled; or one of each file, its first, or where the song repeats
    best, which is often the chorus. Validation fragments always follow each other."""

    start: Literal["beat", "anywhere"] = "beat"
    """Where a fragment begins: on a beat, or anywhere, as many and all else the same. What a model makes after the
    latter has nothing of a beat that clips have at the same place; it is there to be compared with."""

    level_db: float | None = -20.0
    """Every file is brought to this RMS level, dB below full scale; None leaves it."""

    validation_fraction: float = 0.1
    """Share of the files kept for validation; at least one file where there are two and this is not 0."""

    split_seed: int = 0
    """Another number keeps other files for validation."""

    tags: str = ""
    """CSV file that says what the songs are, in `path`, beside it, or here; every tag is a switch."""

    column: str = "genre"
    """Column of `tags` whose values are the switches; `;` parts several of one song."""

    cache_mb: int = 512
    """Warped fragments kept in memory as 16-bit samples, in megabytes; those beyond it are warped at every visit."""

    @property
    def overlap(self) -> float:
        """Share of a clip that it has in common with the next one where clips are joined: about an eighth, in beats."""
        beats = max(self.beats, 1)
        return min(0.5, max(1, round(beats / 8)) / beats)

    def open(self, *, sample_rate: int, samples: int) -> BeatsCorpus:
        """Scans the folder, finds the beats, and opens it as fragments of `samples` mono samples at `sample_rate` Hz.

        Raises:
          DataError: a field has no such value, or nothing usable is left.
        """
        self._check(sample_rate, samples)
        tempo_of = known_tempi(self.path, self.tempi)
        tags_of = tags_in(self.path, self.tags, self.column) if self.tags else lambda name: None
        found = scan(self.path, sample_rate=sample_rate)
        sources, refused = [], []
        for file in tqdm.tqdm(found.files, delay=2, unit="file", desc="beats", leave=False):
            tags = tags_of(file.name)
            if tags == ():
                refused.append((file.name, f"{self.tags} says nothing of it"))
                continue
            known = tempo_of(file.name)
            track = listen_to(file, known, **self._asked())
            if isinstance(track, str):
                refused.append((file.name, track))
            else:
                sources.append(Source(file, track, track.starts, tags, known))
        if not sources:
            raise none_usable(found.root, f"{len(found.files)} files", refused)
        kept = validation_files([source.file.name for source in sources], self.validation_fraction, self.split_seed)
        free = ("path", "cache_mb", "tempi", "tags", "start")  # which are seen in what was found, or said below
        # On a beat is how runs began before there was a choice; they go on.
        off_beat = "" if self.start == "beat" else f"{self.start} "
        versions = (_VERSION, beat_tracks.VERSION, structure.VERSION if self.crop == "repeat" else None)
        return BeatsCorpus(
            {
                "train": [self._starts(source, self.crop) for source in sources if source.file.name not in kept],
                "validation": [self._starts(source, "row") for source in sources if source.file.name in kept],
            },
            found=found,
            refused=refused,
            beats=self.beats,
            level=None if self.level_db is None else 10 ** (self.level_db / 20),
            warping=self.warping,
            cache_mb=self.cache_mb,
            sample_rate=sample_rate,
            samples=samples,
            about=f"{off_beat}{versions} {[(name, value) for name, value in vars(self).items() if name not in free]}",
        )

    def warp(self, wave: np.ndarray, *, sample_rate: int, samples: int) -> np.ndarray:
        """The first whole fragment of a sound that a person gives, at the common tempo: float32 [samples].

        Where no beat can be found, or there are too few, it is the beginning, filled up with zeros, and the log says
        why.
        """
        wave = self.level(wave)
        track = listen(wave, sample_rate=sample_rate, **self._asked())
        if isinstance(track, str):
            reason = track.partition(";")[0]  # what follows is what to do about a file of the folder
            _log.warning("the sound that is given: %s; used as it is, from its beginning", reason)
            return np.pad(wave[:samples], (0, max(0, samples - len(wave))))
        times = track.seconds(track.starts[0], self.beats)
        first = int(times[0] * sample_rate) - margin(sample_rate)
        places = np.arange(first, int(np.ceil(times[-1] * sample_rate)) + margin(sample_rate))
        inside = (places >= 0) & (places < len(wave)) | track.loop
        piece = np.where(inside, wave[places % len(wave)], 0).astype(np.float32)
        return fragment(piece, times, first=first, sample_rate=sample_rate, samples=samples, warping=self.warping)

    def unwarp(self, wave: Array, labels: Array, *, sample_rate: int, samples: int) -> Array:
        """A sound at the tempo that its first label says, and as long as before; jit-able.

        Args:
          wave: float32 [..., any length], at the common tempo.
          labels: float32 [..., labels], the first in beats a minute.
          sample_rate: Hz.
          samples: of `beats` beats at the common tempo.

        Returns:
          float32 of the wave's shape: what is slower is cut, and what is faster goes round.
        """
        faster = labels[..., :1] / common_tempo(beats=self.beats, sample_rate=sample_rate, samples=samples)
        positions = jnp.arange(wave.shape[-1]) * faster
        return moved(wave, positions, sample_rate=sample_rate, warping=self.warping, wrap=True)

    def _asked(self) -> dict[str, Any]:
        """What is asked of every file."""
        return {"beats": self.beats, "tempo": self.tempo, "estimator": self.estimator}

    def _starts(self, source: Source, crop: str) -> Source:
        """A file with those starts of fragments that are wanted: all, one, or in a row."""
        track = source.track
        grid = [start for start in source.starts if start % self.every == 0] or [source.starts[0]]
        if crop == "start":
            grid = grid[:1]
        elif crop == "repeat":
            place = 0.0
            if not track.loop:
                length_s = self.beats * 60 / track.pulse.bpm
                place = repeated_start(source.file.audio, length_s=length_s)
            grid = [min(grid, key=lambda start: abs(float(track.beats[start]) - place))]
        elif crop == "row":
            grid = [start for start in source.starts if start % self.beats == 0] or [source.starts[0]]
        if self.start == "anywhere":
            grid = [track.off_beat(start, self.beats) for start in grid]
        return source._replace(starts=tuple(grid))

    def _check(self, sample_rate: int, samples: int) -> None:
        """Refuses values that a field cannot have. Raises DataError."""
        for name, good, expected in (
            ("beats", self.beats >= 1, "1 or more"),
            ("every", self.every >= 1, "1 or more"),
            (
                "tempo",
                len(self.tempo) == 2 and 20 <= self.tempo[0] < self.tempo[1] <= 400,
                "two of 20 to 400, low first",
            ),
            ("estimator", self.estimator in ESTIMATORS, f"one of {', '.join(ESTIMATORS)}"),
            ("warping", self.warping in WARPINGS, f"one of {', '.join(WARPINGS)}"),
            ("crop", self.crop in _CROPS, f"one of {', '.join(_CROPS)}"),
            ("start", self.start in _STARTS, f"one of {', '.join(_STARTS)}"),
            ("level_db", self.level_db is None or -np.inf < self.level_db <= 0, "None, or 0 or less"),
            ("validation_fraction", 0 <= self.validation_fraction < 1, "0 up to but not 1"),
            ("cache_mb", self.cache_mb >= 0, "0 or more"),
        ):
            if not good:
                raise DataError(f"data.{name}={getattr(self, name)}: expected {expected}")
        least = frame(sample_rate) if self.warping == "stretch" else self.beats
        if samples < max(least, 1):
            raise DataError(f"samples={samples}: too short a clip for {self.beats} beats; use {max(least, 1)} or more")
