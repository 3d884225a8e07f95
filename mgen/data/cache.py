"""Decoded audio on disk: 16-bit samples under $MGEN_CACHE (or ~/.cache/mgen), so that a song is decoded once.

What else is found out about a song, such as where its beats are, is `remembered` beside it.

An entry is keyed by the content of the sound file and the sample rate, never by its name, and holds

    bytes 0..255   JSON padded with spaces: format version, samples, scale, and the source's rate and channels
    bytes 256..    int16 little endian [samples]; times `scale` it is the wave

The scale is each file's own, because MP3s decode above 1 and quiet files would drown in the rounding of a fixed one.
Entries appear by renaming, whole or not at all, so any number of processes may share the folder; it may be deleted at
any time between runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from mgen import audio
from mgen.data import DataError

_VERSION = 1
_HEADER = 256  # bytes
_FULL = 32_767


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A sound file as it lies in the cache; holds no open file, so thousands of them may exist and be pickled."""

    entry: pathlib.Path
    sha256: str  # of the sound file's bytes
    length: int  # samples
    scale: float  # the wave of a sample of 1
    sample_rate: int  # Hz
    source_rate: int  # Hz, of the sound file
    channels: int  # of the sound file

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return self.length / self.sample_rate

    @property
    def peak(self) -> float:
        """The largest absolute amplitude; above 1 for many MP3s."""
        return self.scale * _FULL

    def read(self, start: int, stop: int) -> np.ndarray:
        """The wave of samples start:stop as float32, fewer where the file ends first.

        Raises:
          ValueError: not 0 <= start <= stop.
        """
        if not 0 <= start <= stop:
            raise ValueError(f"expected 0 <= start <= stop, got {start} and {stop}")
        count = max(0, min(stop, self.length) - start)
        return np.fromfile(self.entry, "<i2", count, offset=_HEADER + 2 * start) * np.float32(self.scale)


def folder() -> pathlib.Path:
    """Where the cache lies: $MGEN_CACHE, or ~/.cache/mgen."""
    return pathlib.Path(os.environ.get("MGEN_CACHE") or "~/.cache/mgen").expanduser()


def decoded(path: str | os.PathLike[str], *, sample_rate: int) -> Decoded:
    """The samples of a sound file at `sample_rate`, decoded now or found in the cache.

    An entry whose header or size is wrong is made anew; its samples are not checked.

    Raises:
      mgen.audio.AudioError: the file cannot be read.
      DataError: the cache cannot be written.
    """
    path = pathlib.Path(path)
    digest = _digest(path)
    entry = folder() / f"audio-{_VERSION}" / digest[:2] / f"{digest}-{sample_rate}.pcm"
    found = _load(entry, digest)
    if found is None:
        header = audio.info(path)
        wave = audio.read(path, sample_rate=sample_rate)
        scale = float(abs(wave).max()) / _FULL
        meta = {
            "version": _VERSION,
            "length": len(wave),
            "scale": scale,
            "sample_rate": sample_rate,
            "source_rate": header.sample_rate,
            "channels": header.channels,
        }
        pcm = np.rint(wave / (scale or 1.0)).astype("<i2")
        _place(entry, json.dumps(meta).ljust(_HEADER).encode() + pcm.tobytes())
        found = _load(entry, digest)
    if found is None:
        raise DataError(f"cannot read back what was just written to {audio.printable(str(entry))}; {_way_out()}")
    return found


def remembered(sound: Decoded, question: str, find: Callable[[], Any]) -> Any:
    """What was found out about a sound before, or is now: anything that JSON can hold.

    Args:
      sound: whose content and sample rate the answer is kept by.
      question: what is asked, with its version and everything that the answer depends on.
      find: answers it, where nobody did so before.

    Raises:
      DataError: the cache cannot be written.
    """
    asked = hashlib.sha256(f"{sound.sample_rate} {question}".encode()).hexdigest()[:16]
    entry = folder() / f"found-{_VERSION}" / sound.sha256[:2] / f"{sound.sha256}-{asked}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(entry.read_text("utf-8"))
        if note["question"] == question:
            return note["answer"]
    answer = find()
    _place(entry, json.dumps({"question": question, "answer": answer}).encode())
    return answer


def _load(entry: pathlib.Path, digest: str) -> Decoded | None:
    """An entry, or None where it is missing or damaged."""
    try:
        with entry.open("rb") as file:
            meta = json.loads(file.read(_HEADER))
            size = os.fstat(file.fileno()).st_size
        whole = meta.pop("version") == _VERSION and size == _HEADER + 2 * meta["length"] and meta["length"] > 0
        return Decoded(entry, digest, **meta) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(path: pathlib.Path) -> str:
    """sha256 of a file's bytes, remembered by its place, size and time of change so that it is not read each time."""
    try:
        stat = path.stat()
        key = f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"
        note = folder() / "index" / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
        with contextlib.suppress(OSError, ValueError):
            text = note.read_text("ascii")
            if len(text) == 64 and int(text, 16) >= 0:
                return text
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        audio.info(path)  # says what is wrong with it
        raise
    _place(note, digest.encode())
    return digest


def _place(target: pathlib.Path, content: bytes) -> None:
    """Writes a file that others see whole or not at all."""
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise DataError(
            f"cannot write the cache of decoded audio, {audio.printable(str(target.parent))}: {error.strerror};"
            f" {_way_out()}"
        ) from error


def _way_out() -> str:
    """What to do about a cache that does not work."""
    return "set MGEN_CACHE to a folder with room that you may write to"
