"""What a stream with little look-ahead is worth, and what a hop costs on one core, frame by frame.

    python benchmarks/streaming.py --core 1 [--audio ../shared/audio/music]

The clips, the measure and the offline algorithms beside it are those of `benchmarks/phase_starts.py`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import time

import jax
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.phase_starts import LIBROSA, SAMPLE_RATE, SECONDS, convergence_db, load  # noqa: E402
from benchmarks.record import markdown, record  # noqa: E402
from mgen import dsp  # noqa: E402
from mgen.dsp.streaming import PhaseStream, stream_griffin_lim  # noqa: E402

FRAME = {"n_fft": 2048, "hop_length": 512}
LOOK_AHEADS = [0, 1, 2, 3, 5, 7]
COUNTS = [1, 2, 4, 8]
#: (name, settings of griffin_lim, which sees the whole clip)
OFFLINE = [
    ("all, scan", {"init": "scan", "n_iter": 0}),
    ("all, scan", {"init": "scan", "n_iter": 4}),
    ("all, librosa", {"init": "random", "n_iter": 32, **LIBROSA}),
    ("all, tree", {"init": "tree", "n_iter": 32}),
]
WARM_UP = 16
ROUNDS = 7


def milliseconds_a_hop(stream: PhaseStream, magnitude: np.ndarray) -> dict[str, float]:
    """Medians over single steps, from frame in to samples out, as a live loop calls them: by the clock, on the core."""
    state, wall, core = stream.start(), [], []
    for frame in magnitude:
        begin = time.perf_counter(), time.process_time()
        state, samples = stream.step(state, frame)
        np.asarray(samples)
        wall.append(1000 * (time.perf_counter() - begin[0]))
        core.append(1000 * (time.process_time() - begin[1]))
    return {"wall_ms": statistics.median(wall[WARM_UP:]), "core_ms": statistics.median(core[WARM_UP:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=pathlib.Path, default=ROOT.parent / "shared" / "audio" / "music")
    parser.add_argument("--seed", type=int, default=0, help="of the random phases of librosa's algorithm")
    parser.add_argument("--core", type=int, default=0, help="the one core to run on")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})  # before jax starts its threads

    clips = {path.name: load(path)[0] for path in sorted(arguments.audio.iterdir())}
    waves = np.stack(list(clips.values()))
    length = waves.shape[-1]
    magnitude = np.abs(np.asarray(dsp.stft(waves, **FRAME)))
    hop_ms = 1000 * FRAME["hop_length"] / SAMPLE_RATE
    rows, details = [], {"offline_db": {}, "streams": []}

    def decibels(found: jax.Array) -> list[float]:
        return [convergence_db(*pair, FRAME) for pair in zip(np.asarray(found), magnitude, strict=True)]

    def add(name: str | int, stream: PhaseStream | None, n_iter: int, each: list[float], ms: float | None) -> None:
        heard = None if stream is None else stream.look_ahead * stream.hop_length + stream.n_fft
        rows.append(
            {
                "look-ahead": str(name),
                "latency, ms": "-" if heard is None else round(1000 * heard / SAMPLE_RATE),
                "iterations": n_iter,
                "convergence, dB": round(float(np.mean(each)), 2),
                "ms a hop": "-" if ms is None else round(ms, 2),
                "real-time factor": "-" if ms is None else round(ms / hop_ms, 3),
            }
        )
        print(rows[-1], flush=True)

    for name, settings in OFFLINE:
        rng = jax.random.key(arguments.seed)
        each = decibels(dsp.griffin_lim(magnitude, rng=rng, length=length, **settings, **FRAME))
        details["offline_db"][f"{name}, {settings['n_iter']}"] = dict(zip(clips, each, strict=True))
        add(name, None, settings["n_iter"], each, None)
    streams = [PhaseStream(**FRAME, look_ahead=ahead, n_iter=count) for ahead in LOOK_AHEADS for count in COUNTS]
    # In rounds, so that what else the machine does falls on all alike; the least disturbed one counts.
    rounds = [{stream: milliseconds_a_hop(stream, magnitude[0, :80]) for stream in streams} for _ in range(ROUNDS)]
    for stream in streams:
        settings = {"look_ahead": stream.look_ahead, "n_iter": stream.n_iter}
        each = decibels(stream_griffin_lim(magnitude, length=length, **settings, **FRAME))
        times = {kind: [one[stream][kind] for one in rounds] for kind in ("wall_ms", "core_ms")}
        details["streams"].append({**settings, **times, "per_clip_db": dict(zip(clips, each, strict=True))})
        add(stream.look_ahead, stream, stream.n_iter, each, min(times["core_ms"]))
    details["load_average"] = os.getloadavg()
    path = record(
        "streaming",
        table=rows,
        seed=arguments.seed,
        about=(
            f"Spectral convergence in dB, mean of {len(clips)} clips of {SECONDS:g} s of shared/audio/music at "
            f"{SAMPLE_RATE} Hz, n_fft {FRAME['n_fft']}, hop {FRAME['hop_length']} ({hop_ms:.1f} ms), hann. Latency is "
            "that of sound analysed and heard again. One step from frame in to samples out, pinned to one core: the "
            "core's own time, for other work ran beside it; median over steps, in the least disturbed of "
            f"{ROUNDS} rounds."
        ),
        details=details,
    )
    print(markdown(rows), path)


if __name__ == "__main__":
    main()
