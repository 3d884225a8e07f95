"""Which window? The study of the first of the originals, with measures that can hear, on three minutes of real music.

    python benchmarks/spectrogram_settings.py                  # ten minutes on an idle core
    python benchmarks/spectrogram_settings.py --quick          # 10 s, two windows; writes nothing
    python benchmarks/spectrogram_settings.py --listen FOLDER  # the original's listening set, and no study
    python benchmarks/window_times.py                          # how long it takes
    python benchmarks/spectrogram_figures.py                   # draws what the JSON files say

Windows of 64 to 4096 samples, a hop of a quarter, 22,050 Hz. A sound is made anew from its magnitudes ("magnitudes":
only the phase is lost), from 128 mel bands ("mel": `mel_to_audio`), and from 128 mel bands by `mel_to_magnitude` and
then `griffin_lim` ("mel, held"). All start from phases found by "scan".

- convergence: of the magnitudes asked for, or of the mel spectrogram, in the window's own transform. It cannot be
  compared between windows: what is asked for differs.
- log-spectral and log-mel distance: the same analyses for every window, see `measures`. Means over the pieces.
- MSE / power: what the original measured.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import measures, pieces
from benchmarks.record import ROOT, markdown, record
from mgen import audio, dsp

SAMPLE_RATE, N_MELS = 22_050, 128
WINDOWS = (64, 128, 256, 512, 1024, 2048, 4096)
ITERATIONS = (2, 4, 8, 16)
LISTEN_WINDOWS = (64, 2048)


def frame_of(window: int) -> dict[str, int]:
    """Settings of the transform."""
    return {"n_fft": window, "hop_length": window // 4}


def magnitude_of(wave: np.ndarray, window: int) -> np.ndarray:
    return np.abs(np.asarray(dsp.stft(wave, **frame_of(window))))


def mel_of(wave: np.ndarray, window: int, n_mels: int = N_MELS) -> np.ndarray:
    return np.asarray(dsp.mel_spectrogram(wave, sample_rate=SAMPLE_RATE, n_mels=n_mels, **frame_of(window)))


def from_magnitude(magnitude: np.ndarray, window: int, n_iter: int, length: int) -> np.ndarray:
    """The wave of magnitudes that are held."""
    return np.asarray(dsp.griffin_lim(magnitude, n_iter=n_iter, init="scan", length=length, **frame_of(window)))


def from_mel(mel: np.ndarray, window: int, n_iter: int, length: int) -> np.ndarray:
    """The wave of a mel spectrogram, magnitudes and phases settling together."""
    settings = {"sample_rate": SAMPLE_RATE, "init": "scan", **frame_of(window)}
    return np.asarray(dsp.mel_to_audio(mel, n_iter=n_iter, length=length, **settings))


def solved(mel: np.ndarray, window: int) -> np.ndarray:
    """Magnitudes of a mel spectrogram."""
    return np.asarray(dsp.mel_to_magnitude(mel, sample_rate=SAMPLE_RATE, n_fft=window))


def judged(wave: np.ndarray, target: np.ndarray, every: tuple[int, ...] = ()) -> dict[str, Any]:
    """All that can be said of a sound without its transform; both are [pieces, samples].

    `every` adds the log-spectral distance in other analyses, so that one can see whether the three chosen decide.
    """
    spectral = measures.log_spectral_distance(wave, target)
    bands = measures.log_mel_distance(wave, target, SAMPLE_RATE)
    return {
        "log_spectral_db": float(spectral.mean()),
        "log_mel_db": float(bands.mean()),
        "mse_over_power": measures.relative_mse(wave, target),
        "log_spectral_db_by_piece": spectral.tolist(),
        "log_mel_db_by_piece": bands.tolist(),
        "log_spectral_db_by_analysis": {
            str(n): float(measures.log_spectral_distance(wave, target, (n,)).mean()) for n in every
        },
    }


def study(target: np.ndarray, window: int, iterations: tuple[int, ...], every: tuple[int, ...]) -> dict:
    """All the numbers of a window; target is [pieces, samples]."""
    wave = target.reshape(-1)
    magnitude, mel = magnitude_of(wave, window), mel_of(wave, window)
    sounds = []

    def add(kind: str, n_iter: int, made: np.ndarray) -> None:
        if kind == "magnitudes":
            convergence = measures.spectral_convergence_db(made, magnitude, **frame_of(window))
        else:
            convergence = measures.relative_db(mel_of(made, window), mel)
        entry = {"from": kind, "window": window, "iterations": n_iter, "convergence_db": convergence}
        last = every if n_iter == iterations[-1] and kind != "mel, held" else ()
        sounds.append({**entry, **judged(made.reshape(target.shape), target, last)})

    for n_iter in iterations:
        add("magnitudes", n_iter, from_magnitude(magnitude, window, n_iter, len(wave)))
        add("mel", n_iter, from_mel(mel, window, n_iter, len(wave)))
    add("mel, held", iterations[-1], from_magnitude(solved(mel, window), window, iterations[-1], len(wave)))
    return {
        "window": window,
        "frames": len(mel),
        "empty_bands": measures.empty_bands(sample_rate=SAMPLE_RATE, n_fft=window, n_mels=N_MELS),
        "sounds": sounds,
    }


def known_cases(target: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Sounds of which everybody knows how near they are to the target [pieces, samples]."""
    loudness = np.sqrt(np.square(target).mean(axis=-1, keepdims=True))
    noise = np.random.default_rng(seed).normal(size=target.shape) * loudness
    return {
        "the piece, 1 sample late": np.roll(target, 1, axis=-1),
        "the piece, 10 samples (0.5 ms) late": np.roll(target, 10, axis=-1),
        "the piece, polarity inverted": -target,
        "the piece at half its amplitude": 0.5 * target,
        "silence": np.zeros_like(target),
        "white noise as loud": noise.astype(np.float32),
        "white noise 20 dB down": 0.1 * noise.astype(np.float32),
        "the piece backwards": target[:, ::-1].copy(),
        "another piece as loud": np.roll(target, 1, axis=0),
    }


def blindness(target: np.ndarray, windows: list[dict]) -> tuple[list[dict], dict]:
    """What the waveform MSE says of known cases and of the reconstructions: rows for a table, and all the numbers."""
    cases = [{"sound": name, **judged(wave, target)} for name, wave in known_cases(target).items()]
    sounds = [sound for entry in windows for sound in entry["sounds"]]
    for kind in ("magnitudes", "mel"):
        best = min((s for s in sounds if s["from"] == kind), key=lambda sound: sound["log_mel_db"])
        title = f"made anew from {kind}, window {best['window']}, {best['iterations']} iterations"
        cases.append({**best, "sound": title})
    correlation = {
        "reconstructions": rank(sounds),
        **{kind: rank([s for s in sounds if s["from"] == kind]) for kind in ("magnitudes", "mel")},
        "cases": rank(cases),
    }
    errors = [sound["mse_over_power"] for sound in sounds]
    spread = {"sounds": len(sounds), "least": min(errors), "most": max(errors)}
    rows = [
        {
            "sound": case["sound"],
            "MSE / power": round(case["mse_over_power"], 4),
            "log-spectral distance, dB": round(case["log_spectral_db"], 2),
            "log-mel distance, dB": round(case["log_mel_db"], 2),
        }
        for case in sorted(cases, key=lambda case: case["mse_over_power"])
    ]
    return rows, {"cases": cases, "rank_correlation": correlation, "mse_over_power": spread}


def rank(sounds: list[dict]) -> float:
    """Rank correlation of the waveform MSE with the log-spectral distance."""
    return measures.rank_correlation(*([s[key] for s in sounds] for key in ("mse_over_power", "log_spectral_db")))


def table(windows: list[dict], last: int) -> list[dict]:
    """Two rows for each window, after the last count of iterations."""
    rows = []
    for kind in ("magnitudes", "mel"):
        for entry in windows:
            sound = next(s for s in entry["sounds"] if (s["from"], s["iterations"]) == (kind, last))
            rows.append({
                "from": f"{N_MELS} mel bands" if kind == "mel" else kind,
                "window": entry["window"],
                "ms": round(1000 * entry["window"] / SAMPLE_RATE, 1),
                "frames": entry["frames"],
                "empty bands": entry["empty_bands"] if kind == "mel" else "-",
                "convergence, dB": round(sound["convergence_db"], 1),
                "log-spectral, dB": round(sound["log_spectral_db"], 2),
                "log-mel, dB": round(sound["log_mel_db"], 2),
                "MSE / power": round(sound["mse_over_power"], 2),
            })  # fmt: skip
    return rows


def robustness(windows: list[dict], last: int) -> dict[str, list[dict]]:
    """How far the verdict hangs on the analyses (log-spectral distances, dB) and the pieces, after the last count."""
    found = {}
    for kind in ("magnitudes", "mel"):
        sounds = [s for entry in windows for s in entry["sounds"] if (s["from"], s["iterations"]) == (kind, last)]
        best = {
            name: np.argmin([sound[f"{name}_by_piece"] for sound in sounds], axis=0)
            for name in ("log_spectral_db", "log_mel_db")
        }
        found[kind] = [
            {
                "window": sound["window"],
                "mean_of_all_analyses": float(np.mean(list(sound["log_spectral_db_by_analysis"].values()))),
                "worst_of_all_analyses": max(sound["log_spectral_db_by_analysis"].values()),
                **{f"pieces_where_best_{name}": int((places == place).sum()) for name, places in best.items()},
            }
            for place, sound in enumerate(sounds)
        ]
    return found


def listening_set(folder: pathlib.Path, target: np.ndarray) -> list[pathlib.Path]:
    """Writes what the original let one hear: the piece, and through two windows its magnitudes and its mel bands."""
    if folder.resolve().is_relative_to(ROOT):
        raise SystemExit(f"--listen {folder}: sounds do not belong in the repository; name a folder outside {ROOT}")
    wave = target.reshape(-1)
    sounds = {"piece": wave}
    for window in LISTEN_WINDOWS:
        sounds[f"stft_{window}"] = from_magnitude(magnitude_of(wave, window), window, ITERATIONS[-1], len(wave))
        sounds[f"mel_{window}"] = from_mel(mel_of(wave, window), window, ITERATIONS[-1], len(wave))
    # One gain for all, so that none is clipped and all can be compared.
    gain = min(1.0, 0.99 / max(float(np.abs(sound).max()) for sound in sounds.values()))
    for name, sound in sounds.items():
        audio.write(folder / f"{name}.wav", gain * sound, sample_rate=SAMPLE_RATE)
    return [folder / f"{name}.wav" for name in sounds]


def main() -> None:
    """Prints the tables and writes benchmarks/results/spectrogram_settings.json and waveform_mse.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=pieces.AUDIO)
    parser.add_argument("--quick", action="store_true", help="10 s, two windows and 2 and 4 iterations; writes nothing")
    parser.add_argument("--listen", type=pathlib.Path, help="write the listening set there, and nothing else")
    asked = parser.parse_args()
    seconds = 10.0 if asked.quick else pieces.SECONDS
    target = pieces.excerpts(SAMPLE_RATE, seconds, asked.audio)
    with measures.without_empty_warning():
        if asked.listen:
            print(*listening_set(asked.listen, target), sep="\n")
            return
        chosen, iterations = ((256, 1024), (2, 4)) if asked.quick else (WINDOWS, ITERATIONS)
        windows = []
        for window in chosen:
            start = time.perf_counter()
            windows.append(study(target, window, iterations, chosen))
            print(f"window {window}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        rows, blind = blindness(target, windows)
    print(markdown(table(windows, iterations[-1])), markdown(rows), blind["rank_correlation"], sep="\n")
    if asked.quick:
        return
    of = f"{seconds:g} s of music, {len(pieces.PIECES)} pieces joined, at 22,050 Hz"
    how = f"hop a quarter of the window, {iterations[-1]} iterations from phases found by scan"
    about = f"{of}; {how}; distances are means over pieces."
    details = {"robustness": robustness(windows, iterations[-1]), "windows": windows}
    record("spectrogram_settings", table=table(windows, iterations[-1]), seed=0, about=about, details=details)
    about = f"{of}, against sounds that are known to be near to it or far from it."
    record("waveform_mse", table=rows, seed=0, about=about, details=blind)


if __name__ == "__main__":
    main()
