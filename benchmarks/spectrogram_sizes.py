"""Which window, if a model may make only so many numbers? Windows of mel spectrograms of equal size.

    python benchmarks/spectrogram_sizes.py            # writes benchmarks/results/spectrogram_sizes.json
    python benchmarks/spectrogram_sizes.py --quick    # 10 s; writes nothing

In `spectrogram_settings.py` every window has 128 bands, so half the window is twice the numbers. Here the bands grow
with the window and the numbers per second stay: 5,512, that of 128 bands of window 2048, and 22,050, as many as the
wave has samples. Sound by `mel_to_audio`; distances as in `measures`, one of whose analyses has the very bands of
window 1024 with 64.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import measures, pieces
from benchmarks.record import markdown, record
from benchmarks.spectrogram_settings import SAMPLE_RATE, from_mel, mel_of

N_ITER = 16
#: Numbers per second to windows and bands.
SIZES = {
    5512: ((256, 16), (512, 32), (1024, 64), (2048, 128), (4096, 256)),
    22_050: ((256, 64), (512, 128), (1024, 256), (2048, 512), (4096, 1024)),
}


def main() -> None:
    """Prints the table and writes benchmarks/results/spectrogram_sizes.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=pathlib.Path, default=pieces.AUDIO)
    parser.add_argument("--quick", action="store_true", help="10 s; writes nothing")
    asked = parser.parse_args()
    seconds = 10.0 if asked.quick else pieces.SECONDS
    target = pieces.excerpts(SAMPLE_RATE, seconds, asked.audio)
    rows, details = [], []
    for size, pairs in SIZES.items():
        for window, n_mels in pairs:
            with measures.without_empty_warning():
                mel = mel_of(target.reshape(-1), window, n_mels)
                wave = from_mel(mel, window, N_ITER, target.size).reshape(target.shape)
            spectral = measures.log_spectral_distance(wave, target)
            bands = measures.log_mel_distance(wave, target, SAMPLE_RATE)
            details.append({
                "numbers_per_second": size,
                "window": window,
                "n_mels": n_mels,
                "empty_bands": measures.empty_bands(sample_rate=SAMPLE_RATE, n_fft=window, n_mels=n_mels),
                "log_spectral_db_by_piece": spectral.tolist(),
                "log_mel_db_by_piece": bands.tolist(),
            })  # fmt: skip
            rows.append({
                "numbers per second": size,
                "window": window,
                "mel bands": n_mels,
                "log-spectral, dB": round(float(spectral.mean()), 2),
                "log-mel, dB": round(float(bands.mean()), 2),
            })  # fmt: skip
    print(markdown(rows))
    if not asked.quick:
        about = (
            f"{seconds:g} s of music, {len(pieces.PIECES)} pieces joined, at {SAMPLE_RATE:,} Hz, from mel bands, hop a "
            f"quarter of the window, {N_ITER} iterations; distances are means over pieces."
        )
        record("spectrogram_sizes", table=rows, seed=0, about=about, details=details)


if __name__ == "__main__":
    main()
