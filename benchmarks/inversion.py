"""Phase reconstruction against librosa and a torch loop: quality beside time, on the same clips in one run.

    python benchmarks/inversion.py [--audio ../shared/audio/music] [--devices 2]

Every piece of the folder, 5 s at 22,050 Hz, n_fft 2048, hop 512. Times are medians over repeats after a first call,
which compiles; all methods take turns on a clip. Spectral convergence is 20 log10(|| |stft(y)| - S || / ||S||), lower
is better. A clip alone has the whole machine; a batch is all clips at once by `dsp.invert`, over as many devices as
`--devices` says (virtual ones on a CPU, one for each core; those that are there on an accelerator). Each number of
devices has a process of its own, because XLA learns it when it starts. The torch loop is the algorithm of
`torchaudio.functional.griffinlim` (momentum 0.99, random start), a batch at once; it is left out where torch is not
installed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.inversion_tables import COUNTS, devices_rows, figure, rows_of, sizes_rows
from benchmarks.record import ROOT, markdown, record

SAMPLE_RATE, SECONDS = 22_050, 5.0
FRAME = {"n_fft": 2048, "hop_length": 512}
SIZES = (256, 512, 1024, 2048, 4096)
BATCHES = (1, 4, 16, 64)


def median_s(run, repeats: int) -> tuple[float, float]:
    """Median seconds of calls that wait for the device, and seconds of the first, which compiles."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]), times[0]


def convergence_db(wave, magnitude, **frame: int) -> float:
    import numpy as np

    from mgen import dsp

    rest = np.abs(np.asarray(dsp.stft(np.asarray(wave), **(frame or FRAME)))) - magnitude
    return float(20 * np.log10(np.linalg.norm(rest) / np.linalg.norm(magnitude)))


def librosa_loop(magnitude, length: int, *, n_fft: int, hop_length: int):
    """librosa's, 32 iterations from random phases: its default."""
    import librosa

    size = {"n_fft": n_fft, "hop_length": hop_length, "length": length}
    return librosa.griffinlim(magnitude.T, n_iter=32, random_state=0, init="random", **size)


def torch_loop(magnitude, length: int, n_iter: int = 32, momentum: float = 0.99):
    """The iteration of torchaudio for a batch [clips, frames, bins], on all cores or on the GPU."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = {**FRAME, "window": torch.hann_window(FRAME["n_fft"], device=device), "center": True}
    wanted = torch.tensor(magnitude, device=device).swapaxes(-1, -2)
    generator = torch.Generator(device=device).manual_seed(0)
    phase = torch.exp(2j * torch.pi * torch.rand(wanted.shape, device=device, generator=generator))
    before = torch.zeros_like(phase)
    for _ in range(n_iter):
        wave = torch.istft(wanted * phase, length=length, **size)
        made = torch.stft(wave, pad_mode="constant", return_complex=True, **size)
        phase = made - before * (momentum / (1 + momentum))
        phase, before = phase / (phase.abs() + 1e-16), made
    return torch.istft(wanted * phase, length=length, **size).cpu().numpy()


def measure(asked: argparse.Namespace) -> dict:
    """All numbers for the devices that this process has."""
    import jax
    import numpy as np

    from mgen import audio, dsp

    files = [file for file in sorted(asked.audio.iterdir()) if file.suffix.lower() in audio.SUFFIXES]
    songs = [audio.read(file, sample_rate=SAMPLE_RATE) for file in files]
    length = round(SECONDS * SAMPLE_RATE)
    clips = {file.name: song[-length:] for file, song in zip(files, songs, strict=True) if len(song) >= length}
    magnitudes = {name: np.abs(np.asarray(dsp.stft(clip, **FRAME))) for name, clip in clips.items()}
    batch = np.stack(list(magnitudes.values()))
    result: dict = {"devices": jax.local_device_count(), "clips": len(batch), "load": os.getloadavg()[0]}

    def ours(magnitude, init, n_iter, **frame):
        wave = dsp.griffin_lim(magnitude, n_iter=n_iter, init=init, length=length, **(frame or FRAME))
        return jax.block_until_ready(wave)

    alone = {("librosa", 32): lambda m: librosa_loop(m, length, **FRAME)}
    if asked.torch:
        alone["torch", 32] = lambda m: torch_loop(m, length)
    alone |= {(init, n): lambda m, init=init, n=n: ours(m, init, n) for init in ("tree", "scan") for n in COUNTS}
    result["alone"] = {f"{method} {n}": {"s": [], "first_s": 0.0, "db": []} for method, n in alone}
    for magnitude in magnitudes.values() if result["devices"] == 1 else ():  # a clip alone has one device
        for (method, n), run in alone.items():
            seen = result["alone"][f"{method} {n}"]
            seconds, first = median_s(lambda run=run, magnitude=magnitude: run(magnitude), asked.repeats)
            seen["s"].append(seconds)
            seen["first_s"] = max(seen["first_s"], first)
            seen["db"].append(convergence_db(run(magnitude), magnitude))

    def spread(magnitude, init, n_iter):
        return dsp.invert(magnitude, init=init, n_iter=n_iter, length=length, **FRAME)

    together = {f"{i} {n}": lambda i=i, n=n: spread(batch, i, n) for i in ("tree", "scan") for n in COUNTS}
    if asked.torch:
        together["torch 32"] = lambda: torch_loop(batch, length)
    result["batch"] = {name: median_s(run, asked.repeats)[0] / len(batch) for name, run in together.items()}
    result["batch_sizes"] = {
        str(size): median_s(lambda size=size: spread(np.resize(batch, (size, *batch.shape[1:])), "scan", 32), 3)[0]
        / size
        for size in BATCHES
    }

    result["sizes"] = {}
    for n_fft in SIZES if result["devices"] == 1 else ():
        frame, rows = {"n_fft": n_fft, "hop_length": n_fft // 4}, []
        for clip in list(clips.values())[::7]:
            magnitude = np.abs(np.asarray(dsp.stft(clip, **frame)))
            made = {
                "librosa": lambda m=magnitude, frame=frame: librosa_loop(m, length, **frame),
                "tree": lambda m=magnitude, frame=frame: ours(m, "tree", 32, **frame),
                "scan": lambda m=magnitude, frame=frame: ours(m, "scan", 32, **frame),
            }
            times = {name: median_s(run, 3)[0] for name, run in made.items()}
            rows.append(
                {
                    name: {"s": times[name], "db": convergence_db(run(), magnitude, **frame)}
                    for name, run in made.items()
                }
            )
        result["sizes"][str(n_fft)] = {
            name: {
                "s": statistics.median(row[name]["s"] for row in rows),
                "db": statistics.mean(row[name]["db"] for row in rows),
            }
            for name in rows[0]
        }

    song = np.concatenate(songs)[: 180 * SAMPLE_RATE]
    settings = {"sample_rate": SAMPLE_RATE, **FRAME}
    mel = np.asarray(dsp.mel_spectrogram(song, n_mels=128, **settings))
    seconds, first = median_s(lambda: dsp.invert_mel(mel, n_iter=32, length=len(song), **settings), 3)
    again = np.asarray(
        dsp.mel_spectrogram(dsp.invert_mel(mel, n_iter=32, length=len(song), **settings), n_mels=128, **settings)
    )
    result["song"] = {
        "duration_s": len(song) / SAMPLE_RATE,
        "s": seconds,
        "first_s": first,
        "mel_convergence_db": float(20 * np.log10(np.linalg.norm(again - mel) / np.linalg.norm(mel))),
    }
    result["memory"] = memory(batch[:16], length, asked.repeats)
    return result


def memory(batch, length: int, repeats: int) -> dict[str, float]:
    """Bytes a second that an iteration moves if every array is read and written once, beside those of a plain copy."""
    import jax
    import jax.numpy as jnp

    from mgen import dsp

    placed = jax.device_put(batch)
    large = jnp.zeros(1 << 26, jnp.float32)
    copy = jax.jit(lambda values, one: values + one)
    copy_s, _ = median_s(lambda: copy(large, 1.0).block_until_ready(), repeats)

    def seconds(n_iter):
        run = lambda: dsp.griffin_lim(placed, init="zeros", n_iter=n_iter, length=length, **FRAME).block_until_ready()  # noqa: E731
        return median_s(run, repeats)[0]

    iteration_s = (seconds(40) - seconds(8)) / 32
    frames, bins = batch.shape[0] * batch.shape[1], batch.shape[2]
    # Frames and spectra are written and read on the way there and on the way back, the magnitudes read.
    moved = frames * (4 * 4 * FRAME["n_fft"] + 4 * 8 * bins + 4 * bins + 6 * 4 * FRAME["hop_length"])
    return {
        "copy_bytes_per_s": 2 * 4 * large.size / copy_s,
        "iteration_s": iteration_s,
        "iteration_bytes_per_s": moved / iteration_s,
    }


def in_a_process(asked: argparse.Namespace, devices: int) -> dict:
    """`measure` where XLA starts with so many CPU devices; on an accelerator the flag means nothing."""
    # Without the second flag jaxlib 0.11 hangs where there are several such devices.
    flags = (
        f"--xla_force_host_platform_device_count={devices} --xla_cpu_multi_thread_eigen=false" if devices > 1 else ""
    )
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "result.json"
        words = [
            sys.executable,
            __file__,
            "--audio",
            str(asked.audio),
            "--repeats",
            str(asked.repeats),
            "--out",
            str(out),
        ]
        subprocess.run(words, check=True, env={**os.environ, "XLA_FLAGS": flags})
        return json.loads(out.read_text())


def main() -> None:
    """Prints the table and writes benchmarks/results/inversion.json (inversion_gpu.json there) and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=ROOT.parent / "shared" / "audio" / "music")
    parser.add_argument(
        "--devices", type=int, default=os.cpu_count(), help="CPU devices for batches; also 1 is measured"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="measure this process's own devices, and write that here")
    asked = parser.parse_args()
    asked.torch = _has_torch()
    if asked.out:
        asked.out.write_text(json.dumps(measure(asked)))
        return
    runs = {devices: in_a_process(asked, devices) for devices in sorted({1, asked.devices})}
    one, most = runs[1], runs[asked.devices]
    rows = rows_of(one, most)
    librosa_db = statistics.mean(one["alone"]["librosa 32"]["db"])
    reached = {
        method: next(n for n in COUNTS if statistics.mean(one["alone"][f"{method} {n}"]["db"]) <= librosa_db)
        for method in ("tree", "scan")
    }
    import jax

    on_cpu = jax.default_backend() == "cpu"
    name = "inversion" if on_cpu else "inversion_gpu"
    about = (
        f"Phase reconstruction of {one['clips']} pieces of {SECONDS:g} s, n_fft 2048, hop 512; means of convergence, "
        "medians of time and of the ratio of times within a piece, compilation apart. A clip alone: one device, all "
        f"cores. A batch: all clips over {most['devices']} devices."
    )
    details = {"first_to_reach_librosa": reached, "runs": runs}
    path = record(name, table=rows, seed=0, about=about, details=details)
    spread = "Scan and 32 iterations; batches of clips of 5 s, and three minutes from 128 mel bands; compilation apart."
    record(f"{name}_devices", table=devices_rows(runs), seed=0, about=spread)
    sizes = "A clip of 5 s alone, hop a quarter of n_fft, 32 iterations, compilation apart; every seventh piece."
    record(f"{name}_sizes", table=sizes_rows(one), seed=0, about=sizes)
    figure(rows, one, most, ROOT / "docs" / "figures" / f"{name}.png")
    print(markdown(rows), reached, {n: run["song"] for n, run in runs.items()}, f"wrote {path}", sep="\n")


def _has_torch() -> bool:
    import importlib.util

    return importlib.util.find_spec("torch") is not None


if __name__ == "__main__":
    main()
