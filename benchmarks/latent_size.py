"""How large must a latent be: notes of one pitch, given back by autoencoders of 16 to 384 numbers; system 003's study.

    mgen render-notes FluidR3_GM.sf2 NOTES --also TimGM6mb.sf2 MuseScore_General_Lite.sf3 OPL-3_FM_128M.sf2
    python benchmarks/latent_size.py NOTES      # 15 minutes on two cores

MIDI 60, single notes held out. `latent_size`: mean squared error per number of the features of held-out notes, over
three seeds with a 95 % interval, beside a PCA of the same size. `latent_sounds`: of latents of 128 numbers after 1, 20
and 100 epochs, how many harmonics of 261.6 Hz stand out by 20 dB in what is decoded near zero, and the fundamental of
notes decoded from random latents (the model's own prior). Draws docs/figures/latent_size.png and
docs/figures/learning_progress.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.note_autoencoder import _pca
from benchmarks.record import ROOT, markdown, record

SIZES, SEEDS, STEPS = (16, 32, 64, 128, 256, 384), (0, 1, 2), 200
EPOCHS, FUNDAMENTAL_HZ = (1, 20, 100), 261.63
FIGURES = ROOT / "docs" / "figures"


def main() -> None:
    """Prints the tables, writes both results and draws the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", help="folder of the notes")
    parser.add_argument("--only", choices=("sizes", "sounds"), help="one half of it; they can run side by side")
    asked = parser.parse_args()
    # On one device: with two virtual ones a run once stood still between a step and the evaluation (jaxlib 0.10.2).
    base = runpy.run_path(str(ROOT / "configs" / "note_autoencoder.py"))["experiment"]
    data = dataclasses.replace(base.data, path=asked.notes, pitch=(60, 60), held_out="notes", blend=0.0)
    model = dataclasses.replace(base.model, coordinates=512, within=(48, 192), width=512, components=2)
    base = dataclasses.replace(base, data=data, model=model, batch_size=32)
    corpus = data.open(sample_rate=base.features.sample_rate, samples=base.features.samples)
    train, held_out = (_features(base, corpus, split) for split in ("train", "validation"))
    if asked.only != "sounds":
        rows = _sizes(base, train, held_out)
        about = (
            f"notes of MIDI 60, {len(train)} to train on and {len(held_out)} held out, {STEPS} steps of "
            f"{base.batch_size}; mean squared error of features from -1 to 1, mean of three seeds and 95 % interval"
        )
        print(record("latent_size", table=rows, seed=SEEDS[0], about=about))
        _draw_sizes(rows)
    if asked.only != "sizes":
        sounds, frames = _progress(base, train)
        print(markdown(sounds))
        about = (
            f"latent 128, notes of MIDI 60, {len(train)} to train on; an epoch is {len(train) // base.batch_size} steps"
        )
        print(record("latent_sounds", table=sounds, seed=0, about=about))
        _draw_progress(frames)


def _sizes(base, train, held_out) -> list[dict]:
    """The error of held-out notes for each size, over the seeds, beside PCA."""
    import numpy as np

    rows = []
    for size in SIZES:
        errors = []
        for seed in SEEDS:
            model, spec, variables = next(_trained(base, size, seed, train, (STEPS,)))
            rebuilt = _given_back(model, spec)(variables, held_out)
            errors.append(float(np.mean(np.square(np.asarray(rebuilt) - held_out))))
        mean, axes = _pca(train, size)
        flat = held_out.reshape(len(held_out), -1) - mean
        by_pca = float(np.mean(np.square(flat - flat @ axes.T @ axes)))
        half = 4.303 * np.std(errors, ddof=1) / np.sqrt(len(errors))  # Student's t of two degrees of freedom
        row = {"latent": size, "error": round(float(np.mean(errors)), 6), "+-": round(float(half), 6)}
        rows.append(row | {"PCA": round(by_pca, 6), "of PCA's": round(float(np.mean(errors)) / by_pca, 3)})
        print(markdown(rows[-1:]), flush=True)
    return rows


@functools.lru_cache
def _given_back(model, spec):
    """Features through a model's latents, compiled once for each size."""
    import jax

    return jax.jit(lambda variables, part: model.decode(variables, model.encode(variables, part, spec), spec))


def _features(experiment, corpus, split: str):
    import numpy as np

    from mgen import parallel

    waves = [corpus.item(split, index, np.random.default_rng(0))["wave"] for index in range(corpus.size(split))]
    return parallel.spread(experiment.features.encode, np.stack(waves))


def _trained(experiment, latent: int, seed: int, features, stops: tuple[int, ...]):
    """Trains on features that are encoded already: (model, spec, variables) after each of so many steps."""
    import jax
    import numpy as np

    from mgen import parallel
    from mgen.contracts import Spec
    from mgen.training.step import averaged, create_state, make_step

    model, spec = dataclasses.replace(experiment.model, latent=latent), Spec(shape=features.shape[1:])
    optimisers = {name: own.build(stops[-1]) for name, own in experiment.optimisers.items()}
    state = create_state(model.fit(model.init(jax.random.key(seed), spec), features, spec), optimisers)
    losses = model.losses(spec)
    step = parallel.replicate(
        make_step(losses, optimisers, encode=lambda batch: batch["wave"], ema_decay=experiment.ema_decay), donate=True
    )
    state, rng = parallel.place(state), np.random.default_rng(seed)
    for number in range(1, stops[-1] + 1):
        chosen = features[rng.integers(len(features), size=experiment.batch_size)]
        state, _ = step(state, jax.random.key(seed + 1), parallel.split({"wave": chosen}))
        if number in stops:
            yield model, spec, jax.device_get(averaged(state))


def _progress(experiment, features):
    """What is decoded near zero and at random after some epochs: rows, and the features near zero for each."""
    import jax
    import numpy as np

    from mgen import panel, parallel
    from mgen.metrics.pitch import fundamental_frequency, note_pitch
    from mgen.training.sampling import generate

    sound, epoch = experiment.features, max(1, len(features) // experiment.batch_size)
    rows, frames = [], [features.mean(axis=0)]
    stops = tuple(epochs * epoch for epochs in EPOCHS)
    for epochs, (model, spec, variables) in zip(EPOCHS, _trained(experiment, 128, 0, features, stops), strict=True):
        near = 0.01 * jax.random.normal(jax.random.key(0), (1, model.latent))
        frames.append(np.asarray(model.decode(variables, near, spec))[0])
        wave = np.asarray(parallel.spread(sound.decode, frames[-1][None], jax.random.split(jax.random.key(0), 1)))[0]
        settings = panel.settle(model.controls(spec), {}, count=100, rng=np.random.default_rng(0), vary=False)
        played = dataclasses.replace(experiment, model=model)
        random = generate(played, spec, variables, settings, seed=0)
        midi = np.asarray(note_pitch(fundamental_frequency(random, sample_rate=sound.sample_rate)).midi)
        hz = 440 * 2 ** ((midi - 69) / 12)
        right = float(np.mean(np.abs(hz / FUNDAMENTAL_HZ - 1) < 0.01))
        rows.append(
            {
                "epochs": epochs,
                "harmonics near zero": _harmonics(wave, sound.sample_rate),
                "random latents: median fundamental, Hz": round(float(np.nanmedian(hz)), 1),
                "within 1 % of 261.6 Hz, %": round(100 * right, 1),
            }
        )
    return rows, frames


def _harmonics(wave, rate: int) -> int:
    """Harmonics of the fundamental, up to 4 kHz, whose level is 20 dB above what lies between them."""
    import numpy as np

    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) + 1e-9
    hz = np.fft.rfftfreq(len(wave), 1 / rate)

    def level(centre):
        return 20 * np.log10(np.max(spectrum[np.abs(hz - centre) < 0.02 * FUNDAMENTAL_HZ * 2]))

    count = 0
    for number in range(1, int(4000 / FUNDAMENTAL_HZ)):
        between = max(level((number - 0.5) * FUNDAMENTAL_HZ), level((number + 0.5) * FUNDAMENTAL_HZ))
        count += int(level(number * FUNDAMENTAL_HZ) - between > 20)
    return count


def _draw_sizes(rows) -> None:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.5))
    sizes = [row["latent"] for row in rows]
    axis.errorbar(sizes, [row["error"] for row in rows], [row["+-"] for row in rows], marker="o", label="autoencoder")
    axis.plot(sizes, [row["PCA"] for row in rows], marker="s", label="PCA")
    axis.set(xscale="log", yscale="log", xlabel="latent", ylabel="mean squared error", xticks=sizes, xticklabels=sizes)
    axis.minorticks_off()
    axis.legend()
    figure.tight_layout()
    figure.savefig(FIGURES / "latent_size.png", dpi=100)


def _draw_progress(frames) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(frames), figsize=(9, 3), sharey=True)
    titles = ["mean of the notes", *(f"near zero, epoch {epochs}" for epochs in EPOCHS)]
    for axis, picture, title in zip(axes, frames, titles, strict=True):
        axis.imshow(picture.T, origin="lower", aspect="auto", vmin=-1, vmax=0.5, cmap="magma")
        axis.set(title=title, xlabel="frame")
    axes[0].set_ylabel("bin")
    figure.tight_layout()
    figure.savefig(FIGURES / "learning_progress.png", dpi=80)


if __name__ == "__main__":
    main()
