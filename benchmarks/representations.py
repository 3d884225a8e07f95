"""Which representation of a note a GAN learns best, at one size and one number of steps.

    python benchmarks/representations.py NOTES [--steps 1000]      # a quarter of an hour on two cores

The same conditional GAN on three representations of the same notes: real and imaginary part (`ComplexStft`), decibels
and instantaneous frequency (`InstantaneousFrequency`, GANSynth's), decibels alone, whose phase is found again
(`LogStft`).
Of 200 notes of MIDI 48 to 72: how many have the pitch that was asked for, and the Frechet distance to held-out notes,
beside what the representation itself keeps of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import runpy
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.note_gan import PITCHES, _embedded, _pitch, _played, _right, _settings
from benchmarks.record import ROOT, markdown, record

_NOTES = 200


def main() -> None:
    """Prints the table and writes benchmarks/results/representations.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", help="folder of the notes")
    parser.add_argument("--steps", type=int, default=1_000)
    asked = parser.parse_args()
    import jax
    import numpy as np

    from mgen import parallel
    from mgen.features import ComplexStft, InstantaneousFrequency, LogStft
    from mgen.metrics.distribution import frechet_infinity
    from mgen.training.checkpoint import load
    from mgen.training.loop import train

    base = runpy.run_path(str(ROOT / "configs" / "note_gan.py"))["experiment"]
    data = dataclasses.replace(base.data, path=asked.notes, pitch=PITCHES, effects=())
    sizes = {"sample_rate": 16_000, "frames": 128, "bins": 256, "n_fft": 2048, "hop_length": 512}
    base = dataclasses.replace(
        base,
        data=data,
        steps=asked.steps,
        validation_sounds=0,
        validate_every=asked.steps,
        checkpoint_every=asked.steps,
        preview_every=0,
        model=dataclasses.replace(base.model, coordinates=512, examples=2_048),
    )
    rows = []
    for name, features in (
        ("real and imaginary part", ComplexStft(**sizes, compression=0.3)),
        ("decibels, instantaneous frequency", InstantaneousFrequency(**sizes)),
        ("decibels, phase found again", LogStft(**sizes)),
    ):
        experiment = dataclasses.replace(base, features=features)
        corpus = data.open(sample_rate=features.sample_rate, samples=features.samples)
        chosen = np.random.default_rng(0).permutation(corpus.size("validation"))[: 2 * _NOTES]
        real = np.stack([corpus.item("validation", int(i), np.random.default_rng(0))["wave"] for i in chosen])
        pitch = np.array([corpus.notes("validation")[i].pitch for i in chosen])
        kept = parallel.spread(
            features.decode,
            parallel.spread(features.encode, real[_NOTES:]),
            jax.random.split(jax.random.key(0), len(real) - _NOTES),
        )
        with tempfile.TemporaryDirectory() as folder:
            train(experiment, pathlib.Path(folder))
            run = load(pathlib.Path(folder))
        wanted = PITCHES[0] + np.arange(_NOTES) % (PITCHES[1] - PITCHES[0] + 1)
        family = np.random.default_rng(0).integers(11, size=_NOTES)
        made = _played(run, _settings(run, _NOTES, pitch=wanted, family=family), 0)
        row = {"representation": name, "pitch right, %": _right(_pitch(made, 16_000), wanted)}
        row["pitch right, kept, %"] = _right(_pitch(kept, 16_000), pitch[_NOTES:])
        known = _embedded(real[:_NOTES], 16_000)
        for title, sounds in (("Frechet", made), ("Frechet, kept", kept)):
            row[title] = round(frechet_infinity(_embedded(sounds, 16_000), known, seed=0).value, 1)
        rows.append(row | {"numbers": int(np.prod(features.shape))})
        print(markdown(rows[-1:]), flush=True)
    about = (
        f"the GAN of configs/note_gan.py on dry notes of MIDI {PITCHES[0]} to {PITCHES[1]}, bins up to 2 kHz, 512 "
        f"coordinates, {asked.steps} steps; {_NOTES} notes each; kept: held-out notes through the representation alone"
    )
    print(record("representations", table=rows, seed=base.seed, about=about))


if __name__ == "__main__":
    main()
