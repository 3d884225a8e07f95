"""How long a window takes: from mel bands to magnitudes, from magnitudes to sound, and both in one; librosa's beside.

    taskset -c 0 python benchmarks/window_times.py    # ten minutes on an idle core; writes window_times.json
    python benchmarks/window_times.py --quick         # 10 s, two windows; writes nothing

The piece, windows and settings are those of `spectrogram_settings.py`. Times are processor seconds, all threads
together, after compilation; of the repeats the least, because others at work only make it longer. librosa's
`mel_to_stft` and `griffinlim` (from random phases) are called once, on the first 10 s.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import measures, pieces
from benchmarks.record import markdown, record
from benchmarks.spectrogram_settings import (
    SAMPLE_RATE,
    WINDOWS,
    frame_of,
    from_magnitude,
    from_mel,
    magnitude_of,
    mel_of,
    solved,
)

FEW, MANY = 2, 16
THEIRS_SECONDS = 10


def timed(task: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Seconds of a task: the first call, which compiles, apart; `least_s` of processor time is what counts."""
    start = time.perf_counter()
    task()
    times = {"first_wall_s": time.perf_counter() - start, "wall_s": [], "processor_s": []}
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        task()
        times["wall_s"].append(time.perf_counter() - start)
        times["processor_s"].append(time.process_time() - used)
    return {**times, "least_s": min(times["processor_s"])}


def ours(wave: np.ndarray, window: int, repeats: int) -> dict[str, dict]:
    """Times of every step on a wave [samples]."""
    magnitude, mel, length = magnitude_of(wave, window), mel_of(wave, window), len(wave)
    tasks = {
        "mel solve": lambda: solved(mel, window),
        f"phase, {FEW}": lambda: from_magnitude(magnitude, window, FEW, length),
        f"phase, {MANY}": lambda: from_magnitude(magnitude, window, MANY, length),
        f"both in one, {MANY}": lambda: from_mel(mel, window, MANY, length),
    }
    return {name: timed(task, repeats) for name, task in tasks.items()}


def theirs(wave: np.ndarray, window: int) -> dict[str, float]:
    """Processor seconds of librosa's two steps on a wave [samples]."""
    mel = mel_of(wave, window).T
    start = time.process_time()
    magnitude = librosa.feature.inverse.mel_to_stft(mel, sr=SAMPLE_RATE, n_fft=window)
    middle = time.process_time()
    librosa.griffinlim(magnitude, n_iter=MANY, random_state=0, **frame_of(window))
    return {"mel solve": middle - start, f"phase, {MANY}": time.process_time() - middle}


def table(windows: list[dict]) -> list[dict]:
    """A row for each window, in seconds for a minute of sound."""
    return [
        {
            "window": entry["window"],
            **{
                f"{whose}: {name}{' it.' * (',' in name)}": round(value, 2)
                for whose in ("mgen", "librosa")
                for name, value in per_minute(entry, whose).items()
            },
        }
        for entry in windows
    ]


def per_minute(entry: dict, whose: str = "mgen") -> dict[str, float]:
    """Name of a step to its seconds for a minute of sound."""
    scale = 60 / entry[f"{whose}_seconds"]
    return {name: scale * (time if whose == "librosa" else time["least_s"]) for name, time in entry[whose].items()}


def main() -> None:
    """Prints the table and writes benchmarks/results/window_times.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=pieces.AUDIO)
    parser.add_argument("--repeats", type=int, default=3, help="of each of our steps")
    parser.add_argument("--quick", action="store_true", help="10 s, two windows; writes nothing")
    asked = parser.parse_args()
    wave = pieces.excerpts(SAMPLE_RATE, 10.0 if asked.quick else pieces.SECONDS, asked.audio).reshape(-1)
    excerpt = wave[: THEIRS_SECONDS * SAMPLE_RATE]
    windows = []
    with measures.without_empty_warning():
        theirs(excerpt[:SAMPLE_RATE], WINDOWS[-1])  # what it loads on first use is not its time
        for window in (256, 1024) if asked.quick else WINDOWS:
            windows.append({
                "window": window,
                "load_average": os.getloadavg(),
                "mgen_seconds": len(wave) / SAMPLE_RATE,
                "librosa_seconds": len(excerpt) / SAMPLE_RATE,
                "mgen": ours(wave, window, asked.repeats),
                "librosa": theirs(excerpt, window),
            })  # fmt: skip
            print(f"window {window}", file=sys.stderr, flush=True)
    print(markdown(table(windows)))
    if not asked.quick:
        cores = len(os.sched_getaffinity(0))
        about = (
            f"Processor seconds for a minute of sound at {SAMPLE_RATE:,} Hz, 128 mel bands, on {cores} "
            f"core{'s' * (cores > 1)} where others were at work too: the least of {asked.repeats} calls on "
            f"{len(wave) / SAMPLE_RATE:g} s, after compilation; librosa's of one call on {THEIRS_SECONDS} s."
        )
        record("window_times", table=table(windows), seed=0, about=about, details=windows)


if __name__ == "__main__":
    main()
