"""From a mel spectrogram to magnitudes and to sound: ours beside librosa's, on the same pieces in one run.

    python benchmarks/mel_inversion.py --audio ../shared/audio/music

10 s of every piece (or what there is), 22,050 Hz, 128 bands of the power spectrogram, n_fft 2048, hop 512.

- residual: ||mel of the magnitudes - mel|| / ||mel||, dB, after `librosa.feature.inverse.mel_to_stft` and
  `mgen.dsp.mel_to_magnitude`.
- mel convergence: the same of the sound after 32 iterations, of mels and of their square roots; log-mel: mean absolute
  difference in dB, 80 dB down from the loudest. "magnitudes held" is our `mel_to_magnitude` and then `griffin_lim`.
- time: compilation apart; the median of the repeats, in which the methods take turns.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

import jax
import librosa
import numpy as np
import soundfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record
from mgen import dsp

SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS, N_ITER = 22_050, 2048, 512, 128, 32
FILTERS = {"sample_rate": SAMPLE_RATE, "n_fft": N_FFT}
FRAME = {"n_fft": N_FFT, "hop_length": HOP_LENGTH}
THEIRS = {"sr": SAMPLE_RATE, "n_fft": N_FFT}


def read(path: pathlib.Path, seconds: float) -> np.ndarray:
    """The start of a piece at SAMPLE_RATE, mono."""
    rate = soundfile.info(path).samplerate
    wave = soundfile.read(path, frames=int(seconds * rate), dtype="float32", always_2d=True)[0].mean(axis=1)
    return librosa.resample(wave, orig_sr=rate, target_sr=SAMPLE_RATE)


def mel_of(wave: np.ndarray) -> np.ndarray:
    return np.asarray(dsp.mel_spectrogram(wave, hop_length=HOP_LENGTH, n_mels=N_MELS, **FILTERS))


def decibels(estimate: np.ndarray, target: np.ndarray) -> float:
    """Relative error."""
    return float(20 * np.log10(np.linalg.norm(estimate - target) / np.linalg.norm(target)))


def log_distance(estimate: np.ndarray, target: np.ndarray) -> float:
    """Mean absolute difference in dB, 80 dB down from the loudest of the target."""
    floor = 1e-8 * target.max()
    levels = [10 * np.log10(np.maximum(mel, floor)) for mel in (estimate, target)]
    return float(np.abs(levels[0] - levels[1]).mean())


def solvers(mel: np.ndarray) -> dict:
    """Name to a function that makes magnitudes [frames, bins]."""
    return {
        "librosa": lambda: librosa.feature.inverse.mel_to_stft(mel.T, **THEIRS).T,
        "mgen": lambda: dsp.mel_to_magnitude(mel, **FILTERS),
    }


def inverters(mel: np.ndarray, length: int) -> dict:
    """Name to a function that makes a wave [length]."""

    def theirs():
        np.random.seed(0)  # librosa draws its phases from the global generator
        return librosa.feature.inverse.mel_to_audio(
            mel.T, hop_length=HOP_LENGTH, n_iter=N_ITER, length=length, **THEIRS
        )

    def ours(**settings):
        return dsp.mel_to_audio(
            mel,
            rng=jax.random.key(0),
            hop_length=HOP_LENGTH,
            length=length,
            **FILTERS,
            **{"n_iter": N_ITER, **settings},
        )

    def held(init):
        magnitude = dsp.mel_to_magnitude(mel, **FILTERS)
        return dsp.griffin_lim(magnitude, rng=jax.random.key(0), n_iter=N_ITER, init=init, length=length, **FRAME)

    return {
        "librosa": theirs,
        "mgen, magnitudes held, tree": lambda: held("tree"),
        "mgen": ours,
        "mgen, 10 iterations": lambda: ours(n_iter=10),
        "mgen, tree": lambda: ours(init="tree"),
        "mgen, random": lambda: ours(init="random"),
    }


def timed(methods: dict, repeats: dict[str, int]) -> dict[str, dict]:
    """Name to its result and its times: the first call apart, then the methods in turn."""
    found = {}
    for name, method in methods.items():
        start = time.perf_counter()
        result = np.asarray(method())
        found[name] = {"result": result, "first_s": time.perf_counter() - start, "times_s": []}
    for turn in range(max(repeats.get(name, repeats["*"]) for name in methods)):
        for name, method in methods.items():
            if turn < repeats.get(name, repeats["*"]):
                start = time.perf_counter()
                np.asarray(method())
                found[name]["times_s"].append(time.perf_counter() - start)
    for entry in found.values():
        entry["time_s"] = float(np.median(entry["times_s"] or [entry["first_s"]]))
    return found


def measure(path: pathlib.Path, seconds: float, repeats: dict[str, int]) -> dict:
    """All the numbers of a piece."""
    wave = read(path, seconds)
    mel = mel_of(wave)
    filters = dsp.mel_filters(n_mels=N_MELS, **FILTERS)
    magnitudes = timed(solvers(mel), repeats)
    for entry in magnitudes.values():
        entry["residual_db"] = decibels(entry.pop("result").astype(np.float64) ** 2 @ filters, mel)
    sounds = timed(inverters(mel, len(wave)), repeats)
    for entry in sounds.values():
        made = mel_of(entry.pop("result"))
        entry["mel_db"] = decibels(made, mel)
        entry["root_mel_db"] = decibels(np.sqrt(made), np.sqrt(mel))
        entry["log_mel_db"] = log_distance(made, mel)
    return {"piece": path.name, "seconds": len(wave) / SAMPLE_RATE, "magnitudes": magnitudes, "sounds": sounds}


def table(pieces: list[dict]) -> list[dict]:
    """A row for each method: means over pieces, medians of times and of ratios within a piece."""
    rows = []
    for kind, title in (("magnitudes", "magnitudes"), ("sounds", "sound")):
        for name in pieces[0][kind]:
            found = [piece[kind][name] for piece in pieces]
            ratios = [piece[kind]["librosa"]["time_s"] / piece[kind][name]["time_s"] for piece in pieces]

            def mean(key, found=found):
                return round(float(np.mean([entry[key] for entry in found])), 2) if key in found[0] else "-"

            errors = [entry.get("residual_db", entry.get("mel_db")) for entry in found]
            rows.append({
                "to": title,
                "method": name,
                "mel error, dB": round(float(np.mean(errors)), 2),
                "worst piece, dB": round(float(np.max(errors)), 2),
                "of roots, dB": mean("root_mel_db"),
                "log-mel, dB": mean("log_mel_db"),
                "time, ms": round(1e3 * float(np.median([entry["time_s"] for entry in found])), 1),
                "first call, s": round(max(entry["first_s"] for entry in found), 1),
                "x librosa, median": round(float(np.median(ratios)), 1),
                "x librosa, least": round(float(np.min(ratios)), 1),
            })  # fmt: skip
    return rows


def main() -> None:
    """Prints the table and writes benchmarks/results/mel_inversion.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=ROOT.parent / "shared" / "audio" / "music")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each piece")
    parser.add_argument("--repeats", type=int, default=5, help="of each of our methods")
    parser.add_argument("--librosa-repeats", type=int, default=1, help="of librosa's; 0 takes its first call")
    parser.add_argument("--name", default="mel_inversion", help="of the result file")
    asked = parser.parse_args()
    repeats = {"*": asked.repeats, "librosa": asked.librosa_repeats}
    warm_up = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    librosa.feature.inverse.mel_to_audio(mel_of(warm_up).T, hop_length=HOP_LENGTH, n_iter=2, **THEIRS)
    pieces = []
    for path in sorted(path for path in asked.audio.iterdir() if not path.name.startswith(".")):
        pieces.append(measure(path, asked.seconds, repeats))
        print(f"{path.name}: {pieces[-1]['seconds']:.1f} s", file=sys.stderr)
    about = (
        f"{len(pieces)} pieces, the first {asked.seconds:g} s of each at 22,050 Hz, {N_MELS} mel bands of the power "
        f"spectrogram, n_fft {N_FFT}, hop {HOP_LENGTH}; sound after {N_ITER} iterations. Means over pieces, times and "
        "ratios medians; compilation apart."
    )
    path = record(asked.name, table=table(pieces), seed=0, about=about, details=pieces)
    print(markdown(table(pieces)) + f"\nwrote {path}")


if __name__ == "__main__":
    main()
