"""Are decibels lossy? A mel spectrogram is stored in several ways, and made into sound again.

    python benchmarks/decibel_map.py            # writes benchmarks/results/decibel_map.json
    python benchmarks/decibel_map.py --quick    # 10 s; writes nothing

One of the originals kept its mel spectrograms linear because it found that decibels lose something. Here the map itself
(float32, to decibels and back) is told apart from what usually comes with it: a floor, and 8 bits for each value, as in
a picture. Levels are relative to the loudest value.

- error of mel: ||stored - mel|| / ||mel||, dB, which the loud values decide.
- error of levels: rms over bands, mean over frames, 120 dB down from the loudest, dB: every value counts alike.
- sound: `mel_to_audio` of what was stored; its mel spectrogram beside the one before storing, and its distances from
  the piece, see `measures`.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import measures, pieces
from benchmarks.record import markdown, record
from benchmarks.spectrogram_settings import SAMPLE_RATE, from_mel, mel_of
from mgen import dsp

WINDOW, N_ITER = 2048, 16
LEVELS_FLOOR_DB = -120.0
FLOORS_DB = (-120.0, -100.0, -80.0, -60.0)
STEPS = 255


def decibel(mel: np.ndarray, floor_db: float, bits: bool = False) -> np.ndarray:
    """Through decibels below the loudest value, in 8 bits if asked, and back."""
    loudest = float(mel.max())
    levels = np.asarray(dsp.power_to_decibels(mel, floor_db=floor_db, reference=loudest))
    if bits:
        levels = np.rint((1 - levels / floor_db) * STEPS) / STEPS
        levels = (floor_db * (1 - levels)).astype(np.float32)
    return np.asarray(dsp.decibels_to_power(levels, reference=loudest))


def eight_bits(mel: np.ndarray, power: float) -> np.ndarray:
    """Through 8 bits of `mel ** power` and back: 1 is the power itself, 0.5 its amplitude."""
    loudest = float(mel.max())
    stored = np.rint((mel / loudest) ** power * STEPS) / STEPS
    return (stored ** (1 / power) * loudest).astype(np.float32)


def stores() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name to a function that stores a mel spectrogram and reads it back."""

    def decibels(floor_db, bits):
        return lambda mel: decibel(mel, floor_db, bits)

    return {
        "linear, float32": lambda mel: mel,
        **{f"dB, float32, floor {floor:g} dB": decibels(floor, False) for floor in FLOORS_DB},
        "power, 8 bits": lambda mel: eight_bits(mel, 1),
        "amplitude, 8 bits": lambda mel: eight_bits(mel, 0.5),
        **{f"dB, 8 bits, floor {floor:g} dB": decibels(floor, True) for floor in FLOORS_DB[1:3]},
    }


def stored_error(stored: np.ndarray, mel: np.ndarray) -> dict[str, float | None]:
    """What storing has changed."""
    off = np.abs(stored.astype(np.float64) - mel) / np.maximum(mel, np.finfo(np.float32).tiny)
    return {
        "mel_db": measures.relative_db(stored, mel) if (stored != mel).any() else None,
        "levels_db": float(measures.level_distance(stored, mel, LEVELS_FLOOR_DB)),
        "off_by_1_percent": float((off > 0.01).mean()),
        "largest_relative_error_of_the_rest": float(off[off <= 0.01].max(initial=0)),
    }


def sound_error(stored: np.ndarray, mel: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """How far the sound of what was stored is from the mel before and from the piece, [pieces, samples]."""
    wave = from_mel(stored, WINDOW, N_ITER, target.size)
    mel_db = measures.relative_db(mel_of(wave, WINDOW), mel)
    wave = wave.reshape(target.shape)
    return {
        "sound_mel_db": mel_db,
        "log_spectral_db": float(measures.log_spectral_distance(wave, target).mean()),
        "log_mel_db": float(measures.log_mel_distance(wave, target, SAMPLE_RATE).mean()),
    }


def table(results: dict[str, dict]) -> list[dict]:
    """A row for each way of storing."""
    return [
        {
            "stored as": name,
            "error of mel, dB": "none" if result["mel_db"] is None else round(result["mel_db"], 1),
            "error of levels, dB": round(result["levels_db"], 4),
            "values off by 1 % or more, %": round(100 * result["off_by_1_percent"], 2),
            "sound: error of mel, dB": round(result["sound_mel_db"], 1),
            "sound: log-spectral, dB": round(result["log_spectral_db"], 2),
            "sound: log-mel, dB": round(result["log_mel_db"], 2),
        }
        for name, result in results.items()
    ]


def main() -> None:
    """Prints the table and writes benchmarks/results/decibel_map.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=pieces.AUDIO)
    parser.add_argument("--quick", action="store_true", help="10 s; writes nothing")
    asked = parser.parse_args()
    seconds = 10.0 if asked.quick else pieces.SECONDS
    target = pieces.excerpts(SAMPLE_RATE, seconds, asked.audio)
    mel = mel_of(target.reshape(-1), WINDOW)
    results = {}
    for name, store in stores().items():
        stored = store(mel)
        results[name] = {**stored_error(stored, mel), **sound_error(stored, mel, target)}
        print(name, file=sys.stderr, flush=True)
    print(markdown(table(results)))
    if not asked.quick:
        about = (
            f"128 mel bands of {seconds:g} s of music, {len(pieces.PIECES)} pieces joined, at 22,050 Hz, "
            f"window {WINDOW}, hop {WINDOW // 4}; sound by mel_to_audio, {N_ITER} iterations."
        )
        record("decibel_map", table=table(results), seed=0, about=about, details=results)


if __name__ == "__main__":
    main()
