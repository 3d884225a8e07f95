"""How long it takes to measure 64 clips of 4 s, beside as many real ones and the baselines; making them is not counted.

    python benchmarks/evaluation_time.py

The real and the training clips are cut from three minutes of music (`pieces`), the others are those that
`mgen evaluate` compares: after a mel spectrogram and back, mixed, one of all, and noise. The first measuring compiles.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record

RATE, SECONDS, COUNT = 22_050, 4.0, 64


def main() -> None:
    """Prints the times and writes benchmarks/results/evaluation_time.json."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from mgen import parallel

    parallel.use_all_cores()
    import numpy as np

    from benchmarks.pieces import excerpts
    from mgen import dsp
    from mgen.evaluation import scorecard
    from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, Sets

    music, samples, rng = excerpts(RATE), round(RATE * SECONDS), np.random.default_rng(0)

    def clips() -> np.ndarray:
        pieces, starts = rng.integers([len(music), music.shape[1] - samples], size=(COUNT, 2)).T
        return np.stack([music[piece, start : start + samples] for piece, start in zip(pieces, starts, strict=True)])

    real, train, other = clips(), clips(), clips()
    settings = {"sample_rate": RATE, "n_fft": 2048, "hop_length": 512}
    mel = np.asarray(dsp.mel_spectrogram(real, n_mels=128, **settings))
    named = {
        REAL: real,
        RECONSTRUCTED: dsp.invert_mel(mel, length=samples, **settings),
        GENERATED: (real + other) / 2,
        MEAN: np.repeat(other[:1], COUNT, axis=0),
        NOISE: rng.normal(0, 0.1, real.shape).astype(np.float32),
    }
    # Whole numbers as pitches, so that the measures of notes are taken too.
    pitches = {"pitch": rng.integers(40, 80, COUNT).astype(np.float64)}
    sets = Sets(RATE, train, named, pitches, pitches, True, True, np.arange(COUNT))
    rows = []
    for name in ("first seed, with compilation", "each seed after it"):
        began = time.perf_counter()
        scorecard.measure(sets, seed=0)
        rows.append({"measuring five sets of 64 clips": name, "s": round(time.perf_counter() - began, 1)})
    about = (
        f"`mgen.evaluation.scorecard.measure`, {COUNT} clips of {SECONDS:g} s in each set, pitches of notes included."
    )
    print(markdown(rows), record("evaluation_time", table=rows, seed=0, about=about))


if __name__ == "__main__":
    main()
