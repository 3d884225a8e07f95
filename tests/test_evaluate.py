"""`mgen evaluate`: the sets it compares, the scorecard's verdict, and the page, which a browser opens."""

import dataclasses
import json
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

from mgen import audio
from mgen.contracts import Spec
from mgen.evaluation import scorecard, sheet
from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, Sets, collect
from mgen.features import Waveform
from mgen.training.checkpoint import Loaded
from mgen.training.step import create_state
from tests import toys

RATE = 8000


def chirps(count, seed, base=300.0):
    """Tones that rise and pulse, [count, 24000]."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(3 * RATE) / RATE
    start = base * rng.uniform(0.5, 2, (count, 1))
    wave = np.sin(2 * np.pi * (start * seconds + 50 * seconds**2)) * (0.2 + (seconds * 2 % 1 < 0.3))
    return (0.3 * wave + 0.01 * rng.normal(size=wave.shape)).astype(np.float32)


def sets_of(generated, *, paired=False):
    real = chirps(8, 1)
    noise = np.random.default_rng(9).normal(0, 0.2, real.shape).astype(np.float32)
    named = {
        REAL: real,
        RECONSTRUCTED: real + 0.001 * noise,
        GENERATED: generated,
        MEAN: chirps(8, 5)[:1],
        NOISE: noise,
    }
    return Sets(RATE, chirps(20, 2), named, {}, {}, paired, True)


def test_like_sounds_score_like_real_ones_and_noise_does_not():
    scores = scorecard.measure(sets_of(chirps(8, 3)), seed=0)
    assert scores[GENERATED]["frechet"] < 0.3 * scores[NOISE]["frechet"]
    assert scores[GENERATED]["coverage"] > scores[NOISE]["coverage"]
    assert scores[NOISE]["flatness"] > 0.5 > scores[GENERATED]["flatness"]
    assert scores[GENERATED]["copies"] == scores[NOISE]["copies"] == 0
    assert "log-mel, dB" not in scores[GENERATED], "nothing says which real clip each should be"
    assert scores[RECONSTRUCTED]["log-mel, dB"] < 1


def test_copies_are_found():
    assert scorecard.measure(sets_of(chirps(20, 2)[:8]), seed=0)[GENERATED]["copies"] == 1


def test_pairs_are_compared_one_to_one():
    sets = sets_of(chirps(8, 1), paired=True)
    scores = scorecard.measure(sets, seed=0)
    assert scores[GENERATED]["log-mel, dB"] < 1e-6 and scores[NOISE]["log-mel, dB"] > 10


def run_of(frechet, mean=5.5, noise=60.0, copies=0.0):
    return {GENERATED: {"frechet": frechet, "copies": copies}, MEAN: {"frechet": mean}, NOISE: {"frechet": noise}}


def test_the_verdict_says_what_was_beaten_and_what_not():
    lines = scorecard.verdict([run_of(4.0), run_of(5.0, copies=0.5), run_of(6.0)])
    assert lines[0] == "frechet: NOT clearly better than mean spectrogram (5 against 5.5)"
    assert lines[1] == "frechet: better than white noise (5 against 60)"
    assert lines[2].startswith("copies: 17 %")
    assert len(lines) == 3, "there is no log-mel where nothing is paired"


def test_the_verdict_is_of_seeds_in_pairs():
    """Seeds differ by far more than the model and its baseline do on each of them."""
    lines = scorecard.verdict([run_of(level, mean=level + 1 + level / 100) for level in (5.0, 20.0, 40.0)])
    assert lines[0].startswith("frechet: better than mean")


def test_one_seed_says_so():
    lines = scorecard.verdict([run_of(4.0, noise=3.0)])
    assert lines[0].startswith("frechet: on this one seed better than mean spectrogram")
    assert lines[1].startswith("frechet: NOT better than white noise")


def test_means_and_intervals_over_seeds():
    runs = [{GENERATED: {"frechet": value, "copies": 0.0}} for value in (1.0, 2.0, 3.0)]
    summary = scorecard.summarise(runs)
    half = 4.302652729911275 / 3**0.5  # Student's t of two degrees of freedom, standard deviation 1
    assert summary[GENERATED]["frechet"] == pytest.approx({"mean": 2.0, "low": 2 - half, "high": 2 + half})
    assert scorecard.rows(summary) == [
        {"measure": "frechet", "better": "less", GENERATED: "2 ± 2.5"},
        {"measure": "copies", "better": "less", GENERATED: "0"},
    ]
    alike = scorecard.summarise([{GENERATED: {"bandwidth, Hz": value}} for value in (4411.0, 4411.0001)])
    assert scorecard.rows(alike)[0][GENERATED] == "4411", "what is rounding is no interval"
    assert scorecard.summarise(runs[:1])[GENERATED]["frechet"] == {"mean": 1.0}
    assert scorecard.rows(scorecard.summarise(runs[:1]))[0][GENERATED] == "1"


def notes_of(midi):
    """Harmonic tones of 3 s."""
    seconds = np.arange(3 * RATE) / RATE
    hertz = 440 * 2 ** ((np.asarray(midi)[:, None] - 69) / 12)
    return sum(0.2 / n * np.sin(2 * np.pi * n * hertz * seconds) for n in (1, 2, 3)).astype(np.float32)


def test_notes_have_their_pitch():
    asked = np.arange(50.0, 58.0)
    sets = dataclasses.replace(sets_of(notes_of(asked + 1)), settings={"pitch": asked}, labels={"pitch": asked})
    sets.named[REAL] = notes_of(asked)
    scores = scorecard.measure(sets, seed=0)
    assert scores[REAL]["pitch right, %"] == 100 and scores[GENERATED]["pitch right, %"] == 0
    assert scores[REAL]["harmonic to noise, dB"] > 20 > scores[NOISE]["harmonic to noise, dB"]
    sets = dataclasses.replace(sets, labels={"pitch": asked + 0.25})
    assert "pitch right, %" not in scorecard.measure(sets, seed=0)[REAL], "a slider of fractions asks for no note"


def toy(**changes):
    """A toy run as loaded from a checkpoint, and its corpus."""
    experiment = toys.experiment(features=Waveform(sample_rate=RATE, samples=12_000), **changes)
    corpus = experiment.data.open(sample_rate=RATE, samples=12_000)
    spec = Spec(shape=(12_000,), labels=corpus.labels)
    optimisers = {player: own.build(1) for player, own in experiment.optimisers.items()}
    state = create_state(experiment.model.init(jax.random.key(0), spec), optimisers)
    return Loaded(experiment, spec, state, 7), corpus


def test_generated_sounds_have_the_labels_of_the_real_ones():
    loaded, corpus = toy()
    sets = collect(loaded, corpus, count=3, seed=0)
    assert sets.paired and sets.held_out
    levels = np.abs(sets.named[REAL]).max(axis=1)
    np.testing.assert_allclose(sets.settings["level"], levels, rtol=0.01)
    np.testing.assert_allclose(np.abs(sets.named[GENERATED]).max(axis=1), levels, rtol=0.01)
    np.testing.assert_allclose(sets.named[RECONSTRUCTED], sets.named[REAL], atol=1e-6)
    assert sets.named[MEAN].shape == sets.named[NOISE].shape == sets.named[GENERATED].shape == (3, 12_000)
    np.testing.assert_array_equal(sets.named[MEAN][0], sets.named[MEAN][1])


def test_a_seed_is_a_draw():
    one, again, other = (collect(*toy(), count=3, seed=seed).named for seed in (1, 1, 2))
    for name in (REAL, GENERATED, NOISE):
        np.testing.assert_array_equal(one[name], again[name])
        assert np.any(one[name] != other[name])


def test_data_without_validation_gives_training_clips_and_says_so():
    sets = collect(*toy(data=toys.ToyData(held_out=0)), count=5, seed=0)
    assert not sets.held_out and len(sets.named[REAL]) == 5


def test_evaluate_writes_numbers_and_a_page(run, tmp_path):
    assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, out, err = run("evaluate", "run", "--count", "4", "--seeds", "2", "--shown", "2")
    assert status == 0, err
    assert "white noise" in out and "frechet" in out and "index.html" in out
    found = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert found["step"] == 2 and found["paired"] and len(found["runs"]) == 2
    assert found["summary"][GENERATED]["frechet"]["low"] < found["summary"][GENERATED]["frechet"]["high"]
    assert found["sliders"]["names"] == ["drums", "bass", "chords", "lead", "brightness"]
    assert "disentanglement" in out
    page = (tmp_path / "run" / "evaluation" / "index.html").read_text()
    for kind in ("png", "wav"):
        names = re.findall(rf'src="([^"]+\.{kind})"', page)
        assert len(names) == 2 * 5
        assert all((tmp_path / "run" / "evaluation" / name).stat().st_size > 500 for name in names)
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--count", "2"], "--count: at least 3, got 2"),
        (["run", "--seeds", "0"], "--seeds: at least 1, got 0"),
        (["nowhere"], "nowhere: no checkpoint here; train first"),
        (["run", "--data-path", "x"], "--data-path: Tones has no path"),
    ],
)
def test_refusals(run, words, message, tmp_path):
    if words[0] == "run" and "--data-path" in words:
        assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, _, err = run("evaluate", *words)
    assert status == 1 and message in err


def page_of(folder):
    waves = chirps(2, 0)
    return sheet.write(
        folder,
        title="A run <1>",
        notes=["Said & done."],
        tables={"Scorecard": [{"measure": "frechet", "real": "1 ± 0.1"}]},
        clips={REAL: waves, GENERATED: waves[:1]},
        captions={GENERATED: ["pitch=60"]},
        sample_rate=RATE,
    )


def test_the_page_escapes_and_leaves_gaps(tmp_path):
    text = page_of(tmp_path).read_text()
    assert "A run &lt;1&gt;" in text and "Said &amp; done." in text and "generated 0: pitch=60" in text
    assert text.count("<figure>") == 3 and text.count("<span></span>") == 1
    assert audio.read(tmp_path / "0_real_001.wav", sample_rate=RATE).shape == (24_000,)


@pytest.mark.browser
def test_the_page_opens_in_a_browser(tmp_path):
    """Every picture is decoded, every player knows how long its sound is, and nothing is asked of a network."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    page = page_of(tmp_path)
    probe = (
        "<script>onload=()=>setTimeout(()=>{document.body.dataset.seen=JSON.stringify({"
        "pictures:[...document.images].map(i=>i.naturalWidth),"
        "sounds:[...document.querySelectorAll('audio')].map(a=>a.duration)})},1500)</script>"
    )
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace('loading="lazy"', "").replace("</body>", probe + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-quic", "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'user'}"]
    command = [browser, *flags, "--virtual-time-budget=8000", "--dump-dom", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    seen = json.loads(re.search(r'data-seen="([^"]+)"', dom)[1].replace("&quot;", '"'))
    assert len(seen["pictures"]) == len(seen["sounds"]) == 3
    assert min(seen["pictures"]) > 100
    assert all(abs(duration - 3) < 0.1 for duration in seen["sounds"])
