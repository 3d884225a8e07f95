"""Sounds that a person gives the studio: uploaded and kept in memory, or picked from a folder that it was started with.

A request names a sound by what `add` or `names` said of it, and never by a path: an unknown name is no file.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import pathlib
import tempfile
import threading
from collections.abc import Mapping

from mgen import audio, controls
from mgen.studio.player import Player, as_wav

#: Bytes of a file that is uploaded, and seconds of any file.
LARGEST, LONGEST_S = 64 << 20, 20 * 60

_MOST_PICKED = 2_000  # names on the page
_MOST_KEPT = 64


class ClipStore:
    """Sounds by name, each cut to what a run needs of it; the one used longest ago goes first."""

    def __init__(self, folder: pathlib.Path | None = None):
        """Looks for sound files in a folder and its subfolders.

        Raises:
          ValueError: there is no such folder, or it holds no sound file.
        """
        self._kept: collections.OrderedDict[str, bytes] = collections.OrderedDict()  # wav files
        self._lock = threading.Lock()
        self._files: dict[str, pathlib.Path] = {}
        if folder is None:
            return
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in audio.SUFFIXES and path.is_file() and len(self._files) < _MOST_PICKED:
                self._files[audio.printable(path.relative_to(folder).as_posix())] = path
        if not self._files:
            raise ValueError(f"{folder}: holds no sound file ({' '.join(audio.SUFFIXES)})")

    @property
    def names(self) -> list[str]:
        """Those that can be picked."""
        return list(self._files)

    def add(self, data: bytes, player: Player) -> tuple[str, float]:
        """Keeps the beginning of a sound file, as much as a run needs.

        Args:
          data: the file.
          player: the run.

        Returns:
          A name for it, and its seconds.

        Raises:
          ValueError: it is no sound file, or too long.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "upload"
            path.write_bytes(data)
            try:
                wav, seconds = _cut(path, player)
            except audio.AudioError as error:
                raise ValueError(error.reason) from error  # without the path, which says nothing to who uploaded it
        name = hashlib.sha256(data + f"{player.sample_rate} {player.samples}".encode()).hexdigest()[:16]
        self._keep(name, wav)
        return name, seconds

    def wav(self, name: object, player: Player) -> bytes:
        """The wav file of a name, as it is given to a run.

        Raises:
          ValueError: there is no sound of that name, or a file that was picked cannot be read.
        """
        if not isinstance(name, str):
            raise ValueError(f"expected the name of a sound, got {name!r}")
        picked = self._files.get(name)
        key = name if picked is None else f"{player.sample_rate} {player.samples} {name}"
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            if picked is None:
                raise ValueError(f"no sound is named {name!r}, or it is no longer kept; give it again")
            try:
                found, _ = _cut(picked, player)
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


def _cut(path: pathlib.Path, player: Player) -> tuple[bytes, float]:
    """The beginning of a sound file at a run's rate, as a wav file of floats, and its seconds."""
    if audio.info(path).duration_s > LONGEST_S:
        raise audio.AudioError(path, f"is longer than {LONGEST_S // 60} minutes; cut it")
    wave = audio.read(path, sample_rate=player.sample_rate, duration_s=player.samples / player.sample_rate)
    return as_wav(wave, player.sample_rate, subtype="FLOAT"), len(wave) / player.sample_rate
