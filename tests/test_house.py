"""System 001 end to end: songs of three tempi in, sounds of the tempo that is asked for out; and its study's tables."""

import dataclasses
import json
import pathlib
import runpy

import numpy as np
import pytest

from benchmarks import families, processes, record, trials
from mgen import audio, panel
from mgen.data.beats import Beats
from mgen.evaluation.sets import GENERATED, REAL, collect
from mgen.features import LogMel
from mgen.training.checkpoint import load
from mgen.training.loop import train
from mgen.training.sampling import generate
from mgen.training.step import averaged
from tests.clicks import RATE, click_track, even

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "house_flow.py"
TEMPI = (97, 120, 148)
FEATURES = LogMel(sample_rate=RATE, frames=201, n_fft=512, hop_length=128, n_mels=24, n_iter=4)  # 2.56 s: 4 beats at 94


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny flow of clicks at three tempi, after two steps, and its folder."""
    songs, workdir = tmp_path_factory.mktemp("songs"), tmp_path_factory.mktemp("run")
    for bpm in TEMPI:
        wave = click_track(even(bpm, 12, 0.1), 12, hertz=500 + 5 * bpm)
        audio.write(songs / f"clicks_{bpm}bpm.wav", wave, sample_rate=RATE)
    smoke = runpy.run_path(str(CONFIG))["smoke"]
    model = dataclasses.replace(smoke.model, patch=3, coordinates=8, examples=32)
    data = Beats(str(songs), beats=4, validation_fraction=0.0)
    train(dataclasses.replace(smoke, data=data, features=FEATURES, model=model), workdir)
    return load(workdir)


@pytest.mark.parametrize("bpm", TEMPI)
def test_the_tempo_that_is_asked_for_is_heard(trained, bpm):
    knobs = trained.experiment.model.controls(trained.spec)
    settings = panel.settle(knobs, {"tempo": float(bpm)}, count=2, rng=np.random.default_rng(0), vary=False)
    settings["variety"] = np.zeros(2)  # the middle of all clips has a click at each beat, and little else
    waves = generate(trained.experiment, trained.spec, averaged(trained.state), settings, seed=0)
    assert waves.shape == (2, FEATURES.samples)
    step = 60 / bpm * RATE
    for wave in waves:
        loud = np.convolve(np.square(wave), np.ones(160), "same")
        on_beat = [loud[max(0, round(beat * step) - 200) : round(beat * step) + 400].max() for beat in range(1, 4)]
        between = [loud[round((beat + 0.35) * step) : round((beat + 0.75) * step)].max() for beat in range(1, 3)]
        assert min(on_beat) > 5 * max(between)


def test_it_is_judged_as_it_is_heard(trained):
    data, features = trained.experiment.data, trained.experiment.features
    corpus = data.open(sample_rate=RATE, samples=features.samples)
    sets = collect(trained, corpus, count=4, seed=0)
    assert sets.named[GENERATED].shape == sets.named[REAL].shape == (4, features.samples)
    assert set(np.round(sets.labels["tempo"])) <= set(TEMPI)


def test_clips_cut_on_the_beat_and_anywhere_differ_in_that_alone(tmp_path):
    on, off = (trials.experiment_of(trials.Trial("songs", "VAE", "house_vae", aligned=aligned), tmp_path, 1)
               for aligned in (True, False))  # fmt: skip
    assert off.data.start == "anywhere" and dataclasses.replace(off.data, start="beat") == on.data
    assert dataclasses.replace(off, data=on.data) == on and on.data.path == str(tmp_path / "train")


def row(name, seed, *, broken=False):
    """What `benchmarks/trials.py` gives for a trial and a seed, in short."""
    rng = np.random.default_rng([seed, len(name)])
    score = {"broken or silent": 1.0}
    if not broken:
        score = {
            "broken or silent": 0.0,
            "rhythm strength": (rng.normal(0.9 if name == "autoencoder" else 0.2, 0.01, 8)).tolist(),
            "rhythm p": [0.01] * 6 + [0.5] * 2,
            "rhythmic": 0.75,
            "flatness": [0.1] * 8,
            "harmonic to noise": 3.0,
            "clipping": 0.0,
            "frechet to held out": [2.0, 1.0, 3.0],
            "kernel to held out": 0.5,
            "nearest": 2.0,
            "nearest of held out, lower quartile": 1.0,
            "copies": 0.0,
            "superposed": 0.25,
        }
    names = ("generated", "held out", "training", "mean features", "white noise")
    trial = {
        "data": "songs",
        "name": name,
        "steps": 2,
        "batch_size": 16,
        "base": families.FAMILIES[name].get("base", ""),
    }
    about = {"trial": trial, "seed": seed, "where": record.machine(), "train_s": 90.0 + 60 * seed, "sample_s": 0.02}
    return about | {"scores": dict.fromkeys(names, score)}


def test_the_study_is_tabulated_and_survives_a_family_that_broke(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    rows = [row(name, seed, broken=name == "GAN") for name in families.FAMILIES for seed in range(3)]
    families.tabulate(rows, "families")
    printed = capsys.readouterr().out
    assert "songs, GAN: all sounds are broken or silent" in printed
    assert (
        "| songs | VAE | 32 | 3 | 0.2 | 75.0 | - | 0.1 | 3.0 | 0.0 "
        "| 2.0 (1.0 to 3.0) | 0.5 | 2.0 | 0.0 | 25.0 | 2.5 | 20 |" in printed
    )
    first, second = json.loads((tmp_path / "families_alignment.json").read_text())["table"]
    assert first["rhythm strength"] == pytest.approx(0.9, abs=0.02)
    assert first["its rhythm strength"] == pytest.approx(0.2, abs=0.02)
    assert float(first["p, over seeds"]) < 1e-3 < float(second["p, over seeds"])
    assert {path.name for path in tmp_path.iterdir()} == {"families.json", "families_alignment.json"}
    table = {entry["sounds"]: entry for entry in json.loads((tmp_path / "families.json").read_text())["table"]}
    both = table["flow of latents"]  # with its autoencoder
    assert (both["clips trained on"], both["minutes to train"], both["ms a sound"]) == (64, 5.0, 20)


def test_results_may_have_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    families.tabulate([row("VAE", 0)], "larger")
    assert {path.name for path in tmp_path.iterdir()} == {"larger.json"}


def test_a_trial_begins_from_a_run_where_its_config_does_and_nowhere_else(tmp_path):
    flow, latents = (trials.Trial("songs", config, config) for config in ("house_flow", "house_latents"))
    assert trials.experiment_of(latents, tmp_path, 0, tmp_path / "run").base == str(tmp_path / "run")
    assert trials.experiment_of(flow, tmp_path, 0).base == ""
    for trial, base in ((latents, None), (flow, tmp_path)):
        with pytest.raises(ValueError, match="begins from"):
            trials.experiment_of(trial, tmp_path, 0, base)


class Process:
    """Ends at its third poll."""

    def __init__(self, number, returncode, log):
        self.number, self.returncode, self.log, self.polls = number, returncode, log, 0
        log.append(f"start {number}")

    def poll(self):
        self.polls += 1
        if self.polls < 3:
            return None
        self.log.append(f"end {self.number}")
        return self.returncode


def test_trials_come_after_what_they_begin_from(monkeypatch):
    monkeypatch.setattr(processes.time, "sleep", lambda seconds: None)
    log = []
    failed = processes.in_order([0, 1, 2, 3], {0: 2}, 2, lambda number: Process(number, 0, log))
    assert not failed and log.index("end 2") < log.index("start 0")
    assert sorted(log) == sorted(f"{word} {number}" for word in ("start", "end") for number in range(4))
    running = [sum(1 if entry.startswith("start") else -1 for entry in log[: end + 1]) for end in range(len(log))]
    assert max(running) == 2


def test_what_begins_from_a_trial_that_failed_is_not_done(monkeypatch):
    monkeypatch.setattr(processes.time, "sleep", lambda seconds: None)
    log = []
    failed = processes.in_order([0, 1, 2], {0: 2}, 3, lambda number: Process(number, int(number == 2), log))
    assert failed == [2, 0] and "start 0" not in log and "end 1" in log


def test_what_was_recorded_stays_where_it_is_not_made_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    families.tabulate([row(name, seed) for name in families.FAMILIES for seed in range(3)], "families")
    before = json.loads((tmp_path / "families.json").read_text())["table"]
    again = [row("VAE", seed) for seed in range(2)]
    for one in again:
        one["held out"] = {"vae/used": 0.5 + 0.25 * one["seed"], "vae/divergence": 20.0, "vae/error": 0.1}
        one["trial"] = one["trial"] | {"steps": 4}
        one["scores"]["generated"]["frechet to held out"] = [7.0, 6.0, 8.0]
    more = row("flow", 0)["trial"] | {"data": "more"}
    families.tabulate([*again, row("flow", 0) | {"trial": more, "endings": True}], "families")
    written = json.loads((tmp_path / "families.json").read_text())
    table = {(entry["songs"], entry["sounds"]): entry for entry in written["table"]}
    for entry in before:
        own = table["songs", entry["sounds"]]
        assert (own["seeds"], own["clips trained on"]) == (2, 64) if entry["sounds"] == "VAE" else own == entry
    assert table["more", "flow"]["seeds"] == table["more", "held out"]["seeds"] == 1
    assert len(written["details"]) == 3 * len(families.FAMILIES) - 3 + 2 + 1
    assert "of more the last quarter of each file is held out" in written["about"]
    (used,) = json.loads((tmp_path / "families_vae.json").read_text())["table"]
    assert used["VAE"] == "VAE" and 62 in used.values() and 20.0 in used.values() and 10.0 in used.values()
    # A VAE that was trained longer is not compared with one that was not.
    kept = json.loads((tmp_path / "families_alignment.json").read_text())["table"]
    assert [entry["cut on the beat"] for entry in kept] == ["autoencoder"]
