"""How well a network of blocks foretells pieces that it never heard, and what a minute of its own is like.

    python train.py configs/block_lstm.py --data.path PIECES --data.validation-fraction 0 --workdir runs/blocks
    python benchmarks/block_continuation.py runs/blocks HELD_OUT

HELD_OUT is a folder of other pieces. Errors are of the next block's numbers as the features scale them, beside those of
silence and of the last block again: with all blocks before it known, and some blocks after the last known one, each of
which is the network's own expectation. Then 60 s are made from the first 10 s of each piece: short-term loudness (3 s),
spectral flatness, how much of the power comes and goes at the block's rate, how near any 5 s of it are to any 5 s of
the seed and of the pieces of training (a copy is below 3.5 dB, see `mgen.metrics.novelty.shifted_distance`), and how
long 10 s take. Writes block_errors.json, block_continuation.json and docs/figures/block_continuation.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

OWN_STEPS = (1, 2, 5, 10, 43)
_STARTS = (60, 120, 180, 240, 300, 360)  # blocks of a clip after which the network is left alone
_MADE_S, _SEED_S, _SHORT_S, _WINDOW_S = 60.0, 10.0, 3, 5
_COPY_DB = 3.5


def pieces(folder: str, features, seconds: float) -> dict[str, np.ndarray]:
    """Waves of the pieces of a folder, whole clips only: {name: [clips, samples]}, at least one clip each."""
    from mgen import audio

    samples, found = round(seconds * features.sample_rate), {}
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.suffix.lower() in audio.SUFFIXES:
            wave = audio.read(path, sample_rate=features.sample_rate)
            wave = np.pad(wave, (0, max(0, samples - len(wave))))
            found[path.stem] = wave[: len(wave) // samples * samples].reshape(-1, samples)
    return found


def errors(loaded, held_out: dict[str, np.ndarray]) -> tuple[list[dict], list[dict]]:
    """The table, and for each piece the same in numbers."""
    import jax

    from mgen import controls
    from mgen.training.step import averaged

    model, features, variables = loaded.experiment.model, loaded.experiment.features, averaged(loaded.state)
    free = dataclasses.replace(model, guard_db=120.0)  # an expectation is quiet, and is not to be made louder
    predict = jax.jit(model.predict)
    go_on = jax.jit(
        lambda variables, rng, settings: free.go_on(variables, rng, settings, loaded.spec, steps=max(OWN_STEPS))
    )
    found: dict[tuple[str, str], dict[str, list[float]]] = {}

    def note(piece: str, when: str, guesses: dict[str, np.ndarray], truth: np.ndarray) -> None:
        own = found.setdefault((piece, when), {})
        for name, guess in guesses.items():
            own.setdefault(f"{name}, L1", []).append(float(np.mean(np.abs(guess - truth))))
            own.setdefault(f"{name}, L2", []).append(float(np.mean(np.square(guess - truth))))

    for piece, waves in held_out.items():
        blocks = np.asarray(jax.jit(features.encode)(waves))
        next_, last = blocks[:, 1:], blocks[:, :-1]
        guesses = {"network": np.asarray(predict(variables, blocks))[:, :-1], "silence": 0 * next_, "last block": last}
        note(piece, "all known", guesses, next_)
        for start in _STARTS:
            seed = np.zeros_like(blocks)
            seed[:, -start - 1 :] = blocks[:, : start + 1]  # of which the last is taken for one that the end has cut
            count = len(blocks)
            settings = {
                name: np.zeros(count, np.float32)
                for name in ("mix", "mixing", "temperature", "recall", "seconds", "begins_with")
            }
            settings["seed_clip"] = controls.Clips(seed, np.ones(count, bool))
            own = np.asarray(go_on(variables, jax.random.key(0), settings))
            for steps in OWN_STEPS:
                truth = blocks[:, start + steps - 1]
                guesses = {"network": own[:, steps - 1], "silence": 0 * truth, "last block": blocks[:, start - 1]}
                note(piece, f"own step {steps}", guesses, truth)
    table, details = [], []
    for when in ["all known"] + [f"own step {steps}" for steps in OWN_STEPS]:
        rows = {
            piece: {name: float(np.mean(v)) for name, v in own.items()}
            for (piece, at), own in found.items()
            if at == when
        }
        details += [{"piece": piece, "when": when, **row} for piece, row in rows.items()]
        row = {"next block": when}
        for norm in ("L1", "L2"):
            share = [own[f"network, {norm}"] / own[f"silence, {norm}"] for own in rows.values()]
            again = [own[f"last block, {norm}"] / own[f"silence, {norm}"] for own in rows.values()]
            row[f"{norm} of silence's"] = round(float(np.mean(share)), 4)
            row[f"pieces better, {norm}"] = f"{sum(value < 1 for value in share)} of {len(share)}"
            row[f"last block again, {norm}"] = round(float(np.mean(again)), 2)
        table.append(row)
    return table, details


def at_block_rate(wave: np.ndarray, block: int) -> tuple[float, float]:
    """Decibels: power of the wave's square at the block's rate or its next three multiples, over that of its mean.

    What is not periodic has less of it the longer it is looked at: only sounds of one length can be compared.

    Returns:
      The largest of the four, and what one in a hundred of the rates around them exceeds.
    """
    whole = wave[: len(wave) // block * block].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(np.square(whole)))
    places = len(whole) // block * np.arange(1, 5)
    around = np.setdiff1d((places[:, None] + np.arange(-200, 201)).reshape(-1), places)
    found = spectrum[places].max(), np.quantile(spectrum[around], 0.99)
    return tuple(float(20 * np.log10(value / spectrum[0])) for value in found)


def nearest_db(wave: np.ndarray, others: np.ndarray, sample_rate: int) -> float:
    """The least shifted distance of any window of a wave to any of others [count, samples]."""
    from mgen import dsp
    from mgen.metrics.novelty import shifted_distance

    samples = _WINDOW_S * sample_rate
    windows = wave[: len(wave) // samples * samples].reshape(-1, samples)
    mels = [
        np.asarray(dsp.mel_spectrogram(some, sample_rate=sample_rate, n_fft=2048, hop_length=512, n_mels=64))
        for some in (windows, others)
    ]
    frames = mels[0].shape[1]
    return float(shifted_distance(*mels, max_shift=frames // 2).distance.min())


def windows_of(waves: dict[str, np.ndarray], sample_rate: int) -> np.ndarray:
    """Windows of all pieces, each half a window after the last: [count, samples]."""
    samples, found = _WINDOW_S * sample_rate, []
    for clips in waves.values():
        wave = clips.reshape(-1)
        starts = range(0, len(wave) - samples + 1, samples // 2)
        found += [wave[start : start + samples] for start in starts if np.any(wave[start : start + samples])]
    return np.stack(found)


def continuation(loaded, folder: str, known: dict[str, np.ndarray]) -> tuple[list[dict], list[tuple]]:
    """One row a piece, and of each its name, its seed and what was made."""
    from mgen import panel
    from mgen.metrics.loudness import loudness
    from mgen.metrics.timbre import timbre
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    experiment, spec, variables = loaded.experiment, loaded.spec, averaged(loaded.state)
    rate, block = experiment.features.sample_rate, experiment.features.block
    library, table, sounds = windows_of(known, rate), [], []

    knobs = experiment.model.controls(spec)

    def made_of(path: pathlib.Path, seconds: float) -> np.ndarray:
        settings = panel.settings_of(knobs, [{"seed_clip": str(path), "seconds": str(seconds)}])
        return generate(experiment, spec, variables, settings, seed=0)[0]

    def loud(wave: np.ndarray) -> np.ndarray:
        samples = _SHORT_S * rate
        return np.asarray(loudness(wave[: len(wave) // samples * samples].reshape(-1, samples), sample_rate=rate))

    def flat(wave: np.ndarray) -> float:
        return float(np.nanmean(np.asarray(timbre(wave[None], sample_rate=rate).flatness)))

    for name, clips in pieces(folder, experiment.features, _SEED_S).items():
        path = next(path for path in pathlib.Path(folder).iterdir() if path.stem == name)
        made, seed = made_of(path, _MADE_S), clips[0]
        made_of(path, 10.0)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            made_of(path, 10.0)
            times.append(time.perf_counter() - began)
        at_rate, around = at_block_rate(made, block)
        apart = loud(made) - loud(seed).mean()
        table.append(
            {
                "piece": name,
                "finite": bool(np.isfinite(made).all()),
                "loudness, LU of the seed's": f"{apart.min():+.1f} to {apart.max():+.1f}",
                "flatness": round(flat(made), 4),
                "the seed's": round(flat(seed), 4),
                "ratio": round(flat(made) / flat(seed), 2),
                "at the block's rate, dB": round(at_rate, 1),
                "1 % of the rates around, dB": round(around, 1),
                "nearest of the seed, dB": round(nearest_db(made, windows_of({name: seed[None]}, rate), rate), 1),
                "nearest of training, dB": round(nearest_db(made, library, rate), 1),
                "10 s take, s": round(float(np.median(times)), 2),
            }
        )
        sounds.append((name, seed, made))
    return table, sounds


def main() -> None:
    """Measures, records, draws."""
    from mgen import audio
    from mgen.training.checkpoint import load

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("held_out")
    parser.add_argument("--sounds", type=pathlib.Path, help="folder to write seeds and what follows them to")
    asked = parser.parse_args()
    loaded = load(asked.run)
    features, about = loaded.experiment.features, f"{asked.run.name} at step {loaded.step}"
    table, details = errors(loaded, pieces(asked.held_out, features, features.samples / features.sample_rate))
    record("block_errors", table=table, seed=0, about=f"{about}; pieces that were held out.", details=details)
    print(markdown(table))
    known = pieces(loaded.experiment.data.path, features, 1.0)
    table, sounds = continuation(loaded, asked.held_out, known)
    record("block_continuation", table=table, seed=0, about=f"{about}; 60 s from 10 s of pieces that were held out.")
    print(markdown(table))
    if asked.sounds:
        asked.sounds.mkdir(parents=True, exist_ok=True)
        for name, seed, made in sounds:
            audio.write(
                asked.sounds / f"{name}.wav", np.concatenate([seed, made]).clip(-1, 1), sample_rate=features.sample_rate
            )
    draw(sounds, features.sample_rate)


def draw(sounds: list, sample_rate: int) -> None:
    """Seeds and the first 20 s of what follows."""
    from matplotlib.figure import Figure

    from mgen import dsp

    figure = Figure((10, 2.2 * len(sounds)), layout="constrained")
    rows = figure.subplots(len(sounds), 1, squeeze=False)
    for axes, (name, seed, made) in zip(rows[:, 0], sounds, strict=True):
        wave = np.concatenate([seed, made[: 20 * sample_rate]])
        mel = dsp.mel_spectrogram(wave, sample_rate=sample_rate, n_fft=2048, hop_length=512, n_mels=96)
        decibels = np.asarray(dsp.power_to_decibels(mel, reference=float(np.max(mel)), floor_db=-70.0))
        axes.imshow(decibels.T, origin="lower", aspect="auto", extent=(0, len(wave) / sample_rate, 0, 96), cmap="magma")
        axes.axvline(len(seed) / sample_rate, color="white", linestyle=":")
        axes.set(title=name, ylabel="mel band")
    rows[-1, 0].set(xlabel="seconds")
    figure.savefig(ROOT / "docs" / "figures" / "block_continuation.png", dpi=80)


if __name__ == "__main__":
    main()
