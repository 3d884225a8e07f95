"""The command lines, as a person types them.

Over 300 lines, because tests mirror mgen room by room.
"""

import json
import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from mgen import commands
from mgen.commands.arguments import find_config, load_config, parse_experiment
from mgen.training.experiment import Experiment

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def trained(run):
    """A folder with a trained smoke experiment."""
    assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    return pathlib.Path("run")


def songs(folder: pathlib.Path, count: int = 3) -> pathlib.Path:
    """A folder of short noisy songs."""
    folder.mkdir()
    for index in range(count):
        wave = np.random.default_rng(index).normal(0, 0.1, 30_000).astype(np.float32)
        soundfile.write(folder / f"song {index}.wav", wave, 8_000)
    return folder


# --- mgen ------------------------------------------------------------


def test_help_names_the_verbs(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(verb in out for verb in commands.VERBS)
    assert run("trian") == (
        2,
        "",
        f"mgen: no verb 'trian'; the verbs are {', '.join(commands.VERBS)}\n",
    )


@pytest.mark.parametrize("program", [["train.py"], ["sample.py"], ["-m", "mgen", "train"], ["-m", "mgen", "sample"]])
def test_every_entry_has_help(program):
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


# --- train ------------------------------------------------------------


def test_help_lists_every_field_with_its_meaning_and_default(run):
    _, out, _ = run("train", "switches", "--help")
    text = " ".join(out.replace("│", " ").split())
    for words in (
        "--data.path STR Folder of audio files, searched with all its subfolders.",
        "--model.upscale INT Pixel-shuffle factor r;",
        "--optimisers.decoder.rate FLOAT Peak learning rate. (default: 0.005)",
        "--steps INT Steps of the whole run. (default: 2000)",
        "--workdir PATH Folder of the run;",
        "Switches: eight songs of your own",
    ):
        assert words in text


def test_overrides_reach_every_level():
    experiment, workdir = parse_experiment(
        [
            "switches",
            "--data.songs",
            "3",
            "--model.head",
            "decibel",
            "--optimisers.decoder.rate",
            "0.5",
            "--steps",
            "7",
        ],
        program="train.py",
        default_config="demo",
    )
    assert type(experiment) is Experiment
    chosen = (experiment.data.songs, experiment.model.head, experiment.optimisers["decoder"].rate, experiment.steps)
    assert chosen == (3, "decibel", 0.5, 7)
    assert workdir == pathlib.Path("runs/switches")


def test_no_argument_is_the_demo():
    experiment, workdir = parse_experiment([], program="train.py", default_config="demo")
    assert experiment == load_config("demo")[0]
    assert workdir == pathlib.Path("runs/demo")


def test_a_mistyped_field_is_refused_with_the_nearest_name(run):
    status, _, err = run("train", "demo", "--model.widht", "3")
    assert status == 2
    assert "Unrecognized options: --model.widht" in err
    assert "--model.width INT" in err
    status, _, err = run("train", "--model.width", "1.5")
    assert status == 2
    assert "--model.width" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dmo"], "dmo: no such config; give a file, or one of "),
        (["demo:tiny"], "holds no experiment named 'tiny'; it holds experiment, smoke"),
        (["switches"], "data.path is empty; give a folder of audio files: --data.path DIR"),
        (["switches", "--data.path", "nowhere"], "nowhere"),
        (
            ["demo", "--model.upscale", "3"],
            "model.upscale: 3 does not divide 512 frames and 128 bins; use one of 1, 2, 4",
        ),
        (["demo", "--batch-size", "5"], "batch_size: 5 does not divide over 4 devices; use a multiple of 4"),
        (["demo", "--features.floor-db", "4"], "features.floor_db: expected less than 0, got 4.0"),
        (["demo", "--steps", "0"], "steps: expected at least 1, got 0"),
        (["demo", "--data.drums", "1", "0"], "drums"),
        (["demo:smoke", "--workdir", "/dev/null/run"], "--workdir /dev/null/run: Not a directory"),
        (["demo", "--seed", "-1"], "seed: expected at least 0, got -1"),
        (
            ["demo", "--features.fmax", "1e6"],
            "expected 0 <= fmin < fmax <= 11025 (half the sample rate), got 0 and 1e+06",
        ),
        (["demo", "--features.n-fft", "0"], "features.n_fft: expected at least 1, got 0"),
        (["demo", "--features.n-iter", "-1"], "features.n_iter: expected 0 or more, got -1"),
        (["demo", "--features.hop-length", "4096"], "features.hop_length: expected at most n_fft=2048, got 4096"),
        (["demo", "--features.frames", "2"], "are 512 samples, too few for n_fft=2048; give more frames"),
        (["demo", "--model.width", "0"], "model.width: expected at least 1, got 0"),
        (["demo", "--model.depth", "-1"], "model.depth: expected at least 0, got -1"),
        (["demo", "--optimisers.decoder.clip", "-1"], "optimisers.*.clip: expected 0 or more, got -1"),
    ],
)
def test_what_cannot_be_trained_is_one_line(run, arguments, message):
    status, _, err = run("train", *arguments)
    assert status in (1, 2)
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_trains_on_a_folder_of_songs_and_names_its_switches(run, tmp_path):
    songs(tmp_path / "songs")
    (tmp_path / "songs" / "notes.wav").write_text("not a sound")
    small = [
        "--features.sample-rate",
        "8000",
        "--features.frames",
        "32",
        "--features.n-mels",
        "32",
        "--model.width",
        "4",
    ]
    small += ["--features.n-fft", "512", "--features.hop-length", "256", "--steps", "4", "--batch-size", "4"]
    assert run("train", "switches", "--data.path", tmp_path / "songs", *small)[0] == 0
    found = (tmp_path / "runs" / "switches" / "data.txt").read_text()
    assert "notes.wav" in found
    status, out, _ = run("sample", "runs/switches", "--list")
    assert status == 0
    assert "song_1: 0 to 1, default 0. song 1.wav" in out
    (tmp_path / "songs").rename(tmp_path / "gone")  # sampling never needs the training data
    words = ["--set", "song_0=1", "song_2=0.5", "--then", "song_1=0.5", "--count", "1", "--out", "x"]
    assert run("sample", "runs/switches", *words)[0] == 0
    made = json.loads(pathlib.Path("x/samples.json").read_text())["samples"][0]
    assert made["then"] == [{"song_0": 0, "song_1": 0.5, "song_2": 0}], "switches that are not named go off"


def test_another_experiment_in_the_folder_is_one_line(run, trained):
    status, _, err = run("train", "demo:smoke", "--workdir", trained, "--model.width", "16")
    assert status == 1
    assert "run holds another experiment: model.width: saved 8, asked 16. Use another --workdir" in err


# --- sample ------------------------------------------------------------


def test_writes_sounds_pictures_and_how_they_were_made(run, trained):
    status, out, _ = run(
        "sample", trained, "--set", "drums=1", "bass=0.5", "--count", "2", "--seed", "0", "--out", "here"
    )
    assert status == 0
    assert out.count("drums=1 bass=0.5") == 2
    about = json.loads(pathlib.Path("here/samples.json").read_text())
    assert (about["step"], about["seed"], len(about["samples"])) == (2, 0, 2)
    for made in about["samples"]:
        assert (made["settings"]["drums"], made["settings"]["bass"], made["settings"]["pattern"]) == (1, 0.5, "house")
        wave, rate = soundfile.read(pathlib.Path("here") / made["file"])
        features = runpy.run_path(str(find_config("demo")))["smoke"].features
        assert (len(wave), rate) == (features.samples, features.sample_rate)
        assert (pathlib.Path("here") / made["file"]).with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_every_set_counts(run, trained):
    assert (
        run("sample", trained, "--set", "drums=1", "--count", "1", "--set", "bass=0.25", "lead=0", "--out", "x")[0] == 0
    )
    values = json.loads(pathlib.Path("x/samples.json").read_text())["samples"][0]["settings"]
    assert (values["drums"], values["bass"], values["lead"]) == (1, 0.25, 0)


def test_what_follows_is_one_longer_sound(run, trained):
    features = runpy.run_path(str(find_config("demo")))["smoke"].features
    words = ["--set", "drums=1", "bass=0", "lead=0", "--then", "bass=1", "--then", "drums=0", "pattern=lofi"]
    assert run("sample", trained, *words, "--count", "2", "--out", "long")[0] == 0
    made = json.loads(pathlib.Path("long/samples.json").read_text())["samples"]
    assert len(made) == 2
    rows = [made[1]["settings"], *made[1]["then"]]
    assert [(row["drums"], row["bass"], row["lead"], row["pattern"]) for row in rows] == [
        (1, 0, 0, "house"),
        (1, 1, 0, "house"),
        (0, 1, 0, "lofi"),
    ]
    wave, _ = soundfile.read("long/sample_001.wav")
    overlap = features.frames - round(7 / 8 * (features.frames - 1))
    assert len(wave) == (3 * features.frames - 2 * overlap - 1) * features.hop_length
    assert run("sample", trained, "--settings", "long/samples.json", "--out", "again")[0] == 0
    assert pathlib.Path("again/sample_001.wav").read_bytes() == pathlib.Path("long/sample_001.wav").read_bytes()
    assert run("sample", trained, *words[:-3], "--then=drums=0", "pattern=lofi", "--count=2", "--out=same")[0] == 0
    assert pathlib.Path("same/sample_001.wav").read_bytes() == pathlib.Path("long/sample_001.wav").read_bytes()
    status, _, err = run("sample", trained, "--set", "drums=1", "--then")
    assert status == 1 and "--then: expected name=value after it" in err
    status, _, err = run("sample", trained, "--set", "drums=1", "--then", "drms=1")
    assert status == 1 and "no control is named 'drms'; did you mean 'drums'?" in err
    about = json.loads(pathlib.Path("long/samples.json").read_text())
    about["samples"][0].pop("then")
    pathlib.Path("uneven.json").write_text(json.dumps(about))
    status, _, err = run("sample", trained, "--settings", "uneven.json")
    assert status == 1 and "expected a samples.json" in err


def test_stereo_is_the_mono_sound_made_wide_and_made_again(run, trained):
    words = ["sample", trained, "--set", "drums=1", "--count", "1", "--seed", "3"]
    assert run(*words, "--out", "mono")[0] == 0
    assert run(*words, "--channels", "2", "--out", "wide")[0] == 0
    about = [json.loads(pathlib.Path(f"{name}/samples.json").read_text()) for name in ("mono", "wide")]
    assert [one["channels"] for one in about] == [1, 2]
    mono, wide = (soundfile.read(f"{name}/sample_000.wav")[0] for name in ("mono", "wide"))
    assert wide.shape == (len(mono), 2) and np.abs(wide[:, 0] - wide[:, 1]).max() > 0.01
    middle = wide.mean(axis=1)
    whole = np.abs(mono) < 0.99  # not clipped: the stereo is made quieter instead
    gain = np.vdot(middle[whole], mono[whole]) / np.vdot(mono[whole], mono[whole])
    assert gain <= 1.001
    np.testing.assert_allclose(middle[whole], gain * mono[whole], atol=1.5 / 2**15)
    assert run("sample", trained, "--settings", "wide/samples.json", "--out", "again")[0] == 0
    assert pathlib.Path("again/sample_000.wav").read_bytes() == pathlib.Path("wide/sample_000.wav").read_bytes()
    pictures = [pathlib.Path(f"{name}/sample_000.png").read_bytes() for name in ("mono", "wide")]
    assert pictures[0] == pictures[1]
    about[0].pop("channels")  # as files of before are
    pathlib.Path("old.json").write_text(json.dumps(about[0]))
    assert run("sample", trained, "--settings", "old.json", "--out", "old")[0] == 0
    assert pathlib.Path("old/sample_000.wav").read_bytes() == pathlib.Path("mono/sample_000.wav").read_bytes()
    for channels in (0, 3):
        status, _, err = run(*words, "--channels", channels)
        assert status == 1 and f"--channels: 1 (mono) or 2 (stereo, widened from the mono sound); got {channels}" in err
    status, _, err = run("sample", trained, "--settings", "old.json", "--channels", "2")
    assert status == 1 and "--step and --channels; leave them out" in err
    pathlib.Path("odd.json").write_text(json.dumps(about[0] | {"channels": 3}))
    status, _, err = run("sample", trained, "--settings", "odd.json")
    assert status == 1 and "channels is neither 1 nor 2" in err


def test_waveforms_cannot_be_joined(run):
    assert run("train", "switches_original:smoke", "--workdir", "waves")[0] == 0
    status, _, err = run("sample", "waves", "--set", "drums=1", "--then", "drums=0")
    assert status == 1 and "--then: clips of Waveform cannot be joined to a longer sound" in err


def test_a_config_with_classes_of_its_own_is_refused_before_training(run):
    pathlib.Path("own.py").write_text(
        "import dataclasses\nfrom mgen.commands.arguments import load_config\n"
        "from mgen.training.optimisers import Adam\n"
        "@dataclasses.dataclass(frozen=True)\nclass Mine(Adam):\n    pass\n"
        "experiment = dataclasses.replace(load_config('demo')[0], optimisers={'decoder': Mine()})\n"
    )
    status, _, err = run("train", "own.py")
    assert status == 1
    assert "Mine is not a type of mgen; a checkpoint may only name those, and so the run could not be sampled" in err


def test_the_same_seed_gives_the_same_sounds(run, trained):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("sample", trained, "--count", "2", "--seed", seed, "--out", folder)[0] == 0
    first, second, third = (pathlib.Path(folder, "sample_001.wav").read_bytes() for folder in "abc")
    assert first == second != third


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "drms=1"], "no control is named 'drms'; did you mean 'drums'? The controls are: pattern, drums,"),
        (["--set", "drums=2"], "drums=2: out of range, expected 0 to 1"),
        (["--set", "pattern=jungle"], "pattern=jungle: expected one of house, lofi, breakbeat"),
        (["--count", "0"], "--count: at least 1, --seed: at least 0; got 0 and 0"),
        (["--seed", "-1"], "--count: at least 1, --seed: at least 0; got 4 and -1"),
        (["--step", "77"], "run: no checkpoint of step 77; there are [2]"),
    ],
)
def test_what_cannot_be_sampled_is_one_line(run, trained, arguments, message):
    status, _, err = run("sample", trained, *arguments)
    assert status == 1
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_folder_without_a_checkpoint_is_one_line(run, tmp_path):
    status, _, err = run("sample", tmp_path / "nothing")
    assert status == 1
    assert "no checkpoint here; train first: mgen train CONFIG --workdir" in err
