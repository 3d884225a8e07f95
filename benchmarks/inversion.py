"""Phase reconstruction against librosa: quality beside time, on the same clips in one run.

    python benchmarks/inversion.py [--audio ../shared/audio/music] [--devices 2]

For every piece: 5 s at 22,050 Hz, magnitudes of n_fft 2048, hop 512. Times are medians over repeats after a first call
that compiles; librosa and ours take turns. Spectral convergence is 20 log10(|| |stft(y)| - S || / ||S||), lower is
better. A batch is all pieces at once, over one device or over `--devices` virtual ones (one for each core). Last, the
original's own case: three minutes of music from 128 mel bands at 32 iterations.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

SAMPLE_RATE, SECONDS = 22_050, 5.0
FRAME = {"n_fft": 2048, "hop_length": 512}
COUNTS = (0, 1, 2, 3, 4, 6, 8, 10, 16, 32)


def median_s(run, repeats: int) -> float:
    """Median seconds of calls that wait for the device; the first call, which compiles, is not counted."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Prints the tables and writes benchmarks/results/inversion.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=ROOT.parent / "shared" / "audio" / "music")
    parser.add_argument("--devices", type=int, default=1, help="virtual CPU devices for the batch")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if asked.devices > 1:  # before jax starts
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={asked.devices}"

    import jax
    import librosa
    import numpy as np

    from mgen import audio, dsp, parallel

    def convergence_db(wave, magnitude):
        rest = np.abs(np.asarray(dsp.stft(np.asarray(wave), **FRAME))) - magnitude
        return 20 * np.log10(np.linalg.norm(rest) / np.linalg.norm(magnitude))

    files = [file for file in sorted(asked.audio.iterdir()) if file.suffix.lower() in audio.SUFFIXES]
    length = round(SECONDS * SAMPLE_RATE)
    waves = {file.name: audio.read(file, sample_rate=SAMPLE_RATE)[-length:] for file in files}
    magnitudes = {name: np.abs(np.asarray(dsp.stft(wave, **FRAME))) for name, wave in waves.items()}

    def theirs(magnitude, n_iter=32):
        return librosa.griffinlim(
            magnitude.T, n_iter=n_iter, n_fft=2048, hop_length=512, length=length, random_state=0, init="random"
        )

    def ours(magnitude, init, n_iter):
        wave = dsp.griffin_lim(magnitude, n_iter=n_iter, init=init, length=length, **FRAME)
        return jax.block_until_ready(wave)

    methods = {("librosa", 32): theirs}
    methods |= {(init, n): lambda m, init=init, n=n: ours(m, init, n) for init in ("tree", "scan") for n in COUNTS}
    pieces = []
    for name, magnitude in magnitudes.items():
        row = {"piece": name}
        for (method, n_iter), run in methods.items():
            seconds = median_s(lambda run=run, magnitude=magnitude: run(magnitude), asked.repeats)
            row[f"{method} {n_iter}"] = {"s": seconds, "db": float(convergence_db(run(magnitude), magnitude))}
        pieces.append(row)
        print(name, flush=True)

    base = statistics.mean(row["librosa 32"]["db"] for row in pieces)
    base_s = statistics.median(row["librosa 32"]["s"] for row in pieces)

    def line(start, n_iter, db, seconds, ratio):
        return {
            "start": start,
            "iterations": n_iter,
            "convergence, dB": round(db, 2),
            "ms a clip": round(seconds * 1e3, 1),
            "times as fast": round(ratio, 1),
        }

    table, reached = [line("librosa", 32, base, base_s, 1.0)], {}
    for method in ("tree", "scan"):
        for n_iter in COUNTS:
            results = [row[f"{method} {n_iter}"] for row in pieces]
            ratios = [row["librosa 32"]["s"] / result["s"] for row, result in zip(pieces, results, strict=True)]
            db = statistics.mean(result["db"] for result in results)
            shown = line(method, n_iter, db, statistics.median(r["s"] for r in results), statistics.median(ratios))
            first = db <= base and method not in reached
            if first:
                reached[method] = shown
            if first or n_iter in (0, 4, 10, 32):
                table.append(shown)

    batch = np.stack([m for m in magnitudes.values() if m.shape == next(iter(magnitudes.values())).shape])
    keys = jax.random.split(jax.random.key(0), len(batch))
    batches = {init: median_s(lambda init=init: parallel.spread(_CLIP[init], batch, keys), 3) for init in _CLIP}

    song = np.concatenate([audio.read(file, sample_rate=SAMPLE_RATE) for file in files])[: 180 * SAMPLE_RATE]
    mel_settings = {"sample_rate": SAMPLE_RATE, **FRAME}
    mel = np.asarray(dsp.mel_spectrogram(song, n_mels=128, **mel_settings))

    def invert_song():
        return jax.block_until_ready(dsp.mel_to_audio(mel, length=len(song), n_iter=32, **mel_settings))

    song_s = median_s(invert_song, 3)
    again = np.asarray(dsp.mel_spectrogram(invert_song(), n_mels=128, **mel_settings))
    details = {
        "pieces": pieces,
        "first_to_reach_librosa": reached,
        "batch": {"clips": len(batch), "devices": asked.devices, "iterations": 32, "s": batches},
        "song": {
            "duration_s": len(song) / SAMPLE_RATE,
            "inversion_s": song_s,
            "mel_convergence_db": float(20 * np.log10(np.linalg.norm(again - mel) / np.linalg.norm(mel))),
        },
    }
    about = (
        f"Phase reconstruction of {len(pieces)} pieces of {SECONDS:g} s, n_fft 2048, hop 512; means of convergence, "
        "medians of time and of the ratio of times within a piece, compilation apart."
    )
    path = record("inversion", table=table, seed=0, about=about, details=details)
    print(
        markdown(table), details["first_to_reach_librosa"], details["batch"], details["song"], f"wrote {path}", sep="\n"
    )


def _clip(init: str):
    def invert(magnitude, key):
        from mgen import dsp

        return dsp.griffin_lim(magnitude, rng=key, init=init, **FRAME)

    return invert


_CLIP = {init: _clip(init) for init in ("tree", "scan")}

if __name__ == "__main__":
    main()
