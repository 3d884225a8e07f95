"""How well a note autoencoder gives back notes of instruments that it has never heard, beside PCA of the same size.

    mgen render-notes FluidR3_GM.sf2 NOTES --also TimGM6mb.sf2 MuseScore_General_Lite.sf3 OPL-3_FM_128M.sf2
    python train.py configs/note_autoencoder.py --data.path NOTES --workdir runs/notes
    python benchmarks/note_autoencoder.py runs/notes [--name note_autoencoder] [--audio ../shared/audio/notes]

Of the notes of the validation split (instruments held out, or notes, as the run did), and of real recorded notes of the
same pitches: the mean squared error of the features, as a share of that of a PCA with as many components fitted to 6000
training notes; the spectral convergence and the log-spectral distance of the sound after phase reconstruction; and how
many have their fundamental within 50 cents, of those where it can be heard in the note itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

_PCA_NOTES = 6_000  # as many floats as fit into memory


def main() -> None:
    """Prints the table and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--name", default="note_autoencoder")
    parser.add_argument("--data-path", help="where the notes lie now")
    parser.add_argument("--audio", type=pathlib.Path, default=ROOT.parent / "shared" / "audio" / "notes")
    parser.add_argument("--most", type=int, default=2_000, help="held-out notes that are measured")
    asked = parser.parse_args()
    from mgen import parallel

    parallel.use_all_cores()
    import jax
    import numpy as np

    from mgen.data.note_folder import NoteFolder
    from mgen.training.checkpoint import load
    from mgen.training.clips import examples
    from mgen.training.step import averaged

    loaded = load(asked.workdir)
    experiment = loaded.experiment
    features, model = experiment.features, experiment.model
    data = experiment.data if asked.data_path is None else dataclasses.replace(experiment.data, path=asked.data_path)
    size = {"sample_rate": features.sample_rate, "samples": features.samples}
    corpus = data.open(**size)
    plain = data if not hasattr(data, "blend") else dataclasses.replace(data, blend=0.0)
    pca = _pca(examples(dataclasses.replace(experiment, data=plain), plain.open(**size), _PCA_NOTES), model.latent)

    sets = {
        "held-out notes" if getattr(data, "held_out", "") == "notes" else "held-out instruments": _notes(
            corpus, "validation", asked.most
        )
    }
    if (asked.audio / "notes.csv").is_file():
        pitches = [note.pitch for note in corpus.notes("train")]
        real = NoteFolder(str(asked.audio), pitch=(min(pitches), max(pitches)), validation_fraction=0.0, peak=data.peak)
        sets["real notes"] = _notes(real.open(**size), "train", asked.most)
    variables, rows = averaged(loaded.state), []

    def given_back(model):
        @jax.jit
        def rebuilt(variables, part):
            return model.decode(variables, model.encode(variables, part, loaded.spec), loaded.spec)

        return functools.partial(rebuilt, variables)

    rebuild = [given_back(dataclasses.replace(model, refine=0)), given_back(model)]
    for name, (waves, pitches) in sets.items():
        wanted = _encoded(features, waves)
        parts = np.array_split(wanted, -(-len(wanted) // 64))
        guessed, made = (np.concatenate([given_back(part) for part in parts]) for given_back in rebuild)
        mean, components = pca
        flat = wanted.reshape(len(wanted), -1) - mean
        by_pca = ((flat @ components.T) @ components + mean).reshape(wanted.shape)
        methods = {"features alone": wanted}
        if model.floor:
            basis = loaded.state.variables["autoencoder"]["basis"]
            low, high = (float(basis[name]) for name in ("low", "high"))
            methods["PCA with the same floor"] = np.where(by_pca < low + (high - low) / 24, low, by_pca.clip(low, high))
        methods |= {f"PCA, {model.latent}": by_pca, "autoencoder, encoder alone": guessed}
        for method, rebuilt in (methods | {"autoencoder": made}).items():
            rows.append(
                {"notes": name, "count": len(waves), "by": method} | _measure(features, waves, wanted, rebuilt, pitches)
            )
        latest = rows[-len(methods) - 1 :]
        for row in latest:
            row["of PCA's"] = round(row["error"] / latest[-3]["error"], 3)
        print(markdown(latest), flush=True)
    about = (
        f"{asked.workdir.name} at step {loaded.step}, latent {model.latent}: notes after encoder, decoder and phase "
        "reconstruction; errors are mean squares of features that go from -1 to 1, distances are of the sound."
    )
    print(record(asked.name, table=rows, seed=experiment.seed, about=about))


def _waves(corpus, split: str, count: int):
    import numpy as np

    chosen = np.random.default_rng(0).permutation(corpus.size(split))[:count]
    return np.stack([corpus.item(split, int(index), np.random.default_rng(0))["wave"] for index in chosen])


def _notes(corpus, split: str, most: int):
    import numpy as np

    chosen = np.random.default_rng(0).permutation(corpus.size(split))[:most]
    pitches = np.array([corpus.notes(split)[index].pitch for index in chosen], np.float32)
    return _waves(corpus, split, most), pitches


def _encoded(features, waves):
    from mgen import parallel

    return parallel.spread(features.encode, waves, at_once=32)


def _pca(values, components: int):
    """Mean and principal axes [components, points], by power iteration on a random projection.

    Reference: Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011.
    """
    import numpy as np

    flat = values.reshape(len(values), -1)
    mean = flat.mean(axis=0)
    flat = flat - mean
    found = np.random.default_rng(0).normal(size=(components + 16, len(flat))).astype(np.float32) @ flat
    for _ in range(4):
        basis = np.linalg.qr(found.T)[0].T
        found = (flat @ basis.T).T @ flat
    basis = np.linalg.qr(found.T)[0].T
    _, _, axes = np.linalg.svd(flat @ basis.T, full_matrices=False)
    return mean, (axes @ basis)[:components]


def _measure(features, waves, wanted, rebuilt, pitches) -> dict[str, float]:
    import jax
    import numpy as np

    from mgen import parallel
    from mgen.metrics.pitch import fundamental_frequency, note_pitch
    from mgen.metrics.spectral import log_spectral_distance, spectral_convergence_db

    keys = jax.random.split(jax.random.key(0), len(waves))
    sounds = parallel.spread(features.decode, rebuilt.astype(np.float32), keys)
    # The distances are of what the features can say: the sound of the whole features is the target.
    target = parallel.spread(features.decode, wanted, keys)

    def heard(waves):
        track = fundamental_frequency(waves, sample_rate=features.sample_rate)
        return np.asarray(note_pitch(track).midi)

    audible = np.abs(heard(waves) - pitches) < 0.5
    right = np.abs(heard(sounds) - pitches) < 0.5
    return {
        "error": round(float(np.mean(np.square(rebuilt - wanted))), 6),
        "spectral convergence": round(
            float(np.mean(10 ** (np.asarray(spectral_convergence_db(sounds, target)) / 20))), 3
        ),
        "log-spectral, dB": round(float(np.mean(log_spectral_distance(sounds, target))), 2),
        "pitch right, %": round(100 * float(np.mean(right[audible])), 1),
        "heard in the note itself, %": round(100 * float(np.mean(audible)), 1),
    }


if __name__ == "__main__":
    main()
