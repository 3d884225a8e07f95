"""How low may the sample rate be? Music at 44.1 kHz, taken to lower rates and back.

    python benchmarks/sample_rates.py            # writes benchmarks/results/sample_rates.json
    python benchmarks/sample_rates.py --quick    # 12 s, three rates; writes nothing

One of the originals worked at 10 kHz and asked for the lowest rate that is still listenable. That is a question for
ears; what is measured here is what a rate takes away.

- bandwidth: half the rate; 99 %: the frequency below which that share of the energy that is left lies.
- energy kept: of the wave after soxr has taken it down and up again.
- distances to the piece at 44.1 kHz, see `measures`: of the wave that was only resampled, and of waves made anew at the
  low rate from magnitudes and from 128 mel bands (16 iterations, a window of 46 ms at every rate, a hop of a quarter).
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import numpy as np
import soxr

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import measures, pieces
from benchmarks.record import markdown, record
from mgen import dsp

FULL = 44_100
RATES = (44_100, 22_050, 16_000, 10_000, 8_000)
WINDOW_S = 1024 / 22_050
N_MELS, N_ITER = 128, 16
#: Twice those that judge at half the rate.
ANALYSES = tuple(2 * n_fft for n_fft in measures.ANALYSES)


def resampled(waves: np.ndarray, rate: int, to: int, length: int | None = None) -> np.ndarray:
    """Waves [pieces, samples] at another rate, cut or filled with zeros to a length."""
    waves = waves if rate == to else np.stack([soxr.resample(wave, rate, to, quality="HQ") for wave in waves])
    missing = 0 if length is None else max(0, length - waves.shape[-1])
    return np.pad(waves, ((0, 0), (0, missing)))[:, :length]


def window_of(rate: int) -> int:
    """Samples of the window at a rate, a multiple of four."""
    return 4 * round(rate * WINDOW_S / 4)


def made_anew(waves: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """The waves [pieces, samples] from their magnitudes alone, and from their mel bands alone."""
    frame = {"n_fft": window_of(rate), "hop_length": window_of(rate) // 4}
    settings = {"n_iter": N_ITER, "init": "scan", "length": waves.shape[-1], **frame}
    mel = dsp.mel_spectrogram(waves, sample_rate=rate, n_mels=N_MELS, **frame)
    magnitude = np.abs(np.asarray(dsp.stft(waves, **frame)))
    return {
        "magnitudes": np.asarray(dsp.griffin_lim(magnitude, **settings)),
        "mel": np.asarray(dsp.mel_to_audio(mel, sample_rate=rate, **settings)),
    }


def study(target: np.ndarray, rate: int) -> dict:
    """All the numbers of a rate; target is [pieces, samples] at 44.1 kHz."""
    low = resampled(target, FULL, rate)
    waves = {"resampled": low, **made_anew(low, rate)}
    back = {name: resampled(wave, rate, FULL, target.shape[-1]) for name, wave in waves.items()}
    return {
        "rate": rate,
        "window": window_of(rate),
        "rolloff_hz": measures.rolloff_hz(back["resampled"].reshape(-1), FULL, 0.99),
        "energy_kept": float(np.square(back["resampled"]).sum() / np.square(target).sum()),
        "sounds": {
            name: {
                "log_spectral_db": float(measures.log_spectral_distance(wave, target, ANALYSES).mean()),
                "log_mel_db": float(measures.log_mel_distance(wave, target, FULL, ANALYSES).mean()),
            }
            for name, wave in back.items()
        },
    }


def table(results: list[dict]) -> list[dict]:
    """A row for each rate."""
    rows = []
    for result in results:
        row = {
            "rate, Hz": result["rate"],
            "bandwidth, Hz": result["rate"] // 2,
            "99 % below, Hz": round(result["rolloff_hz"]),
            "energy kept, %": round(100 * result["energy_kept"], 2),
        }
        for key, unit in (("log_spectral_db", "log-spectral, dB"), ("log_mel_db", "log-mel, dB")):
            row |= {f"{name}: {unit}": round(sound[key], 2) for name, sound in result["sounds"].items()}
        rows.append(row)
    return rows


def main() -> None:
    """Prints the table and writes benchmarks/results/sample_rates.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=pieces.AUDIO)
    parser.add_argument("--quick", action="store_true", help="12 s, three rates; writes nothing")
    asked = parser.parse_args()
    seconds = 12.0 if asked.quick else pieces.SECONDS
    target = pieces.excerpts(FULL, seconds, asked.audio)
    results = []
    for rate in RATES[::2] if asked.quick else RATES:
        results.append(study(target, rate))
        print(rate, file=sys.stderr, flush=True)
    print(markdown(table(results)))
    if not asked.quick:
        about = (
            f"{seconds:g} s of music, {len(pieces.PIECES)} pieces joined, against itself at {FULL:,} Hz; made anew "
            f"with windows of {1000 * WINDOW_S:.0f} ms, {N_MELS} mel bands, {N_ITER} iterations; distances are means "
            "over pieces."
        )
        record("sample_rates", table=table(results), seed=0, about=about, details=results)


if __name__ == "__main__":
    main()
