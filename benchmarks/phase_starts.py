"""What each start of Griffin-Lim is worth: spectral convergence on real music at equal numbers of iterations.

    python benchmarks/phase_starts.py [--audio ../shared/audio/music]

The heap (PGHI) is the oracle of the tests, `tests/pghi_oracle.py`. librosa's algorithm is ours with its settings
(random phases, momentum 0.99, no relaxation), which the tests hold against `librosa.griffinlim` sample for sample.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import pathlib
import statistics
import sys
import time

import jax
import librosa
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from pghi_oracle import heap_phases  # noqa: E402

from benchmarks.record import markdown, record  # noqa: E402
from mgen import dsp  # noqa: E402

SAMPLE_RATE = 22_050
SECONDS = 5.0
SETTINGS = [{"n_fft": 2048, "hop_length": 512}, {"n_fft": 1024, "hop_length": 256}]
COUNTS = [0, 4, 10, 32]
LIBROSA = {"momentum": 0.99, "relaxation": 1.0}
#: name to (start, settings of the iteration; none are our defaults)
METHODS = {
    "librosa": ("random", LIBROSA),
    "random": ("random", {}),
    "heap": ("heap", {}),
    "tree": ("tree", {}),
    "scan": ("scan", {}),
    "heap, librosa's iteration": ("heap", LIBROSA),
    "tree, librosa's iteration": ("tree", LIBROSA),
    "scan, librosa's iteration": ("scan", LIBROSA),
}


def load(path: pathlib.Path) -> dict[float, np.ndarray]:
    """Two clips, by where they start: from the fifth second on, and the last one, which `inversion.py` takes too."""
    wave, _ = librosa.load(path, sr=SAMPLE_RATE, mono=True)
    size = round(SECONDS * SAMPLE_RATE)
    last = len(wave) - size
    starts = {min(round(5 * SAMPLE_RATE), last), last}
    return {start / SAMPLE_RATE: wave[start : start + size] for start in starts}


def piece_of(name: str) -> str:
    """The music in a clip, by the clip's name: four files hold the same in four codecs."""
    return "galway" if name.startswith("galway_") else name.partition(" at ")[0]


def mean_over_pieces(per_clip: dict[str, dict[str, dict[str, float]]], method: str, count: int) -> float:
    """Mean over pieces of the mean over their clips, so that no piece counts more than another."""
    pieces: dict[str, list[float]] = {}
    for clip, found in per_clip.items():
        pieces.setdefault(piece_of(clip), []).append(found[method][str(count)])
    return float(np.mean([np.mean(values) for values in pieces.values()]))


def convergence_db(wave: jax.Array, magnitude: np.ndarray, settings: dict[str, int]) -> float:
    """20 log10(|| |stft(wave)| - magnitude || / || magnitude ||)."""
    rest = np.abs(np.asarray(dsp.stft(wave, **settings))) - magnitude
    return float(20 * np.log10(np.linalg.norm(rest) / np.linalg.norm(magnitude)))


def starts_of(magnitude: np.ndarray, seed: int, settings: dict[str, int]) -> dict[str, np.ndarray]:
    phases = {
        "random": np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitude.shape),
        "heap": heap_phases(magnitude, seed=seed, **settings),
        "tree": dsp.tree_phases(magnitude, **settings),
        "scan": dsp.scan_phases(magnitude, **settings),
    }
    return {name: np.asarray(values, np.float32) for name, values in phases.items()}


def quality(magnitude: np.ndarray, length: int, seed: int, settings: dict[str, int]) -> dict[str, dict[str, float]]:
    """Decibels of each method at each count."""
    starts = starts_of(magnitude, seed, settings)
    return {
        name: {
            str(count): convergence_db(
                dsp.griffin_lim(magnitude, init=starts[start], n_iter=count, length=length, **iteration, **settings),
                magnitude,
                settings,
            )
            for count in COUNTS
        }
        for name, (start, iteration) in METHODS.items()
    }


def milliseconds(magnitude: np.ndarray, settings: dict[str, int], repeats: int = 7) -> dict[str, float]:
    """Median time of each start, and of one iteration, compiled."""
    tasks = {
        "heap": lambda: heap_phases(magnitude, **settings),
        "tree": lambda: dsp.tree_phases(magnitude, **settings),
        "scan": lambda: dsp.scan_phases(magnitude, **settings),
        "32 iterations": lambda: dsp.griffin_lim(magnitude, init="zeros", n_iter=32, **settings),
    }
    result = {}
    for name, task in tasks.items():
        jax.block_until_ready(task())
        times = []
        for _ in range(repeats):
            begin = time.perf_counter()
            jax.block_until_ready(task())
            times.append(1000 * (time.perf_counter() - begin))
        result[name] = round(statistics.median(times), 2)
    return result


def rows_of(results: dict) -> list[dict[str, object]]:
    """The means, a row for each method."""
    return [
        {"n_fft / hop": settings, "start and iteration": name, **{f"{c} it.": round(means[str(c)], 2) for c in COUNTS}}
        for settings, result in results.items()
        for name, means in result["mean_db"].items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=pathlib.Path, default=ROOT.parent / "shared" / "audio" / "music")
    parser.add_argument("--seed", type=int, default=0, help="of the random phases")
    arguments = parser.parse_args()

    found = {path.name: load(path) for path in sorted(arguments.audio.iterdir())}
    clips = {f"{name} at {start:.1f} s": wave for name, waves in found.items() for start, wave in waves.items()}
    results = {}
    for settings in SETTINGS:
        per_clip = {}
        for name, wave in clips.items():
            magnitude = np.abs(np.asarray(dsp.stft(wave, **settings)))
            per_clip[name] = quality(magnitude, len(wave), arguments.seed, settings)
            print(settings["n_fft"], name, {m: round(per_clip[name][m]["10"], 1) for m in METHODS}, flush=True)
        means = {method: {str(c): mean_over_pieces(per_clip, method, c) for c in COUNTS} for method in METHODS}
        results[f"{settings['n_fft']} / {settings['hop_length']}"] = {
            "mean_db": means,
            "per_clip_db": per_clip,
            "median_ms_a_clip": milliseconds(magnitude, settings),
            "load_average_then": list(os.getloadavg()),
        }
    about = (
        "Spectral convergence in dB, 20 log10(|| |stft(y)| - S || / || S ||), lower is better; mean over "
        f"{len({piece_of(name) for name in clips})} pieces, {len(clips)} clips of {SECONDS:g} s of shared/audio/music "
        f"at {SAMPLE_RATE} Hz, hann."
    )
    details = {
        "clips": {name: {"samples": len(wave)} for name, wave in clips.items()},
        "methods": {name: {"start": start, **iteration} for name, (start, iteration) in METHODS.items()},
        "numba": importlib.metadata.version("numba"),
        **results,
    }
    table = rows_of(results)
    record("phase_starts", table=table, seed=arguments.seed, about=about, details=details)
    print(markdown(table))
    for settings, result in results.items():
        print(settings, "ms a clip:", result["median_ms_a_clip"], "at load", result["load_average_then"])


if __name__ == "__main__":
    main()
