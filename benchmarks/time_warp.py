"""Drums on another clock and back: what is left of spectrum and rhythm, and how long it takes.

    python benchmarks/time_warp.py ../shared/audio/loops

Each loop is played at a rate and then at one over it. Beside `resample_at` and `time_stretch` are librosa's phase
vocoder, and two ways that were tried and not kept: phases locked to the peaks of the spectrum (Laroche & Dolson,
"Improved phase vocoder time-scale modification of audio", 1999), and phases found again from the magnitudes alone. The
round trip cannot tell attacks that are blunted from attacks that are moved and moved back, so the attacks are also
looked at after the first half: the largest rise of the onset curve over its mean, as a share of the recording's.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import librosa
import numpy as np
from jax import lax

from benchmarks.record import markdown, record
from mgen import audio, dsp
from mgen.dsp.time_warp import spectra_at
from mgen.metrics.onset import onset_envelope
from mgen.metrics.spectral import log_spectral_distance

_RATES, _RATE, _SECONDS, _REPEATS = (0.66, 1.25, 1.5), 10_000, 5, 25
_PEER = "librosa.effects.time_stretch, 512"


def main() -> None:
    """Prints the table and writes benchmarks/results/time_warp.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loops", type=pathlib.Path, help="folder of drum loops")
    asked = parser.parse_args()

    paths = sorted(path for path in asked.loops.iterdir() if path.suffix in (".flac", ".mp3", ".wav"))
    samples = _SECONDS * _RATE
    # A shorter loop goes round, so that all are one batch.
    loops = np.stack([np.resize(audio.read(path, sample_rate=_RATE)[:samples], samples) for path in paths])
    rows = []
    for rate in _RATES:
        there = np.arange(round(samples / rate)) * rate
        back = np.arange(samples) / rate
        ways = _ways()
        spent = _median_ms([functools.partial(warp, loops[0], there) for warp in ways.values()])
        peer = spent[list(ways).index(_PEER)]
        for (name, warp), own in zip(ways.items(), spent, strict=True):
            first = np.asarray(warp(loops, there))
            found = _heard(np.asarray(warp(first, back)), first, loops)
            times = {"ms": round(own, 1), "times librosa's": round(own / peer, 2)}
            rows.append({"method": name, "rate": rate} | found | times)
    about = (
        f"{len(loops)} drum loops at {_RATE} Hz, {_SECONDS} s each, mean; there at the rate and back at one over it, "
        "but for attacks, which are of the way there. Time is of one clip one way, median."
    )
    print(markdown(rows))
    print(record("time_warp", table=rows, seed=0, about=about, details={"files": [path.name for path in paths]}))


def _ways() -> dict:
    short = {"n_fft": 512, "hop_length": 128}
    return {
        "resample_at (pitch moves)": dsp.resample_at,
        "time_stretch, 512": functools.partial(dsp.time_stretch, **short),
        "time_stretch, 1024": dsp.time_stretch,
        "time_stretch, 512, n_iter=2": functools.partial(dsp.time_stretch, **short, n_iter=2),
        "phases locked to peaks, 512": functools.partial(_locked, **short),
        "phases found again, 512": functools.partial(_found_again, n_iter=0, **short),
        "phases found again, 512, n_iter=16": functools.partial(_found_again, n_iter=16, **short),
        _PEER: functools.partial(_librosa, **short),
        "librosa.effects.time_stretch, 2048": functools.partial(_librosa, n_fft=2048, hop_length=512),
    }


def _librosa(wave, positions, *, n_fft: int, hop_length: int):

    made = librosa.effects.time_stretch(wave, rate=positions[1] - positions[0], n_fft=n_fft, hop_length=hop_length)
    return librosa.util.fix_length(made, size=len(positions))


def _frames(wave, positions, n_fft: int, hop_length: int):
    """Spectra of the wave around the places of the output's frames, and of those a hop before each."""
    places = jnp.round(jnp.pad(positions, (0, 1), mode="edge")[::hop_length]).astype(jnp.int32)
    places = places[: 1 + len(positions) // hop_length]
    return spectra_at(wave, places, n_fft, False), spectra_at(wave, places - hop_length, n_fft, False)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length", "n_iter"))
def _found_again(wave, positions, *, n_fft: int, hop_length: int, n_iter: int):
    """Of the same magnitudes, phases that follow the gradient that belongs to them, and so many iterations."""
    magnitude = jnp.abs(_frames(wave, positions, n_fft, hop_length)[0])
    sizes = {"n_fft": n_fft, "hop_length": hop_length, "length": len(positions)}
    return dsp.griffin_lim(magnitude, init="scan", n_iter=n_iter, **sizes)


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length"))
def _locked(wave, positions, *, n_fft: int, hop_length: int):
    """Each bin is turned as its nearest peak (larger than two on either side), which follows the one that was there."""

    def follow(one, other):
        source, turn = (jnp.take_along_axis(values, other[0], axis=-1) for values in one)
        return source, turn + other[1]

    spectrum, before = _frames(wave, positions, n_fft, hop_length)
    size, bins = jnp.abs(spectrum), jnp.arange(spectrum.shape[-1])
    last = size.ndim - 1
    peak = size >= lax.reduce_window(size, -jnp.inf, lax.max, (1,) * last + (5,), (1,) * size.ndim, "SAME")
    below = lax.cummax(jnp.where(peak, bins, -n_fft), axis=last)
    above = lax.cummin(jnp.where(peak, bins, 2 * n_fft), axis=last, reverse=True)
    nearest = jnp.where(bins - below <= above - bins, below, above)
    turn = jnp.angle(spectrum[..., :-1, :] * before[..., 1:, :].conj())
    turn = jnp.pad(turn, [(0, 0)] * (last - 1) + [(1, 0), (0, 0)])
    steps = nearest, jnp.take_along_axis(turn, nearest, axis=-1)
    turn = lax.associative_scan(follow, steps, axis=last - 1)[1]
    turned = spectrum * lax.complex(jnp.cos(turn), jnp.sin(turn))
    return dsp.istft(turned, n_fft=n_fft, hop_length=hop_length, length=len(positions))


def _heard(made, first, loops) -> dict[str, float]:

    distance = log_spectral_distance(made, loops, n_fft=512, hop_length=128, floor_db=-60)
    curves = zip(
        *(onset_envelope(wave, sample_rate=_RATE, n_fft=512, hop_length=100, n_mels=40) for wave in (made, loops)),
        strict=True,
    )
    fine = [
        np.asarray(onset_envelope(wave, sample_rate=_RATE, n_fft=256, hop_length=25, n_mels=24))
        for wave in (first, loops)
    ]
    sharp = [curve.max(axis=-1) / curve.mean(axis=-1) for curve in fine]
    return {
        "log-spectral distance, dB": round(float(np.mean(distance)), 2),
        "onset correlation": round(float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in curves])), 3),
        "attacks": round(float(np.mean(sharp[0] / sharp[1])), 2),
    }


def _median_ms(calls) -> list[float]:
    """Milliseconds of each call, compiled before; they take turns, so that what else runs here slows all alike."""
    spent: list[list[float]] = [[] for _ in calls]
    for repeat in range(1 + _REPEATS):
        for call, times in zip(calls, spent, strict=True):
            began = time.perf_counter()
            jax.block_until_ready(call())
            if repeat:
                times.append(1e3 * (time.perf_counter() - began))
    return [float(np.median(times)) for times in spent]


if __name__ == "__main__":
    main()
