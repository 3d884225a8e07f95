"""Many trainings of one study: dealt out to processes, each trial trained for several seeds, and measured alike.

A trial is one config with changes, on one folder of songs of which some files, or the end of each (`--endings`), are
held out. `perform` trains it and gives what was measured of what it makes; a study's script says which trials there are
and makes its table of the rows. A trial that has its rows already is not done again, so a study can be stopped and gone
on with. (Longer than 300 lines: what is trained and what is measured of it are read together.)
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.dealing import deal
from benchmarks.processes import in_order, started
from benchmarks.record import machine

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / "configs"
COUNT = 128  # sounds of each set
_KNOWN = 1500  # training clips that copies are looked for in
_LEVEL = 0.1  # root mean square that sounds are brought to before they are compared
SETS = ("generated", "held out", "training", "mean features", "white noise")
GIVEN = "given held-out clips"
_HEARD = {"floor_db": -50.0, "n_mels": 10}  # see benchmarks/note_gan.py: above -80 dB, in 30 numbers


@dataclasses.dataclass(frozen=True)
class Trial:
    """One row of a study, before its seeds."""

    data: str
    """Name of the folder."""
    name: str
    config: str
    """Of configs/, without its suffix."""
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Changed fields of the model."""
    aligned: bool = True
    """Whether clips begin on a beat; else anywhere, and all else about them is the same."""
    steps: int = 2_000
    batch_size: int = 32
    base: str = ""
    """Name of the trial on the same songs whose run of the same seed it begins from, if any."""
    measured: tuple[str, ...] = SETS
    """What is listened to, of `SETS`, and `GIVEN`: what is made of these where a model is given clips."""


def _noted(trial: Trial) -> dict[str, Any]:
    """A trial as JSON gives it back."""
    return json.loads(json.dumps(dataclasses.asdict(trial)))


def experiment_of(trial: Trial, dealt: pathlib.Path, seed: int, base: pathlib.Path | None = None) -> Any:
    """The experiment of a trial and a seed, begun from a run; nothing of its training files is held out once more."""
    from mgen.data.beats import Beats

    own = runpy.run_path(str(CONFIGS / f"{trial.config}.py"))["experiment"]
    if bool(own.base) != bool(base):
        raise ValueError(
            f"{trial.name}: configs/{trial.config}.py begins from {own.base or 'no run'}, the trial not so"
        )
    path, steps = str(dealt / "train"), trial.steps
    tempi = str(dealt / "tempi.csv") if (dealt / "tempi.csv").exists() else ""
    start = "beat" if trial.aligned else "anywhere"
    return dataclasses.replace(
        own,
        data=Beats(path=path, tempi=tempi, validation_fraction=0.0, start=start),
        model=dataclasses.replace(own.model, **trial.model),
        base=str(base or ""),
        steps=steps,
        batch_size=trial.batch_size,
        seed=seed,
        log_every=50,
        checkpoint_every=steps,
        preview_every=0,
    )


def held_out_of(experiment: Any, dealt: pathlib.Path) -> Any:
    """Every fragment of the files that are held out: the data, and its corpus of the experiment's features."""
    from mgen.data.beats import Beats

    tempi = str(dealt / "tempi.csv") if (dealt / "tempi.csv").exists() else ""
    data = Beats(path=str(dealt / "held_out"), tempi=tempi, validation_fraction=0.0)
    features = experiment.features
    return data, data.open(sample_rate=features.sample_rate, samples=features.samples)


def perform(
    trial: Trial, dealt: pathlib.Path, seed: int, workdir: pathlib.Path, base: pathlib.Path | None = None
) -> dict[str, Any]:
    """Trains one trial with one seed, makes sounds, and measures them and the baselines."""
    import jax

    from mgen import parallel
    from mgen.contracts import Spec
    from mgen.evaluation.sets import library
    from mgen.training.loop import train
    from mgen.training.sampling import generate, heard, labels_asked, settings_like
    from mgen.training.step import averaged

    experiment = experiment_of(trial, dealt, seed, base)
    features, rng = experiment.features, np.random.default_rng([seed, 7])
    began = time.perf_counter()
    state = train(experiment, workdir)
    train_s = time.perf_counter() - began
    corpus = experiment.data.open(sample_rate=features.sample_rate, samples=features.samples)
    spec = Spec(shape=tuple(features.shape), labels=tuple(corpus.labels))

    def drawn(data: Any, opened: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
        index = rng.permutation(opened.size("train"))[:count]
        items = [opened.item("train", int(number), np.random.default_rng([seed, number])) for number in index]
        return np.stack([item["wave"] for item in items]), np.stack([item["labels"] for item in items])

    other, opened = held_out_of(experiment, dealt)
    real, real_labels = drawn(other, opened, COUNT)
    real_heard = heard(dataclasses.replace(experiment, data=other), real, real_labels)
    waves, labels = drawn(experiment.data, corpus, COUNT)
    train_heard = heard(experiment, waves, labels)
    asked = labels[rng.integers(len(labels), size=COUNT)]
    settings, _ = settings_like(experiment.model.controls(spec), corpus.labels, asked)
    variables = averaged(state)
    made = generate(experiment, spec, variables, settings, seed=seed)
    began = time.perf_counter()
    made = generate(experiment, spec, variables, settings, seed=seed)
    sample_s = (time.perf_counter() - began) / len(made)
    mean = np.asarray(jax.jit(features.encode)(waves)).mean(axis=0, keepdims=True)
    middle = parallel.spread(features.decode, mean, jax.random.split(jax.random.key(seed), 1))
    level = np.sqrt(np.mean(np.square(real_heard, dtype=np.float64)))
    noise = rng.normal(0, level, made.shape).clip(-1, 1).astype(np.float32)
    sets = {
        "generated": made,
        "held out": real_heard,
        "training": train_heard,
        "mean features": heard(
            experiment, np.repeat(middle, len(made), axis=0), labels_asked(spec, settings, len(made))
        ),
        "white noise": noise,
    }
    if GIVEN in trial.measured:  # of the same songs as those they are compared with, and many of the same clips
        given, given_labels = drawn(other, opened, COUNT)
        again = _again(experiment, spec, variables, given, given_labels)
        sets[GIVEN] = heard(dataclasses.replace(experiment, data=other), again, given_labels)
    known = library(experiment, corpus, most=_KNOWN) if trial.measured else np.zeros((0, 1))
    scores = {
        name: measured(name, sets, known, asked[:, 0] if name == "generated" else None, features.sample_rate, seed)
        for name in trial.measured
    }
    reconstruction = _reconstruction(experiment, spec, variables, real, real_labels)
    held_out = _held_out_losses(experiment, spec, variables, real[:64], real_labels[:64])
    log = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in log if "refused" in row][-1]
    keep = workdir / "sounds.npz"
    np.savez_compressed(keep, **{name: np.round(waves[:6] * 32767).astype(np.int16) for name, waves in sets.items()})
    return {
        "trial": _noted(trial),
        "where": {"date": datetime.date.today().isoformat(), **machine()},
        "seed": seed,
        "train_s": train_s,
        "sample_s": sample_s,
        "parameters": int(sum(leaf.size for own in state.ema.values() for leaf in jax.tree.leaves(own))),
        "last": last,
        "held out": held_out,
        "reconstruction": reconstruction,
        "scores": scores,
    }


def _held_out_losses(
    experiment: Any, spec: Any, variables: Any, real: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Every player's loss on held-out clips, and its parts."""
    import jax

    from mgen import parallel

    batch = {"features": np.asarray(parallel.spread(experiment.features.encode, real)), "labels": labels}
    found = {}
    for player, loss in experiment.model.losses(spec).items():
        output = loss(variables, jax.random.key(0), batch, train=False)
        found |= {f"{player}/{name}": float(value) for name, value in output.metrics.items()}
        found[f"{player}/loss"] = float(output.value)
    return found


def _again(experiment: Any, spec: Any, variables: Any, real: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """What the model makes of clips that it is given, float32 [clips, samples]; None where it is given none."""
    import jax

    from mgen import controls, parallel
    from mgen.contracts import Listening
    from mgen.training.sampling import settings_like

    model, features = experiment.model, experiment.features
    knobs = model.controls(spec)
    if not {"clip", "mix"} <= {knob.name for knob in knobs}:
        return None
    encoded = np.asarray(parallel.spread(features.encode, real))
    settings, _ = settings_like(knobs, spec.labels, labels)
    settings = {name: values for name, values in settings.items() if np.asarray(values).dtype.kind != "O"}
    found = []
    for start in range(0, len(real), 32):
        some = encoded[start : start + 32]
        if isinstance(model, Listening):
            some = model.listen(variables, some, spec)
        own = {name: np.asarray(values)[start : start + 32] for name, values in settings.items()}
        clip = controls.Clips(some, np.ones(len(some), bool))
        found.append(np.asarray(model.sample(variables, jax.random.key(0), own | {"clip": clip}, spec)))
    keys = jax.random.split(jax.random.key(0), len(real))
    return np.asarray(parallel.spread(features.decode, np.concatenate(found), keys))


def _reconstruction(experiment: Any, spec: Any, variables: Any, real: np.ndarray, labels: np.ndarray) -> dict | None:
    """How far held-out clips are from what the model makes of them; None where it makes nothing of a clip."""
    from mgen.losses import signal_to_noise_db
    from mgen.metrics.mel import mel_distance
    from mgen.metrics.spectral import log_spectral_distance, multi_resolution_stft_distance

    waves = _again(experiment, spec, variables, real, labels)
    if waves is None:
        return None
    return {
        "signal to noise, dB": float(signal_to_noise_db(waves, real)),
        "log-spectral, dB": float(np.mean(log_spectral_distance(waves, real))),
        "log-mel, dB": float(np.mean(mel_distance(waves, real, sample_rate=experiment.features.sample_rate))),
        "multi-resolution": float(np.mean(multi_resolution_stft_distance(waves, real))),
    }


def measured(
    name: str, sets: Mapping[str, np.ndarray], known: np.ndarray, tempo: np.ndarray | None, rate: int, seed: int
) -> dict[str, Any]:
    """What is measured of one set; lists are one number a clip."""
    import jax
    from scipy.spatial.distance import cdist

    from mgen import dsp
    from mgen.evaluation.sets import levelled
    from mgen.metrics.defects import clipping
    from mgen.metrics.distribution import frechet_infinity, kernel_distance
    from mgen.metrics.embedding import embed
    from mgen.metrics.novelty import memorisation
    from mgen.metrics.onset import onset_envelope
    from mgen.metrics.pitch import fundamental_frequency
    from mgen.metrics.rhythm import rhythm_test
    from mgen.metrics.superposition import superposition
    from mgen.metrics.tempo import tempo as tempo_of
    from mgen.metrics.tempo import tempo_factor
    from mgen.metrics.timbre import timbre
    from mgen.metrics.tone import harmonic_to_noise_db

    waves, real = sets[name], sets["held out"]
    fine = np.isfinite(waves).all(axis=1) & (np.abs(waves).max(axis=1) > 1e-4)
    scores: dict[str, Any] = {"broken or silent": float(1 - fine.mean())}
    if fine.mean() < 0.25:
        return scores
    waves = waves[fine]

    def points(some: np.ndarray) -> np.ndarray:
        level = np.sqrt(np.mean(np.square(some, dtype=np.float64), axis=1, keepdims=True))
        return np.asarray(embed((some * _LEVEL / level).astype(np.float32), sample_rate=rate, **_HEARD))

    for to in ("held out", "training"):
        if to != name:
            found = frechet_infinity(points(waves), points(sets[to]), seed=seed)
            scores[f"frechet to {to}"] = list(found)
            scores[f"kernel to {to}"] = kernel_distance(points(waves), points(sets[to])).value
    hop = 100  # 10 ms at 10 kHz
    envelope = onset_envelope(waves, sample_rate=rate, n_fft=512, hop_length=hop, n_mels=40)
    test = rhythm_test(
        envelope, rng=jax.random.key(seed), sample_rate=rate, hop_length=hop, order=6, surrogates=199, min_tempo=70.0,
        max_tempo=200.0,
    )  # fmt: skip
    scores["rhythm strength"] = np.asarray(test.strength).tolist()
    scores["rhythm p"] = np.asarray(test.p_value).tolist()
    scores["rhythmic"] = float(np.mean(np.asarray(test.p_value) < 0.05))
    estimate = np.asarray(tempo_of(envelope, sample_rate=rate, hop_length=hop))
    if tempo is not None:
        factor = tempo_factor(estimate, tempo[fine], tolerance=0.02)
        scores["tempo right"] = float(np.mean(factor == 1))
        scores["tempo right or an octave off"] = float(np.mean(np.isin(factor, (1, 2, 0.5))))
    scores["flatness"] = np.asarray(timbre(waves, sample_rate=rate).flatness).tolist()
    track = fundamental_frequency(waves[:32], sample_rate=rate)
    scores["harmonic to noise"] = float(np.nanmean(np.asarray(harmonic_to_noise_db(track))))
    scores["clipping"] = float(np.mean(np.asarray(clipping(waves))))
    if name not in ("training",):
        near, fresh = levelled(waves, sample_rate=rate), levelled(real, sample_rate=rate)
        to_known = cdist(near, known)
        scores["nearest"] = float(np.median(to_known.min(axis=1)))
        scores["nearest of held out, lower quartile"] = float(np.quantile(cdist(fresh, known).min(axis=1), 0.25))
        scores["copies"] = float(
            np.mean(memorisation(to_known, cdist(near, fresh), cdist(fresh, known), seed=seed).copied)
        )
    if name in ("generated", "held out"):
        half = np.arange(len(real)) % 2 == 0
        mel = {"sample_rate": rate, "n_fft": 1024, "hop_length": 512, "n_mels": 64}
        groups = (waves[:96], sets["training"][: int(half.sum())], real[half])
        if name == "held out":
            groups = (real[~half][:96], *groups[1:])
        found = superposition(*(np.asarray(dsp.mel_spectrogram(clips, **mel)) for clips in groups), seed=seed)
        scores["superposed"] = float(np.mean(found.p_value < 0.05))
        scores["explained by training"] = float(np.mean(found.share))
        scores["explained by held out"] = float(np.mean(found.control))
    return scores


def main(
    script: str, trials: Callable[[Sequence[str], int | None], Sequence[Trial]], tabulate: Callable, description: str
) -> None:
    """The command line of a study: does every trial that is not done, several at once, and tabulates.

    Args:
      script: its own path, which is run again for each trial.
      trials: from the names of the folders, and the steps if any were asked for, to all trials.
      tabulate: from all rows, and the name of a file of results, to what is printed and recorded.
      description: of --help.
    """
    import argparse

    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="NAME=FOLDER of songs")
    parser.add_argument("--endings", nargs="*", default=[], help="folders whose files' last quarters are held out")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the trainings, and of their rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of each training, if not the study's own")
    parser.add_argument("--batch-size", type=int, help="of each training, if not the study's own")
    parser.add_argument("--record", default=pathlib.Path(script).stem, help="name of the file of results")
    parser.add_argument("--names", nargs="*", help="only these rows of the study")
    parser.add_argument("--jobs", type=int, default=1, help="trials at once")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=pathlib.Path, nargs="*", help="only tabulate these files of rows")
    asked = parser.parse_args()
    if asked.rows:
        rows = [json.loads(line) for path in asked.rows for line in path.read_text().splitlines()]
        tabulate(rows, asked.record)
        return
    folders = dict(folder.split("=", 1) for folder in asked.folders)
    every = list(trials(list(folders), asked.steps))
    if asked.batch_size:
        every = [dataclasses.replace(trial, batch_size=asked.batch_size) for trial in every]
    numbers = {(trial.data, trial.name): number for number, trial in enumerate(every)}
    bases = {number: numbers[trial.data, trial.base] for number, trial in enumerate(every) if trial.base}
    wanted = {number for number, trial in enumerate(every) if not asked.names or trial.name in asked.names}
    out = asked.out / pathlib.Path(script).stem
    if asked.only is None:
        for name, folder in folders.items():
            deal(pathlib.Path(folder), out / "data" / name, endings=name in asked.endings)
        wanted |= {bases[number] for number in wanted if number in bases}

        def start(number: int) -> subprocess.Popen:
            return started([sys.executable, script, *sys.argv[1:], "--only", str(number)], out / f"{number:02d}.log")

        for number in in_order(sorted(wanted), bases, asked.jobs, start):
            print(f"trial {number} was not done; see {out / f'{number:02d}.log'}", flush=True)
        tabulate([json.loads(path.read_text()) for path in sorted(out.glob("*.json"))], asked.record)
        return
    trial = every[asked.only]
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        path = out / f"{asked.only:02d}_{seed}.json"
        if path.exists():
            if json.loads(path.read_text())["trial"] != _noted(trial):
                raise SystemExit(f"{path}: is of another trial; take another --out")
            continue
        base = out / f"{bases[asked.only]:02d}_{seed}" if trial.base else None
        row = perform(trial, out / "data" / trial.data, seed, out / f"{asked.only:02d}_{seed}", base)
        row["endings"] = trial.data in asked.endings
        path.write_text(json.dumps(row) + "\n")
        print(f"{trial.data}, {trial.name}, seed {seed}: {row['train_s']:.0f} s", flush=True)
