"""Sounds that a person gives the studio: uploaded and kept in memory, or picked from a folder that it was started with.

A request names a sound by what `add` or `names` said of it, and never by a path: an unknown name is no file. What was
uploaded is cut for a run, and known to runs of the same rate and length only.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import itertools
import os
import pathlib
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping

import numpy as np

from mgen import audio, controls
from mgen.studio.player import Player, as_wav

#: Bytes of a file that is uploaded, and seconds of any file.
LARGEST, LONGEST_S = 64 << 20, 20 * 60

_RATES, _CHANNELS = (1_000, 768_000), 32  # Hz; beyond them a short file of a few bytes is much to decode and resample
_MOST_PICKED = 2_000  # names on the page
_MOST_LOOKED_AT = 100_000  # files and folders, whatever they are
_MOST_KEPT = 64


class ClipStore:
    """Sounds by name, each cut to what a run needs of it; the one used longest ago goes first."""

    def __init__(self, folder: pathlib.Path | None = None):
        """Looks for sound files in a folder and its subfolders.

        Raises:
          ValueError: there is no such folder, or it holds no sound file.
        """
        self._kept: collections.OrderedDict[str, bytes] = collections.OrderedDict()  # wav files
        self._lock, self._cutting = threading.Lock(), threading.Lock()
        self._files: dict[str, pathlib.Path] = {}
        if folder is None:
            return
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        found = itertools.islice(_sounds(folder), _MOST_PICKED)
        self._files = {audio.printable(name.as_posix()): path for name, path in sorted(found)}
        if not self._files:
            raise ValueError(f"{folder}: holds no sound file ({' '.join(audio.SUFFIXES)})")

    @property
    def names(self) -> list[str]:
        """Those that can be picked."""
        return list(self._files)

    def add(self, data: bytes | bytearray, player: Player) -> tuple[str, float]:
        """Keeps the beginning of a sound file, as much as a run needs.

        Args:
          data: the file.
          player: the run.

        Returns:
          A name for it, which runs of the same rate and length know, and its seconds.

        Raises:
          ValueError: it is no sound file, or too long.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "upload"
            path.write_bytes(data)
            try:
                wave = self._cut(path, player)
            except audio.AudioError as error:
                # Without the path, which says nothing to who uploaded it.
                reason = re.sub("convert it: ffmpeg .*", "convert it to wav or flac", error.reason)
                raise ValueError(reason) from error
        found = hashlib.sha256(player.size.encode())
        found.update(data)
        name = found.hexdigest()[:16]
        self._keep(f"{player.size} {name}", _wav(wave, player))
        return name, len(wave) / player.sample_rate

    def wav(self, name: object, player: Player) -> bytes:
        """The wav file of a name, as it is given to a run.

        Raises:
          ValueError: there is no sound of that name, or a file that was picked cannot be read.
        """
        if not isinstance(name, str):
            raise ValueError(f"expected the name of a sound, got {name!r}")
        picked, key = self._files.get(name), f"{player.size} {name}"
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            if picked is None:
                raise ValueError(f"no sound is named {name!r} for this run, or it is no longer kept; give it again")
            try:
                found = _wav(self._cut(picked, player), player)
            except audio.AudioError as error:
                raise ValueError(f"{name}: {error.reason}") from error
        self._keep(key, found)
        return found

    def resolve(self, settings: Mapping[str, object], player: Player) -> dict[str, object]:
        """Settings of a page, with the sounds themselves in the place of their names.

        Raises:
          ValueError: as `wav`; it names the control.
        """
        resolved = dict(settings)
        for knob in player.knobs:
            if isinstance(knob, controls.Clip) and (name := settings.get(knob.name, "")) != "":
                try:
                    wav = self.wav(name, player)
                except ValueError as error:
                    raise ValueError(f"{knob.name}: {error}") from error
                resolved[knob.name] = "data:audio/wav;base64," + base64.b64encode(wav).decode()
        return resolved

    def _keep(self, name: str, wav: bytes) -> None:
        with self._lock:
            self._kept[name] = wav
            self._kept.move_to_end(name)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)

    def _cut(self, path: pathlib.Path, player: Player) -> np.ndarray:
        """The beginning of a sound file at a run's rate. One at a time: a large file takes memory while it is decoded.

        Raises:
          AudioError: it cannot be read, or is more than anybody records.
        """
        with self._cutting:
            about, (low, high) = audio.info(path), _RATES
            if not low <= about.sample_rate <= high:
                raise audio.AudioError(path, f"has {about.sample_rate} Hz, expected {low} to {high}; resample it")
            if about.channels > _CHANNELS:
                raise audio.AudioError(path, f"has {about.channels} channels, expected at most {_CHANNELS}; mix it")
            if about.duration_s > LONGEST_S:
                raise audio.AudioError(path, f"is longer than {LONGEST_S // 60} minutes; cut it")
            seconds = player.samples / player.sample_rate
            return audio.read(path, sample_rate=player.sample_rate, duration_s=seconds)


def _sounds(folder: pathlib.Path) -> Iterator[tuple[pathlib.PurePath, pathlib.Path]]:
    """Sound files in a folder and its subfolders, by their path in it; a link that leads outside is passed by."""
    inside, looked_at = pathlib.Path(os.path.realpath(folder)), 0
    for parent, folders, files in os.walk(inside):
        folders.sort()
        looked_at += 1
        for file in sorted(files):
            if (looked_at := looked_at + 1) > _MOST_LOOKED_AT:
                return
            path = pathlib.Path(parent, file)
            real = pathlib.Path(os.path.realpath(path))
            if path.suffix.lower() in audio.SUFFIXES and real.is_relative_to(inside) and real.is_file():
                yield path.relative_to(inside), real


def _wav(wave: np.ndarray, player: Player) -> bytes:
    return as_wav(wave, player.sample_rate, subtype="FLOAT")
