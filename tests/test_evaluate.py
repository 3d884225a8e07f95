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
from mgen.controls import Slider
from mgen.evaluation import scorecard, sheet
from mgen.evaluation.scorecard import Measured
from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, Sets, collect, levelled, library
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


def sets_of(generated, *, paired=False, held_out=True):
    real = chirps(12, 1)
    noise = np.random.default_rng(9).normal(0, 0.2, real.shape).astype(np.float32)
    named = {
        REAL: real,
        RECONSTRUCTED: real + 0.001 * noise,
        GENERATED: generated,
        MEAN: np.repeat(chirps(8, 5)[:1], len(real), axis=0),
        NOISE: noise,
    }
    return Sets(RATE, chirps(20, 2), named, {}, {}, paired, held_out, np.arange(len(real)))


def test_like_sounds_score_like_real_ones_and_noise_does_not():
    found = scorecard.measure(sets_of(chirps(12, 3)), seed=0)
    scores, clips = found.sets, found.clips
    assert scores[GENERATED]["kernel distance"] < 0.3 * scores[NOISE]["kernel distance"]
    assert scores[GENERATED]["coverage"] > scores[NOISE]["coverage"]
    assert clips[NOISE]["flatness"].mean() > 0.5 > clips[GENERATED]["flatness"].mean()
    assert scores[GENERATED]["copies, %"] == scores[NOISE]["copies, %"] == 0
    assert "log-mel, dB" not in clips[GENERATED], "nothing says which real clip each should be"
    assert clips[RECONSTRUCTED]["log-mel, dB"].mean() < 1
    assert "frechet" not in scores[GENERATED], "12 clips are too few for 30 dimensions"
    assert "different bins" not in scores[GENERATED], "12 clips are too few for kinds of ten"


def test_enough_sounds_have_a_frechet_distance_and_kinds():
    sets = sets_of(chirps(64, 3))
    sets = dataclasses.replace(sets, train=chirps(64, 2))
    sets.named[NOISE] = np.random.default_rng(9).normal(0, 0.2, (64, 24_000)).astype(np.float32)
    scores = scorecard.measure(sets, seed=0).sets
    assert scores[GENERATED]["frechet"] < 0.3 * scores[NOISE]["frechet"]
    assert scores[GENERATED]["different bins"] < scores[NOISE]["different bins"]


@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_copies_are_found_also_quiet_ones_and_among_all_of_the_training_clips(gain):
    sets = sets_of(gain * chirps(40, 2)[20:32])
    assert scorecard.measure(sets, seed=0).sets[GENERATED]["copies, %"] == 0, "they are not among the clips at hand"
    known = levelled(chirps(40, 2), sample_rate=RATE)
    found = scorecard.measure(sets, seed=0, library=known)
    assert found.sets[GENERATED]["copies, %"] == 100 and found.sets[NOISE]["copies, %"] == 0
    assert scorecard.verdict([found])[-1].startswith("copies: 100 %")


def test_without_held_out_clips_copies_cannot_be_told():
    scores = scorecard.measure(sets_of(chirps(20, 2)[:12], held_out=False), seed=0).sets
    assert "copies, %" not in scores[GENERATED] and "superposed, %" not in scores[GENERATED]


def melodies(count, seed):
    """Three tones that come and go by chance every quarter of a second, so that no clip is like another."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(3 * RATE) / RATE
    hertz = rng.uniform(200, 3000, (count, 3, 1))
    gates = np.repeat(rng.random((count, 3, 12)) < 0.5, RATE // 4, axis=-1)
    return (0.1 * gates * np.sin(2 * np.pi * hertz * seconds)).sum(axis=1).astype(np.float32)


def test_sums_of_training_clips_are_found():
    train = melodies(24, 2)
    few = dataclasses.replace(sets_of(train[:12] + train[12:]), train=train)
    assert "superposed, %" not in scorecard.measure(few, seed=0).sets[GENERATED], "12 held-out clips are too few"

    def superposed(waves):
        sets = dataclasses.replace(sets_of(waves), train=train, index=np.arange(24))
        sets.named[REAL] = melodies(24, 6)
        return scorecard.measure(sets, seed=0).sets[GENERATED]["superposed, %"]

    assert superposed(train[:12] + train[12:]) > 80 and superposed(melodies(12, 3)) < 25


def test_pairs_are_compared_one_to_one():
    clips = scorecard.measure(sets_of(chirps(12, 1), paired=True), seed=0).clips
    assert clips[GENERATED]["log-mel, dB"].max() < 1e-6 and clips[NOISE]["log-mel, dB"].min() > 10


def test_broken_clips_are_counted_and_the_rest_is_measured():
    generated = chirps(12, 1)
    generated[3, 100] = np.nan
    found = scorecard.measure(sets_of(generated, paired=True), seed=0)
    assert found.sets[GENERATED]["broken, %"] == pytest.approx(100 / 12)
    assert found.index[GENERATED].tolist() == [0, 1, 2, *range(4, 12)]
    assert found.clips[GENERATED]["log-mel, dB"].max() < 1e-6
    generated[:] = np.inf
    nothing = scorecard.measure(sets_of(generated), seed=0)
    assert nothing.sets[GENERATED] == {"broken, %": 100.0} and nothing.clips[GENERATED] == {}
    assert scorecard.rows(scorecard.summarise([nothing]))[-1][GENERATED] == "100"
    assert scorecard.verdict([nothing]) == []


def measured(ours, *, mean=5.5, noise=60.0, copies=0.0):
    """One seed whose sets have these kernel distances."""
    values = {GENERATED: ours, MEAN: mean, NOISE: noise}
    sets = {name: {"kernel distance": value, "copies, %": copies} for name, value in values.items()}
    return Measured(sets, {name: {} for name in values}, {name: np.arange(0) for name in values})


def test_the_verdict_says_what_was_beaten_and_what_not():
    lines = scorecard.verdict([measured(4.0), measured(5.0, copies=50.0), measured(6.0)])
    assert lines[0] == "kernel distance: NOT clearly better than mean features (5 against 5.5)"
    assert lines[1] == "kernel distance: better over 3 seeds than white noise (5 against 60)"
    assert lines[2].startswith("copies: 17 %")
    assert len(lines) == 3, "there is no log-mel where nothing is paired"


def test_the_verdict_is_of_seeds_in_pairs():
    """Seeds differ by far more than the model and its baseline do on each of them."""
    lines = scorecard.verdict([measured(level, mean=level + 1 + level / 100) for level in (5.0, 20.0, 40.0)])
    assert lines[0].startswith("kernel distance: better over 3 seeds than mean")
    assert scorecard.verdict([measured(5.0, mean=5.0001)] * 3)[0].startswith("kernel distance: the same as mean")


def test_one_seed_says_so():
    lines = scorecard.verdict([measured(4.0, noise=3.0)])
    assert lines[0].startswith("kernel distance: on this one seed better than mean features")
    assert lines[1].startswith("kernel distance: NOT better than white noise")


def of_clips(values, index, baseline=9.0):
    clips = {GENERATED: {"log-mel, dB": np.array(values)}}
    clips |= {name: {"log-mel, dB": np.full(len(values), baseline)} for name in (MEAN, NOISE)}
    return Measured({name: {} for name in clips}, clips, dict.fromkeys(clips, np.array(index)))


def test_a_clip_that_two_seeds_measured_is_one_clip():
    once = scorecard.summarise([of_clips([1.0, 2.0, 3.0], [7, 8, 9])])[GENERATED]["log-mel, dB"]
    half = 4.302652729911275 / 3**0.5  # Student's t of two degrees of freedom, standard deviation 1
    assert once == pytest.approx({"mean": 2.0, "low": 2 - half, "high": 2 + half, "of": 3})
    again = scorecard.summarise([of_clips([1.0, 2.0, 3.0], [7, 8, 9])] * 5)[GENERATED]["log-mel, dB"]
    assert again == once, "five looks at three clips are not fifteen clips"
    more = scorecard.summarise([of_clips([1.0, 2.0], [1, 2]), of_clips([3.0, np.nan], [3, 4])])
    assert more[GENERATED]["log-mel, dB"]["of"] == 3
    lines = scorecard.verdict([of_clips([1.0, 2.0, 3.0], [7, 8, 9])] * 5)
    assert lines[0] == "log-mel, dB: better over 3 clips than mean features (2 against 9)"


def test_the_table():
    runs = [measured(value) for value in (1.0, 2.0, 3.0)]
    table = scorecard.rows(scorecard.summarise(runs))
    assert table[0] == {
        "measure": "kernel distance",
        "better": "less",
        GENERATED: "2 ± 2.5",
        MEAN: "5.5",
        NOISE: "60",
    }
    alone = scorecard.summarise(runs[:1])
    assert alone[GENERATED]["kernel distance"] == {"mean": 1.0, "of": 1}
    assert scorecard.rows(alone)[0][GENERATED] == "1"
    wide = [measured(value) for value in (4411.0, 4411.0001)]
    assert scorecard.rows(scorecard.summarise(wide))[0][GENERATED] == "4411", "what is rounding is no interval"


def notes_of(midi):
    """Harmonic tones of 3 s."""
    seconds = np.arange(3 * RATE) / RATE
    hertz = 440 * 2 ** ((np.asarray(midi)[:, None] - 69) / 12)
    return sum(0.2 / n * np.sin(2 * np.pi * n * hertz * seconds) for n in (1, 2, 3)).astype(np.float32)


def test_notes_have_their_pitch():
    asked = np.arange(50.0, 62.0)
    sets = dataclasses.replace(sets_of(notes_of(asked + 1)), settings={"pitch": asked}, labels={"pitch": asked})
    sets.named[REAL] = notes_of(asked)
    clips = scorecard.measure(sets, seed=0).clips
    assert np.all(clips[REAL]["pitch right, %"] == 100) and np.all(clips[GENERATED]["pitch right, %"] == 0)
    assert clips[REAL]["harmonic to noise, dB"].min() > 20 > clips[NOISE]["harmonic to noise, dB"].max()
    sets = dataclasses.replace(sets, labels={"pitch": asked + 0.25})
    assert "pitch right, %" not in scorecard.measure(sets, seed=0).clips[REAL], "a slider of fractions asks for no note"


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


@dataclasses.dataclass(frozen=True)
class Free(toys.ToyModel):
    """Has a knob of its own, beside the level."""

    def controls(self, spec):
        return (*spec.labels, Slider("variety", 0.0, 1.5, 1.0))

    def sample(self, variables, rng, settings, spec):
        return settings["variety"][:, None] * super().sample(variables, rng, settings, spec)


def test_a_knob_of_the_models_own_stays_at_its_default():
    """Else a perfect model would be judged by sounds that nobody asked it for; and as many are made as were asked."""
    sets = collect(*toy(model=Free()), count=9, seed=0)
    assert not sets.paired and len(sets.named[REAL]) == 4
    np.testing.assert_array_equal(sets.settings["variety"], np.ones(9))
    assert set(sets.settings["level"]) <= set(sets.labels["level"]) and len(sets.named[GENERATED]) == 9


def test_the_library_is_of_all_training_clips_at_one_level():
    _, corpus = toy()
    known = library(corpus, sample_rate=RATE)
    assert len(known) == corpus.size("train") == 12
    assert np.ptp(known[:, :20].mean(axis=1)) < 0.1, "clips of levels from 0.08 to 1"
    assert len(library(corpus, sample_rate=RATE, most=5)) == 5


@pytest.mark.slow
def test_evaluate_judges_the_sliders_of_tones(run, tmp_path):
    assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, out, err = run("evaluate", "run", "--count", "3", "--seeds", "1", "--shown", "1")
    assert status == 0, err
    found = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert found["sliders"]["names"] == ["drums", "bass", "chords", "lead", "brightness"]
    assert "disentanglement" in out


def test_evaluate_writes_numbers_and_a_page(run, tmp_path):
    assert run("train", "demo:smoke", "--workdir", "run")[0] == 0
    status, out, err = run("evaluate", "run", "--count", "4", "--seeds", "2", "--shown", "2", "--no-sliders")
    assert status == 0, err
    assert "white noise" in out and "kernel distance" in out and "index.html" in out
    found = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert found["step"] == 2 and found["paired"] and len(found["runs"]) == 2
    score = found["summary"][GENERATED]["kernel distance"]
    assert score["low"] < score["high"] and score["of"] == 2 and found["counts"][GENERATED] == 4
    assert found["sliders"] is None
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
    """Every picture is decoded and every player knows its length and plays, where no name leads anywhere."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    page = page_of(tmp_path)
    probe = (
        "<script>onload=async()=>{const sounds=[...document.querySelectorAll('audio')];"
        "for(const a of sounds){a.muted=true;await a.play()}"
        "setTimeout(()=>{document.body.dataset.seen=JSON.stringify({"
        "pictures:[...document.images].map(i=>i.naturalWidth),"
        "sounds:sounds.map(a=>a.duration),played:sounds.map(a=>!a.paused)})},1500)}</script>"
    )
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</body>", probe + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-quic", "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'user'}"]
    flags += [
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1600,2400",
        "--host-resolver-rules=MAP * 0.0.0.0",
    ]
    command = [browser, *flags, "--virtual-time-budget=8000", "--dump-dom", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    seen = json.loads(re.search(r'data-seen="([^"]+)"', dom)[1].replace("&quot;", '"'))
    assert len(seen["pictures"]) == len(seen["sounds"]) == 3
    assert min(seen["pictures"]) > 100
    assert all(abs(duration - 3) < 0.1 for duration in seen["sounds"])
    assert all(seen["played"]), "play() is only over once the sound has begun; the clock of a dumped page stands still"
