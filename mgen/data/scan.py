"""What a folder of sound files holds: the usable ones decoded, the others with their reasons, and how they split."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import hashlib
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tqdm

from mgen import audio
from mgen.data import DataError, cache

#: A file whose peak is not above this, 90 dB below full scale and one step of 16 bits, is silent.
SILENCE = 10 ** (-90 / 20)

_THREADS = 4  # each holds a whole decoded file


@dataclasses.dataclass(frozen=True)
class File:
    """A usable sound file: its name within the folder, with `/`, and its samples."""

    name: str
    audio: cache.Decoded


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a folder holds: usable files by name, and the others with their reasons."""

    root: pathlib.Path
    files: tuple[File, ...]
    rejected: tuple[tuple[str, str], ...]  # name, reason
    not_looked_at: int = 0  # further sound files, beyond the limit

    @property
    def report(self) -> str:
        """Counts, durations, rates, channels, and every rejected file with its reason."""
        seconds = np.array([file.audio.duration_s for file in self.files])
        rates = collections.Counter(file.audio.source_rate for file in self.files)
        channels = collections.Counter(file.audio.channels for file in self.files)
        lines = [
            f"{self.root}: {len(self.files)} files, {seconds.sum():.1f} s in total"
            f" (shortest {seconds.min():.1f} s, median {np.median(seconds):.1f} s, longest {seconds.max():.1f} s)",
            "  sample rates: " + ", ".join(f"{rate} Hz x {count}" for rate, count in sorted(rates.items())),
            "  channels: " + ", ".join(f"{number} x {count}" for number, count in sorted(channels.items())),
        ]
        if self.rejected:
            lines.append(f"  rejected: {len(self.rejected)}")
            lines += [f"    {name}: {reason}" for name, reason in self.rejected]
        if self.not_looked_at:
            lines.append(f"  not looked at: {self.not_looked_at} further files")
        return audio.printable("\n".join(lines))


def scan(
    path: str | os.PathLike[str],
    *,
    sample_rate: int,
    limit: int = 0,
    counts: Callable[[File], bool] = lambda file: True,
    wanted: Callable[[str], bool] = lambda name: True,
) -> Scan:
    """Finds and decodes the sound files of a tree in name order; hidden files and folders are passed by.

    Args:
      path: the folder; links are followed, but never back into a folder that holds them.
      sample_rate: Hz, at which the files are decoded into the cache.
      limit: stop at this many usable files; 0 is all.
      counts: whether a usable file counts towards the limit.
      wanted: whether a sound file is to be looked at, by its name; others are as if they were not there.

    Raises:
      DataError: there is no such folder, it holds no sound files that are wanted, or all of them were rejected.
    """
    if not os.fspath(path):
        raise DataError("data.path is empty; give a folder of audio files: --data.path DIR")
    root = pathlib.Path(path).expanduser()
    if not root.exists():
        raise _error(f"data.path={root}: no such folder; give a folder of audio files: --data.path DIR")
    if not root.is_dir():
        raise _error(f"data.path={root}: is a file; give the folder that holds it: --data.path {root.parent}")
    names, refused = [], {}
    _walk(root, "", frozenset(), names, refused)
    sounds = sorted(name for name in names if _suffix(name) in audio.SUFFIXES)
    found = [name for name in sounds if wanted(name)]
    if sounds and not found:
        raise _error(f"data.path={root}: none of {len(sounds)} audio files, such as {sounds[0]}, is one that is wanted")
    if not found:
        others = collections.Counter(_suffix(name) or "no suffix" for name in names)
        held = ", ".join(f"{suffix} x {count}" for suffix, count in others.most_common(8)) or "no files"
        unread = "".join(f"; {name}: {reason}" for name, reason in refused.items())
        raise _error(f"data.path={root}: no audio files; looked for {' '.join(audio.SUFFIXES)}, found {held}{unread}")

    def decode(name: str) -> cache.Decoded | audio.AudioError:
        try:
            return cache.decoded(root / name, sample_rate=sample_rate)
        except audio.AudioError as error:
            return error

    files, seen, looked, counted = [], {}, 0, 0
    with tqdm.tqdm(total=None if limit else len(found), delay=2, unit="file", leave=False) as bar:
        for name, result in zip(found, _ahead(decode, found), strict=False):
            bar.update()
            looked += 1
            if isinstance(result, audio.AudioError):
                refused[name] = result.reason
            elif result.peak <= SILENCE:
                refused[name] = "silent"
            elif result.sha256 in seen:
                refused[name] = f"same content as {seen[result.sha256]}"
            else:
                seen[result.sha256] = name
                files.append(File(name, result))
                counted += counts(files[-1])
                if counted == limit > 0:
                    break
    rejected = tuple(sorted(refused.items()))
    if not files:
        raise none_usable(root, f"{len(found)} audio files", rejected)
    return Scan(root, tuple(files), rejected, len(found) - looked)


def none_usable(root: pathlib.Path, what: str, refused: Sequence[tuple[str, str]]) -> DataError:
    """The error that none of some files, such as "7 audio files", can be used, with the first five reasons."""
    reasons = "".join(f"\n  {name}: {reason}" for name, reason in refused[:5])
    more = f"\n  and {len(refused) - 5} more" if len(refused) > 5 else ""
    return _error(f"data.path={root}: none of {what} can be used:{reasons}{more}")


def fingerprint(files: Iterable[File]) -> str:
    """A digest of names and contents in their order, wherever the folder lies: 16 hex digits."""
    listed = ascii([(file.name, file.audio.sha256) for file in files])
    return hashlib.sha256(listed.encode("ascii")).hexdigest()[:16]


def validation_files(names: list[str], fraction: float, seed: int) -> set[str]:
    """Which files are kept for validation: those whose name, hashed with the seed to [0, 1), falls below `fraction`.

    A file so keeps its side when others come or go, except where one side would be empty: then the file nearest to it
    changes over.
    """
    place = {
        name: int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()[:8]) / 2**64
        for name in names
    }
    kept = {name for name in names if place[name] < fraction}
    if len(names) >= 2 and fraction > 0:
        if not kept:
            kept = {min(names, key=place.__getitem__)}
        elif len(kept) == len(names):
            kept.remove(max(names, key=place.__getitem__))
    elif len(names) == 1:
        kept = set()
    return kept


def _error(message: str) -> DataError:
    return DataError(audio.printable(message))


def _ahead(
    decode: Callable[[str], cache.Decoded | audio.AudioError], names: list[str]
) -> Iterator[cache.Decoded | audio.AudioError]:
    """`decode` of each name in order, while the next few are under way; whoever stops early leaves the rest undone."""
    rest = iter(names)
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        waiting = collections.deque(pool.submit(decode, name) for name in itertools.islice(rest, _THREADS))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(decode, name) for name in itertools.islice(rest, 1))


def _suffix(name: str) -> str:
    return pathlib.PurePosixPath(name).suffix.lower()


def _walk(folder: pathlib.Path, prefix: str, above: frozenset[str], names: list[str], refused: dict[str, str]) -> None:
    """Collects the names of all files; `above` holds the real paths of the folders around this one, against loops."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        refused[prefix or "."] = f"cannot look into this folder: {error.strerror}"
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            _walk(entry, f"{prefix}{entry.name}/", above | {real}, names, refused)
        elif entry.is_file() or entry.is_symlink():  # a broken link is reported; a pipe would be waited for
            names.append(prefix + entry.name)
