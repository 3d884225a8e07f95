"""What the scorecard measures, its intervals and its verdict, on sounds made for it."""

import dataclasses

import numpy as np
import pytest

from mgen.evaluation import scorecard
from mgen.evaluation.scorecard import Measured
from mgen.evaluation.sets import GENERATED, MEAN, NOISE, REAL, RECONSTRUCTED, Sets, levelled

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
