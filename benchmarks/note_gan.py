"""What a conditional GAN of notes plays when it is asked for a note: the pitch, the family, the effects, the likeness.

    python benchmarks/note_gan.py runs/note_gan --prior runs/notes [--step N] [--data-path NOTES] [--name note_gan]

Of 200 notes of pitches 48 to 72 and all families, for each of three seeds: how many have the pitch that was asked for
(within 50 cents), by mgen's metric and by librosa's pYIN; how many are taken for the asked family by a classifier that
was trained on real notes, beside real notes of instruments it has not heard; how many keep the pitch where the family
is halfway between any two. The Frechet distance to held-out notes (as of endlessly many, see `frechet_infinity`; all
sounds brought to one level; in three ways, see _HEARD), beside the autoencoder's prior (--prior), two baselines, and
other held-out notes as they are and as the GAN's features give them back. And what the effects do, on generated notes
and on real ones that were given them.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import markdown, record

PITCHES, NOTES, SEEDS = (48, 72), 200, (0, 1, 2)
_SET = 400  # sounds of each set whose distance is measured
# What of the sounds is compared: the embedding's own range, which goes far below what can be heard; what is above the
# floor of the features (a full-scale sine has 30 dB in the embedding); and of that the band of the autoencoder's.
_HEARD = {
    "Frechet": {},
    "above -80 dB": {"floor_db": -50.0},
    "above -80 dB, below 4 kHz": {"floor_db": -50.0, "fmax": 4000.0},
}
_TAUGHT, _COORDINATES = 4_000, 256  # notes that the classifier is trained on, and what it sees of one


def main() -> None:
    """Prints the tables and writes benchmarks/results/NAME.json, NAME_distances.json and NAME_effects.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--step", type=int, help="checkpoint of it; the newest if not given")
    parser.add_argument("--prior", type=pathlib.Path, help="run of an autoencoder of the same notes")
    parser.add_argument("--data-path", help="where the notes lie now")
    parser.add_argument("--candidates", type=int, help="sounds made for each that is asked for, if not as trained")
    parser.add_argument("--name", default="note_gan")
    asked = parser.parse_args()
    from mgen import parallel

    parallel.use_all_cores()
    import numpy as np

    from mgen.training.checkpoint import load

    run = load(asked.workdir, step=asked.step)
    if asked.candidates:
        model = dataclasses.replace(run.experiment.model, candidates=asked.candidates)
        run = dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, model=model))
    features, data = run.experiment.features, run.experiment.data
    data = data if asked.data_path is None else dataclasses.replace(data, path=asked.data_path)
    corpus = data.open(sample_rate=features.sample_rate, samples=features.samples)
    dry = dataclasses.replace(data, effects=()).open(sample_rate=features.sample_rate, samples=features.samples)
    families = next(label for label in run.spec.labels if label.name == "family").options
    classifier, held_out = _taught(run, dry, families)
    rows = []
    for seed in SEEDS:
        rows.append({"notes": f"generated, seed {seed}"} | _asked(run, classifier, families, seed))
        print(markdown(rows[-1:]), flush=True)
    middle = {name: round(float(np.mean([row[name] for row in rows])), 1) for name in rows[0] if name != "notes"}
    distances = _distances(run, asked.prior, dry)
    print(markdown(distances))
    effects = _effects(run, corpus)
    print(markdown(effects))
    about = (
        f"{asked.workdir.name} at step {run.step}, the best of {run.experiment.model.candidates}; {NOTES} notes of "
        f"MIDI {PITCHES[0]} to {PITCHES[1]} a seed; chance "
        f"of a family {100 / len(families):.0f} %; distances of {_SET} sounds to {_SET} "
        "held-out notes; the GAN is asked with labels of other held-out notes, the prior draws as it was trained"
    )
    rows += [{"notes": "generated, mean"} | middle, _real(dry, features.sample_rate) | {"family right, %": held_out}]
    rows[-1] = {title: rows[-1].get(title, "-") for title in rows[0]}
    tables = {"": rows, "_distances": distances, "_effects": effects}
    for suffix, table in tables.items():
        print(record(asked.name + suffix, table=table, seed=SEEDS[0], about=about))


def _settings(run, count: int, **values):
    """The defaults, with some controls set: {control: [count]}."""
    import numpy as np

    from mgen import panel

    settings = panel.settings_of(run.experiment.model.controls(run.spec), [{}] * count)
    return settings | {name: np.broadcast_to(np.float32(value), count) for name, value in values.items()}


def _played(run, settings, seed: int):
    from mgen.training.sampling import generate
    from mgen.training.step import averaged

    return generate(run.experiment, run.spec, averaged(run.state), settings, seed=seed)


def _real(corpus, rate: int) -> dict[str, object]:
    """How often the two ways of hearing a pitch are right about held-out notes: no generated note can do better."""
    import numpy as np

    notes = corpus.notes("validation")
    inside = [index for index, note in enumerate(notes) if PITCHES[0] <= note.pitch <= PITCHES[1]][:NOTES]
    waves = np.stack([corpus.item("validation", index, np.random.default_rng(0))["wave"] for index in inside])
    pitch = np.array([notes[index].pitch for index in inside])
    right = {"pitch right, %": _right(_pitch(waves, rate), pitch)}
    return {"notes": "real, held out"} | right | {"pitch right by pYIN, %": _right(_pyin(waves, rate), pitch)}


def _asked(run, classifier, families, seed: int) -> dict[str, float]:
    """Shares of notes, in percent, that are what was asked for."""
    import numpy as np

    rate = run.experiment.features.sample_rate
    rng = np.random.default_rng(seed)
    pitch = PITCHES[0] + np.arange(NOTES) % (PITCHES[1] - PITCHES[0] + 1)
    family = rng.integers(len(families), size=NOTES)
    waves = _played(run, _settings(run, NOTES, pitch=pitch, family=family), seed)
    numbers = {"pitch right, %": _right(_pitch(waves, rate), pitch)}
    numbers["pitch right by pYIN, %"] = _right(_pyin(waves, rate), pitch)
    numbers["family right, %"] = round(100 * float(np.mean(classifier(waves) == family)), 1)
    other = (family + rng.integers(1, len(families), size=NOTES)) % len(families)
    between = _settings(run, NOTES, pitch=pitch, family=family, family_to=1 + other, family_mix=0.5)
    numbers["pitch right between two families, %"] = _right(_pitch(_played(run, between, seed), rate), pitch)
    return numbers


def _right(found, pitch) -> float:
    import numpy as np

    return round(100 * float(np.mean(np.abs(found - pitch) < 0.5)), 1)


def _pitch(waves, rate: int):
    import numpy as np

    from mgen.metrics.pitch import fundamental_frequency, note_pitch

    return np.asarray(note_pitch(fundamental_frequency(waves, sample_rate=rate)).midi)


def _pyin(waves, rate: int):
    """Median of the voiced frames, MIDI; NaN where none is voiced."""
    import librosa
    import numpy as np

    found = []
    for wave in waves:
        hz, _, _ = librosa.pyin(wave, sr=rate, fmin=55, fmax=1100, frame_length=2048, hop_length=512)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of no voiced frame the median is NaN
            found.append(librosa.hz_to_midi(np.nanmedian(hz)))
    return np.array(found)


def _level(waves):
    """Every sound brought to the same peak; silence stays."""
    import numpy as np

    peak = np.max(np.abs(waves), axis=1, keepdims=True)
    return (0.5 * waves / np.where(peak > 0, peak, 1)).astype(np.float32)


def _embedded(waves, rate: int, **settings):
    import numpy as np

    from mgen.metrics.embedding import embed

    parts = np.array_split(_level(waves), -(-len(waves) // 200))
    return np.concatenate([np.asarray(embed(part, sample_rate=rate, **settings)) for part in parts])


def _taught(run, corpus, families):
    """A classifier of waves by family, trained on real notes, and how often it is right about held-out instruments.

    It sees the principal coordinates of decibels of notes at one level.
    """
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from mgen import parallel, principal

    basis = run.state.variables["generator"]["basis"]

    def seen(waves):
        encoded = parallel.spread(run.experiment.features.encode, _level(waves))
        parts = np.array_split(encoded, -(-len(encoded) // 256))
        found = np.concatenate([np.asarray(principal.project(basis, part)) for part in parts])
        return (found / np.sqrt(np.asarray(basis["scale"])))[:, :_COORDINATES]

    def read(split, count):
        chosen = np.random.default_rng(0).permutation(corpus.size(split))[:count]
        waves = np.stack([corpus.item(split, int(i), np.random.default_rng(0))["wave"] for i in chosen])
        return seen(waves), np.array([families.index(corpus.notes(split)[i].family) for i in chosen])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops after 60 rounds, converged or not
        model = make_pipeline(StandardScaler(), MLPClassifier((256,), alpha=1.0, max_iter=60, random_state=0))
        model.fit(*read("train", _TAUGHT))
    held_out = round(100 * float(model.score(*read("validation", 1_000))), 1)
    return lambda waves: model.predict(seen(waves)), held_out


def _distances(run, prior: pathlib.Path | None, corpus) -> list[dict]:
    import jax
    import numpy as np

    from mgen import parallel
    from mgen.metrics.distribution import frechet_infinity
    from mgen.training.checkpoint import load
    from mgen.training.sampling import settings_like

    features = run.experiment.features
    rate = features.sample_rate
    chosen = np.random.default_rng(0).permutation(corpus.size("validation"))[: 2 * _SET]
    items = [corpus.item("validation", int(index), np.random.default_rng(0)) for index in chosen]
    waves, labels = (np.stack([item[key] for item in items]) for key in ("wave", "labels"))
    settings, _ = settings_like(run.experiment.model.controls(run.spec), corpus.labels, labels[_SET:])
    train = np.random.default_rng(1).permutation(corpus.size("train"))[:_SET]
    seen = np.stack([corpus.item("train", int(index), np.random.default_rng(0))["wave"] for index in train])
    mean = parallel.spread(features.encode, seen).mean(axis=0)
    sets = {"other held-out notes": waves[_SET:], "training notes": seen, "GAN": _played(run, settings, 0)}
    if prior is not None:
        other = load(prior)
        sets["autoencoder's prior"] = _played(other, _settings(other, _SET), 0)
    keys = jax.random.split(jax.random.key(0), _SET)
    sets["mean features"] = parallel.spread(features.decode, np.repeat(mean[None], _SET, axis=0), keys)
    sets["white noise"] = np.random.default_rng(0).normal(0, 0.1, waves[:_SET].shape).astype(np.float32)
    keys_of_held_out = jax.random.split(jax.random.key(1), _SET)
    sets["held-out notes through the GAN's features"] = parallel.spread(
        features.decode, parallel.spread(features.encode, waves[_SET:]), keys_of_held_out
    )
    rows = [{"sounds": name} for name in sets]
    for title, settings in _HEARD.items():
        real = _embedded(waves[:_SET], rate, **settings)
        for row, sounds in zip(rows, sets.values(), strict=True):
            found = frechet_infinity(_embedded(sounds, rate, **settings), real, seed=0)
            row[title] = f"{found.value:.1f} ({found.low:.1f} to {found.high:.1f})"
    return rows


def _effects(run, corpus) -> list[dict]:
    """What each effect at 1 does beside 0: of generated notes, and of real ones."""
    import numpy as np

    from mgen import parallel
    from mgen.metrics.timbre import timbre

    rate = run.experiment.features.sample_rate
    known = {label.name for label in run.spec.labels}
    names = [name for name in ("low_pass", "slow_attack", "reverb") if name in known]

    def numbers(waves):
        loud = np.sqrt(
            np.mean(np.square(waves[:, : 395 * (rate // 100)].reshape(len(waves), 395, -1)), axis=-1) + 1e-12
        )
        half = np.argmax(loud >= 0.5 * loud.max(axis=1, keepdims=True), axis=1) * 10  # ms
        tail = 20 * np.log10(loud[:, 340:390].mean(axis=1) / loud[:, 200:290].mean(axis=1))
        rolloff = np.asarray(timbre(waves, sample_rate=rate).rolloff)
        return {"low_pass": rolloff, "slow_attack": half, "reverb": tail}

    count = 64
    rng = np.random.default_rng(0)
    chosen = rng.permutation(corpus.size("validation"))[:count]
    items = [corpus.item("validation", int(index), np.random.default_rng(0)) for index in chosen]
    waves, labels = (np.stack([item[key] for item in items]) for key in ("wave", "labels"))
    order = [label.name for label in corpus.labels]
    rows = []
    for name, what in (
        ("low_pass", "below which 85 % of the magnitude is, Hz"),
        ("slow_attack", "time to half of the loudest, ms"),
        ("reverb", "after the release, dB to before"),
    ):
        if name not in names:
            continue
        row = {"effect": name, "measure": what}
        for amount in (0.0, 1.0):
            given = labels.copy()
            given[:, [order.index(other) for other in names]] = 0.0
            given[:, order.index(name)] = amount
            real = numbers(parallel.spread(corpus.process, waves, given))[name]
            settings = _settings(run, count, **{label: labels[:, order.index(label)] for label in ("pitch", "family")})
            made = numbers(_played(run, settings | {name: np.full(count, amount, np.float32)}, 0))[name]
            row |= {f"real at {amount:g}": round(float(np.nanmedian(real)), 1)}
            row |= {f"generated at {amount:g}": round(float(np.nanmedian(made)), 1)}
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
