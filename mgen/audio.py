"""Reading and writing sound files: mono float32 at the rate you ask for, and errors that say which file and why.

The only user of soundfile (libsndfile) and soxr. Both are imported on first use, so importing this module is cheap.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
import re
import shlex
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np

from mgen.arrays import check_shape

#: Containers of codecs that libsndfile cannot decode; listed so that a folder scan reports them instead of passing by.
UNDECODABLE = {
    ".m4a": "AAC",
    ".m4b": "AAC",
    ".mp4": "AAC",
    ".aac": "AAC",
    ".wma": "WMA",
    ".ape": "Monkey's Audio",
    ".wv": "WavPack",
}
#: Suffixes of sound files, lower case.
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")
SUFFIXES = (*SUFFIXES, *UNDECODABLE)
#: What `write` can make, by suffix.
WRITABLE = {".wav": "WAV", ".flac": "FLAC"}

_BLOCK = 1 << 18  # frames decoded at a time where the length is unknown
# An MP3 frame leans on the bits of those before it, so samples right after a seek are wrong (by up to 0.3, libsndfile
# 1.2.2). Starting 8 frames of 1152 earlier was exact on 41 real files; twice that is taken, for any format.
_PREROLL = 16 * 1152
_MARGIN = 2048  # samples at the lower of the two rates, several times the reach of soxr's HQ filter
_STREAMED = 0x7FFFF000  # a WAV written to a pipe claims at least this many bytes: unknown, not truncated


class AudioError(Exception):
    """A sound file that cannot be read or written: `path`, and `reason` with the way out."""

    def __init__(self, path: str | os.PathLike[str], reason: str):
        super().__init__(path, reason)  # both, so that the error survives a process pool
        self.path = pathlib.Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


def printable(text: str) -> str:
    """`text` with those bytes of file names that are not UTF-8 as backslash escapes, so that it can be written."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclasses.dataclass(frozen=True)
class Info:
    """What the header of a sound file says; for an MP3 the length is an estimate where the file was cut or retagged."""

    path: pathlib.Path
    sample_rate: int
    channels: int
    frames: int
    format: str

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate


def info(path: str | os.PathLike[str]) -> Info:
    """Reads a file's header without decoding it.

    Raises:
      AudioError: the file is missing, empty, unreadable or no sound file.
    """
    path = pathlib.Path(path)
    with _open(path) as file:
        return Info(path, file.samplerate, file.channels, file.frames, f"{file.format}/{file.subtype}")


def read(
    path: str | os.PathLike[str], *, sample_rate: int, start_s: float = 0.0, duration_s: float | None = None
) -> np.ndarray:
    """Reads a sound file, or an excerpt of it, as mono: the mean of its channels, resampled with soxr HQ.

    An excerpt equals the same span of the whole file to 1e-4, and is decoded without the rest of the file.
    A cut Ogg, Opus or MP3 is read as far as it goes: these are streams, and whole MP3s exist that promise too much.

    Args:
      path: wav, flac, ogg (Vorbis, Opus), mp3, aiff and whatever else libsndfile knows; any rate and channel count.
      sample_rate: Hz, of the result.
      start_s: seconds from the beginning of the file.
      duration_s: seconds; None is up to the end of the file.

    Returns:
      float32 [samples], samples = round(duration_s * sample_rate), or fewer where the file ends first. The range is
      the file's own: MP3s often decode to a little above 1.

    Raises:
      AudioError: the file is missing, empty, a cut wav, aiff or flac, no sound file, holds NaN, or ends before start_s.
      ValueError: sample_rate or duration_s is not positive, or start_s is negative.
    """
    path = pathlib.Path(path)
    if sample_rate < 1 or start_s < 0 or (duration_s is not None and duration_s <= 0):
        raise ValueError(
            f"expected sample_rate > 0, start_s >= 0 and duration_s > 0, got {sample_rate}, {start_s} and {duration_s}"
        )
    begin = round(start_s * sample_rate)
    with _open(path) as file:
        _refuse_truncated(path, file)
        rate = file.samplerate
        # An excerpt starts where a sample of the file and one of the result fall on the same instant, so that
        # resampling it gives the very samples that resampling the whole file would.
        step_in, step_out = rate // math.gcd(rate, sample_rate), sample_rate // math.gcd(rate, sample_rate)
        margin = 0 if rate == sample_rate else math.ceil(_MARGIN * max(1, rate / sample_rate))
        steps = max(0, begin * rate // sample_rate - margin) // step_in
        stop = None
        if duration_s is not None:
            stop = math.ceil((begin + round(duration_s * sample_rate)) * rate / sample_rate) + margin
        wave = _decode(path, file, steps * step_in, stop)
    if not np.isfinite(wave).all():
        raise AudioError(path, "holds NaN or infinite samples; export it again")
    if rate != sample_rate and len(wave):
        import soxr

        wave = soxr.resample(wave, rate, sample_rate, quality="HQ")
    wave = wave[begin - steps * step_out :]
    if not len(wave):
        raise AudioError(path, f"ends before {start_s:g} s" if begin else "holds no samples")
    return np.ascontiguousarray(wave[: None if duration_s is None else round(duration_s * sample_rate)], np.float32)


def write(path: str | os.PathLike[str], wave: Any, *, sample_rate: int, subtype: str = "PCM_16") -> None:
    """Writes a wave as .wav or .flac, clipped to [-1, 1]; the file appears whole or not at all.

    Args:
      path: missing folders are made.
      wave: float [samples], or [samples, channels] of 1 to 8 channels.
      sample_rate: Hz.
      subtype: libsndfile's name of the sample format, such as PCM_16, PCM_24 or (wav only) FLOAT.

    Raises:
      AudioError: the suffix is unknown, samples are missing or not finite, or the file cannot be written.
      ValueError: the wave is not [samples] or [samples, channels], or holds integers.
    """
    import soundfile

    path, wave = pathlib.Path(path), np.asarray(wave)
    check_shape(wave, {"samples": None} | ({"channels": None} if wave.ndim == 2 else {}), "wave")
    if wave.ndim == 2 and not 1 <= wave.shape[1] <= 8:  # FLAC holds no more
        raise ValueError(f"wave: expected [samples, channels] of 1 to 8 channels, got {wave.shape}")
    if wave.dtype.kind in "iub":
        raise ValueError(f"wave: expected floats in [-1, 1], got {wave.dtype}; divide by its full scale first")
    wave = wave.astype(np.float32)
    if (form := WRITABLE.get(path.suffix.lower())) is None:
        raise AudioError(path, f"cannot write {path.suffix or 'a file without suffix'}; name it .wav or .flac")
    if not len(wave):
        raise AudioError(path, "not written: the wave holds no samples")
    if bad := np.count_nonzero(~np.isfinite(wave)):
        raise AudioError(path, f"not written: {bad} of {wave.size} samples are NaN or infinite; look where they arose")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            soundfile.write(file, _quantised(wave, subtype), sample_rate, format=form, subtype=subtype)
        part.replace(path)
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise AudioError(path, f"cannot be written: {_words(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _quantised(wave: np.ndarray, subtype: str) -> np.ndarray:
    """Clipped to [-1, 1] and rounded to the nearest step: libsndfile rounds down, which is half a step of DC."""
    bits = {"PCM_16": 16, "PCM_24": 24}.get(subtype)
    if bits is None:
        return wave.clip(-1, 1)
    full = 2.0 ** (bits - 1)
    return np.rint(wave.astype(np.float64) * full).clip(-full, full - 1).astype(np.int32) << (32 - bits)


def _words(error: Exception) -> str:
    """What went wrong, without the path that the caller names anyway."""
    return getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)


@contextlib.contextmanager
def _open(path: pathlib.Path) -> Iterator[Any]:
    """Opens a sound file, and says what libsndfile's error codes do not."""
    import soundfile

    try:
        with path.open("rb") as raw:
            head = raw.read(12)
    except FileNotFoundError:
        raise AudioError(path, "broken link" if path.is_symlink() else "no such file") from None
    except IsADirectoryError:
        raise AudioError(path, "is a folder, not a sound file") from None
    except PermissionError:
        raise AudioError(path, "no permission to read it") from None
    except OSError as error:
        raise AudioError(path, f"cannot be read: {_words(error)}") from None
    if not head:
        raise AudioError(path, "is empty (0 bytes)")
    codec = UNDECODABLE.get(path.suffix.lower())
    if codec or head[4:8] == b"ftyp":  # the latter is an MP4 by any other name
        command = f"ffmpeg -i {shlex.quote(printable(path.name))} {shlex.quote(printable(path.stem) + '.flac')}"
        raise AudioError(path, f"{codec or 'AAC'} cannot be decoded; convert it: {command}")
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # as bytes, because soundfile cannot encode every name
    except soundfile.SoundFileError as error:
        reason = "not a sound file, or its header is damaged"
        # For a bad MP3 libsndfile blames a missing file, which it is not.
        raise AudioError(path, reason if "exist" in _words(error) else f"{reason} ({_words(error)})") from error
    with file:
        try:
            yield file
        except soundfile.SoundFileError as error:
            raise AudioError(path, f"truncated or damaged ({_words(error)})") from error


def _refuse_truncated(path: pathlib.Path, file: Any) -> None:
    """Raises where a WAV or AIFF promises more bytes than there are, which libsndfile only notes in its log."""
    found = re.search(r"\b(?:data|SSND) *: *(\d+) \(should be (\d+)\)", file.extra_info)
    if found and int(found[2]) < int(found[1]) < _STREAMED:
        raise AudioError(path, f"truncated: its header promises {found[1]} bytes of sound, {found[2]} are there")


def _decode(path: pathlib.Path, file: Any, start: int, stop: int | None) -> np.ndarray:
    """Frames start:stop of an open file as mono float32, fewer where the file ends first."""
    import soundfile

    if file.format != "MP3":
        return _mono(file, start, stop) if start < file.frames else np.zeros(0, np.float32)
    if stop is not None and stop <= file.frames:
        with contextlib.suppress(soundfile.SoundFileError):  # beyond the end of a truncated file
            wave = _mono(file, start, stop)
            if len(wave) == stop - start:
                return wave
    wave = _unmeasured(path)
    return _mono(file, start, stop) if wave is None else wave[start:stop]


def _unmeasured(path: pathlib.Path) -> np.ndarray | None:
    """All of an MP3 whose header does not say how long it is; None where it does.

    Without a Xing header libsndfile guesses the length from the first frame's bit rate and stops there: 22 % of a file
    of variable bit rate went missing. From a pipe, which has no length to guess from, it reads to the end.
    """
    import soundfile

    receiver, sender = os.pipe()
    feeder = threading.Thread(target=_feed, args=(path, sender), daemon=True)
    feeder.start()
    try:
        with soundfile.SoundFile(receiver, closefd=False) as stream:
            if stream.seekable():  # so libsndfile calls any stream whose length it knows
                return None
            blocks = [np.zeros((0, stream.channels), np.float32)]
            while len(block := stream.read(_BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
            return np.concatenate(blocks).mean(axis=1)
    except soundfile.SoundFileError:
        return None
    finally:
        os.close(receiver)  # a feeder that is still writing sees a broken pipe and ends
        feeder.join()


def _feed(path: pathlib.Path, sender: int) -> None:
    """Copies an MP3 into a pipe until either ends, without its leading tag, which libsndfile only skips by seeking."""
    with contextlib.suppress(BrokenPipeError), os.fdopen(sender, "wb", buffering=0) as pipe, path.open("rb") as source:
        head = source.read(10)
        tagged = head[:3] == b"ID3" and len(head) == 10
        length = sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:])))  # 7 bits a byte, says ID3v2
        source.seek(10 + length if tagged else 0)
        while block := source.read(1 << 16):
            while block:
                block = block[pipe.write(block) :]


def _mono(file: Any, start: int, stop: int | None) -> np.ndarray:
    """Decodes frames start:stop in one call: soundfile seeks after each, which an MP3 does not survive unharmed."""
    lead = min(start, _PREROLL)
    if start > lead:
        file.seek(start - lead)
    frames = -1 if stop is None else stop - start + lead
    return file.read(frames, dtype="float32", always_2d=True)[lead:].mean(axis=1)
