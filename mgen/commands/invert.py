"""`mgen invert INPUT [--n-mels N] [--n-fft N] ...`: hear what a representation loses."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tyro

#: Share of samples beyond full scale that is worth a word: one in a thousand.
_CLIPPED = 1e-3


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Sound to a spectrogram and back: what is lost is what you hear. Also turns a saved spectrogram into sound."""

    input: tyro.conf.Positional[pathlib.Path]
    """A sound file, a folder of them, or an .npy of magnitudes [frames, bins] or mel powers [frames, bands]."""
    n_mels: int = 128
    """Mel bands; 0 keeps the whole magnitude spectrogram, so that only the phase is lost."""
    n_fft: int = 2048
    """Samples of a frame."""
    hop_length: int | None = None
    """Samples between frames, at most half a frame; a quarter of a frame if not given."""
    sample_rate: int = 22_050
    """Hz, to which a file is resampled; of an .npy, the rate it was made at."""
    fmin: float = 0.0
    """Lowest frequency of the mel bands, Hz."""
    fmax: float | None = None
    """Highest; half the sample rate if not given."""
    window: Literal["hann", "hamming"] = "hann"
    """Window of a frame."""
    n_iter: int = 32
    """Iterations of the phase reconstruction."""
    init: Literal["tree", "scan", "random", "zeros"] = "scan"
    """Starting phases, see `mgen.dsp.invert`."""
    seed: int = 0
    """Of random starting phases."""
    out: pathlib.Path = pathlib.Path("inverted")
    """Folder of the wav and png files and of inverted.json."""

    @property
    def mel(self) -> dict[str, Any]:
        """What makes a mel of a spectrum."""
        return {"sample_rate": self.sample_rate, "n_fft": self.n_fft, "fmin": self.fmin, "fmax": self.fmax}

    @property
    def frame(self) -> dict[str, Any]:
        """What makes frames of a wave."""
        return {"hop_length": self.hop_length or max(1, self.n_fft // 4), "window": self.window}


def main(arguments: Sequence[str], *, program: str) -> None:
    """Writes what comes back of each sound, a picture of it, and how far it is from what went in."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen import audio, parallel, pictures
    from mgen.commands.arguments import UsageError

    parallel.use_all_cores()
    _check(asked)
    made = []
    for name, path in _inputs(asked.input):
        try:
            spectrogram, length = _read(asked, path)
            began = time.perf_counter()
            wave = _invert(asked, spectrogram, length)
            seconds = time.perf_counter() - began
        except (audio.AudioError, ValueError) as error:  # the others of a folder are still wanted
            print(f"{program}: {error if isinstance(error, audio.AudioError) else f'{path}: {error}'}", file=sys.stderr)
            continue
        clipped = float(np.mean(np.abs(wave) > 1))
        wave = wave.clip(-1, 1)  # as it is written: what is measured is what is heard
        error_db = _convergence(spectrogram, _analyse(asked, wave))
        target = asked.out / f"{name}.wav"
        audio.write(target, wave, sample_rate=asked.sample_rate)
        title = f"{path.name}: {spectrogram.shape[-1]} {'bands' if asked.n_mels else 'bins'}, {error_db:.1f} dB"
        pictures.spectrogram(target.with_suffix(".png"), wave, sample_rate=asked.sample_rate, title=title)
        duration = len(wave) / asked.sample_rate
        print(f"{target}  {duration:.1f} s of sound in {seconds:.2f} s, convergence {error_db:.1f} dB")
        if clipped > _CLIPPED:
            print(
                f"{program}: {path}: {clipped:.1%} of the samples were beyond full scale, and cut",
                file=sys.stderr,
            )
        made.append({"file": f"{name}.wav", "duration_s": duration, "inversion_s": seconds, "convergence_db": error_db})
    if not made:
        raise UsageError(f"{asked.input}: nothing here could be turned into sound")
    settings = {field: value for field, value in vars(asked).items() if field not in ("input", "out")}
    (asked.out / "inverted.json").write_text(json.dumps({"settings": settings, "sounds": made}, indent=2) + "\n")


def _check(asked: Arguments) -> None:
    """Refuses settings that fit no sound, before any is read."""
    from mgen.commands.arguments import UsageError
    from mgen.dsp.phase import check_steps

    hop = asked.frame["hop_length"]
    try:
        _analyse(asked, np.zeros(4 * max(asked.n_fft, 1), np.float32))
        check_steps(asked.n_iter, 0.0, 1.0)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if 2 * hop > asked.n_fft:
        raise UsageError(
            f"--hop-length {hop}: frames of {asked.n_fft} samples then meet where their windows are nearly nothing; "
            f"use {asked.n_fft // 2} or less"
        )


def _inputs(path: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """Names for the results and the files to read: all sound files of a folder and of its subfolders, or the one."""
    from mgen import audio

    if not path.is_dir():
        return [(path.stem, path)]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in audio.SUFFIXES and file.is_file())
    return [(str(file.relative_to(path).with_suffix("")) + file.suffix.replace(".", "_"), file) for file in found]


def _read(asked: Arguments, path: pathlib.Path) -> tuple[np.ndarray, int | None]:
    """The spectrogram to invert, and the samples to make of it."""
    from mgen import audio

    if path.suffix != ".npy":
        wave = audio.read(path, sample_rate=asked.sample_rate)
        return _analyse(asked, wave), len(wave)
    try:
        spectrogram = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise audio.AudioError(path, f"not an array that numpy can read ({error})") from error
    wanted = asked.n_mels or 1 + asked.n_fft // 2
    if spectrogram.ndim != 2 or spectrogram.shape[1] != wanted or spectrogram.dtype.kind != "f":
        raise audio.AudioError(
            path,
            f"expected floats [frames, {wanted}] for --n-mels {asked.n_mels} --n-fft {asked.n_fft}, "
            f"got {spectrogram.dtype} {spectrogram.shape}",
        )
    return spectrogram.astype(np.float32), None


def _analyse(asked: Arguments, wave: np.ndarray) -> np.ndarray:
    """Mel powers or magnitudes [frames, bands or bins] of a wave."""
    from mgen import dsp

    if asked.n_mels:
        return np.asarray(dsp.mel_spectrogram(wave, n_mels=asked.n_mels, **asked.mel, **asked.frame))
    return np.abs(dsp.stft(wave, n_fft=asked.n_fft, **asked.frame))


def _invert(asked: Arguments, spectrogram: np.ndarray, length: int | None) -> np.ndarray:
    import jax

    from mgen import dsp

    search = {"rng": jax.random.key(asked.seed), "n_iter": asked.n_iter, "init": asked.init, "length": length}
    if asked.n_mels:
        return dsp.invert_mel(spectrogram, **search, **asked.mel, **asked.frame)
    return dsp.invert(spectrogram, n_fft=asked.n_fft, **search, **asked.frame)


def _convergence(wanted: np.ndarray, got: np.ndarray) -> float:
    """Spectral convergence in decibels, 20 log10(||got - wanted|| / ||wanted||), over the frames of both."""
    frames = min(len(wanted), len(got))
    wanted, got = wanted[:frames].astype(np.float64), got[:frames].astype(np.float64)
    error = np.linalg.norm(got - wanted) / max(np.linalg.norm(wanted), np.finfo(np.float32).tiny)
    return float(20 * np.log10(max(error, 1e-10)))
