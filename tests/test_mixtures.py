"""Mixtures of songs: every song a switch, its clip at one level, and some pairs never heard in training.

Over 300 lines, because tests mirror mgen file by file.
"""

import os
import pathlib
import shutil

import numpy as np
import pytest
import soundfile

from mgen.controls import Switch
from mgen.data import DataError
from mgen.data.mixtures import Mixtures, switch_names

RATE = 8_000
CLIP = 2_000


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def music(tmp_path):
    """Ten songs of different loudness; the first is shorter than a clip, the others last 2 s."""
    for number in range(10):
        wave = np.random.default_rng(number).normal(0, 0.02 * (1 + number), RATE // 8 if number == 0 else 2 * RATE)
        soundfile.write(tmp_path / f"song {number}.wav", wave.clip(-1, 1), RATE)
    return str(tmp_path)


def opened(path, **fields):
    return Mixtures(path, **{"start_s": 0.5, **fields}).open(sample_rate=RATE, samples=CLIP)


def drawn(corpus, count=600):
    return [corpus.item("train", i % corpus.size("train"), np.random.default_rng(i)) for i in range(count)]


def test_labels_and_clips(music):
    corpus = opened(music)
    assert [label.name for label in corpus.labels] == [f"song_{number}" for number in range(8)]
    assert [label.default for label in corpus.labels] == [1.0] + [0.0] * 7
    assert all(isinstance(label, Switch) for label in corpus.labels)
    assert corpus.clips.shape == (8, CLIP) and corpus.clips.dtype == np.float32
    np.testing.assert_allclose(np.sqrt(np.mean(corpus.clips[1:] ** 2, axis=1)), 0.1, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(corpus.clips[0, :1000] ** 2)), 0.1, rtol=1e-5)  # as loud where it sounds
    assert not corpus.clips[0, 1000:].any()


def test_where_the_clip_starts(music):
    wave, _ = soundfile.read(f"{music}/song 3.wav", dtype="float32")
    for start_s, begin in ((0.5, 4000), (45.0, 14_000), (0.0, 0)):
        clip = opened(music, start_s=start_s).clips[3]
        span = wave[begin : begin + CLIP]
        np.testing.assert_allclose(clip, span * (0.1 / np.sqrt(np.mean(span**2))), atol=1e-4)


def test_songs_and_level(music):
    assert len(opened(music, songs=3).clips) == 3
    assert len(opened(music, songs=0).clips) == 10
    few = opened(music, songs=12)
    assert len(few.clips) == 10 and "10 songs of the 12 asked for as switches at -20 dB RMS" in few.report
    np.testing.assert_allclose(np.sqrt(np.mean(opened(music, level_db=-40.0).clips[5] ** 2)), 0.01, rtol=1e-4)


def test_report(music):
    lines = opened(music, songs=4).report.splitlines()
    assert lines[0].startswith(f"{music}: 4 files, ")
    assert lines[3] == "  not looked at: 6 further files"
    assert lines[4].startswith("  4 songs as switches at -20 dB RMS, loudest peak 0.")
    assert lines[5].startswith("    song 0.wav: from 0 s, gain +")
    assert lines[6].startswith("    song 1.wav: from 0.5 s, gain +")
    assert lines[9] == "  4 pairs held out of training"


def test_items_are_weighted_sums(music):
    corpus = opened(music)
    assert corpus.size("train") == 8 * 64
    for index, item in enumerate(drawn(corpus, 200)):
        assert item["wave"].dtype == item["labels"].dtype == np.float32
        assert item["wave"].shape == (CLIP,) and item["labels"].shape == (8,)
        np.testing.assert_allclose(item["wave"], item["labels"] @ corpus.clips, atol=1e-6)
        assert item["labels"].min() >= 0 and item["labels"].max() <= 1
        assert item["labels"][index % 8] > 0
    one, same, other = (corpus.item("train", 5, np.random.default_rng(seed))["labels"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("active", [1, 2, 3, 5])
def test_how_many_sound_at_once(music, active):
    counts = np.array([np.count_nonzero(item["labels"]) for item in drawn(opened(music, songs=0, active=active))])
    assert set(counts) == set(range(1, active + 1))


def test_solo_items(music):
    labels = np.array([item["labels"] for item in drawn(opened(music), 2000)])
    solo = labels[np.count_nonzero(labels, axis=1) == 1]
    assert 0.25 < len(solo) / len(labels) < 0.35
    assert 0.4 < np.mean(solo.max(axis=1) == 1) < 0.6
    everything = [item["labels"] for item in drawn(opened(music, solo_fraction=1.0), 50)]
    assert all(np.count_nonzero(row) == 1 for row in everything)


def test_weights_of_mixtures(music):
    labels = np.array([item["labels"] for item in drawn(opened(music, solo_fraction=0.0, active=2), 2000)])
    pairs = np.sort(labels, axis=1)[:, -2:]
    half, full = np.mean((pairs == 0.5).all(axis=1)), np.mean((pairs == 1).all(axis=1))
    assert 0.15 < half < 0.25 and 0.15 < full < 0.25
    assert pairs.min() >= 0.1
    between = pairs[(pairs != 0.5).all(axis=1) & (pairs != 1).all(axis=1)]
    assert between.mean() == pytest.approx(0.55, abs=0.02)


@pytest.mark.parametrize("songs", [4, 5, 8])
def test_held_out_pairs_are_never_heard_in_training(music, songs):
    corpus = opened(music, songs=songs, solo_fraction=0.0, active=3)
    assert corpus.held_out == tuple((i, (i + 1) % songs) for i in range(songs))
    heard = np.zeros((songs, songs), bool)
    for item in drawn(corpus, 1000):
        on = np.flatnonzero(item["labels"])
        heard[np.ix_(on, on)] = True
    for i in range(songs):
        for j in range(songs):
            assert heard[i, j] == ((i - j) % songs not in (1, songs - 1))  # and every other pair is


def test_validation_is_the_held_out_pairs(music):
    corpus = opened(music)
    assert corpus.size("validation") == len(corpus.held_out) == 8
    for index, pair in enumerate(corpus.held_out):
        item = corpus.item("validation", index, np.random.default_rng(index))
        expected = np.zeros(8, np.float32)
        expected[list(pair)] = 0.5
        np.testing.assert_array_equal(item["labels"], expected)
        np.testing.assert_allclose(item["wave"], corpus.clips[list(pair)].sum(axis=0) / 2, atol=1e-6)


@pytest.mark.parametrize("fields", [{"songs": 3}, {"songs": 2}, {"songs": 6, "held_out_pairs": False}])
def test_nothing_held_out(music, fields):
    corpus = opened(music, solo_fraction=0.0, **fields)
    assert corpus.held_out == () and corpus.size("validation") == 0
    assert "  0 pairs held out of training" in corpus.report
    heard = {tuple(np.flatnonzero(item["labels"])) for item in drawn(corpus)}
    assert {(i, i + 1) for i in range(fields["songs"] - 1)} <= heard


def test_one_song_is_always_alone(music):
    corpus = opened(music, songs=1, solo_fraction=0.0)
    assert all(item["labels"].shape == (1,) and item["labels"][0] > 0 for item in drawn(corpus, 20))


def test_switch_names():
    names = ["a/my song.mp3", "a/x=1, y.wav", "b/one.wav", "c d/one.wav", "two.flac", "two.wav", "two_2.wav"]
    assert switch_names(names) == ["my_song", "x_1_y", "b/one", "c_d/one", "two", "two_3", "two_2"]
    assert switch_names(["song.flac", "song.wav", "song_2.wav"]) == ["song", "song_3", "song_2"]
    assert switch_names(["-x.wav", "--y z.wav", "-.wav", "-d/e.wav", "e.wav"]) == ["x", "y_z", "_", "d/e", "e"]
    assert switch_names([os.fsdecode(b"caf\xe9.wav")]) == [r"caf\xe9"]
    assert switch_names(["a$b.wav", "a.flac", "a.wav"]) == ["a$b", "a", "a_2"]


def test_a_name_that_is_not_utf_8(music):
    first = pathlib.Path(music) / "song 0.wav"
    first.rename(first.with_name(os.fsdecode(b"caf\xe9.wav")))
    corpus = opened(music, songs=2)
    assert [(label.name, label.help) for label in corpus.labels][0] == (r"caf\xe9", r"caf\xe9.wav")
    assert rb"    caf\xe9.wav: from " in corpus.report.encode()


def test_the_fingerprint_is_of_the_songs_used(music, tmp_path_factory):
    first = opened(music, songs=3).fingerprint
    other = tmp_path_factory.mktemp("other") / "music"
    shutil.copytree(music, other)
    (other / "song 9.wav").unlink()
    assert opened(str(other), songs=3).fingerprint == first and len(first) == 16
    shutil.copy(other / "song 8.wav", other / "song 1.wav")
    assert opened(str(other), songs=3).fingerprint != first != opened(music, songs=4).fingerprint


def test_silent_clips_are_passed_over(tmp_path):
    for number in range(3):
        wave = np.random.default_rng(number).normal(0, 0.1, RATE)
        if number == 1:
            wave[RATE // 2 :] = 0
        soundfile.write(tmp_path / f"{number}.wav", wave, RATE)
    for number in (3, 4):
        soundfile.write(tmp_path / f"{number}.wav", np.random.default_rng(number).normal(0, 0.1, RATE), RATE)
    corpus = opened(str(tmp_path), songs=2)
    assert "  not looked at: 2 further files" in corpus.report
    assert [label.name for label in corpus.labels] == ["0", "2"]
    assert "    1.wav: not used, silent from 0.5 s; change data.start_s" in corpus.report
    for name in ("0", "2", "3", "4"):
        (tmp_path / f"{name}.wav").unlink()
    with pytest.raises(DataError, match=r"data.path=.*: every clip is silent; change data.start_s=0.5"):
        opened(str(tmp_path))


def test_nothing_there():
    with pytest.raises(DataError, match="data.path is empty; give a folder of audio files: --data.path DIR"):
        Mixtures().open(sample_rate=RATE, samples=CLIP)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"songs": -1}, r"data.songs=-1: expected 0 \(every file\) or more"),
        ({"start_s": -0.5}, "data.start_s=-0.5: expected 0 or more"),
        ({"start_s": float("inf")}, "data.start_s=inf: expected 0 or more"),
        ({"level_db": -float("inf")}, "data.level_db=-inf: expected 0 or less"),
        ({"level_db": 3.0}, "data.level_db=3.0: expected 0 or less"),
        ({"solo_fraction": 1.5}, "data.solo_fraction=1.5: expected 0 to 1"),
        ({"active": 0}, "data.active=0: expected 1 or more"),
    ],
)
def test_wrong_fields(music, fields, message):
    with pytest.raises(DataError, match=message):
        opened(music, **fields)


def test_wrong_split_index_and_samples(music):
    corpus = opened(music, songs=4)
    with pytest.raises(ValueError, match="split=test: expected train or validation"):
        corpus.size("test")
    with pytest.raises(IndexError, match="item 4 of validation: expected 0 to 3"):
        corpus.item("validation", 4, np.random.default_rng(0))
    with pytest.raises(DataError, match="samples=0: a clip needs at least one sample"):
        Mixtures(music).open(sample_rate=RATE, samples=0)


def table(music, text, name="about.csv"):
    pathlib.Path(music, name).write_text(text)
    return name


def test_tags_are_switches_that_songs_share(music):
    folder = pathlib.Path(music).name
    rows = "artist,file,mood\nx,song 1.wav,calm; dark\n"
    rows += f"y,{folder}/song 2.wav,calm\nz,song 3,bright mood\nx,other.wav,rare\nx,other/song 4.wav,rare\n"
    corpus = opened(music, tags=table(music, rows), column="mood")
    assert [label.name for label in corpus.labels] == ["bright_mood", "calm", "dark"]
    assert [label.default for label in corpus.labels] == [0, 1, 1], "the first song"
    assert corpus.labels[1].help == "song 1.wav, song 2.wav"
    np.testing.assert_array_equal(corpus.switches, [[0, 1, 1], [0, 1, 0], [1, 0, 0]])
    assert "song 4.wav: not used, about.csv says nothing of it" in corpus.report
    assert "3 tags of mood are the switches: bright_mood, calm, dark" in corpus.report
    songs = {tuple(row): clip for row, clip in zip(corpus.switches.tolist(), corpus.clips, strict=True)}
    alone = 0
    for item in drawn(corpus, 60):
        level = item["labels"].max()
        for own, clip in songs.items():
            if (item["labels"] == level * np.array(own)).all():
                np.testing.assert_allclose(item["wave"], level * clip, atol=1e-6)
                alone += 1
    assert alone > 5
    assert any(item["labels"].min() > 0 for item in drawn(corpus, 60)), "songs are mixed, and so are their tags"


def test_other_tags_are_other_data(music):
    first = opened(music, tags=table(music, "file,genre\nsong 1,a\nsong 2,b\n")).fingerprint
    assert first == opened(music, tags="about.csv").fingerprint
    assert first != opened(music, tags=table(music, "file,genre\nsong 1,a\nsong 2,c\n")).fingerprint
    assert first != opened(music).fingerprint


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("file,genre\nsong 1,a\n", "data.column='mood': "),
        ("file,mood\nsomething.wav,calm\n", "about.csv says nothing of these files, such as song 0.wav"),
        ("", "has the columns none"),
    ],
)
def test_tables_that_say_nothing(music, rows, words):
    with pytest.raises(DataError) as error:
        opened(music, tags=table(music, rows), column="mood")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_no_table(music):
    with pytest.raises(DataError, match="data.tags=nowhere.csv: no such file; looked for "):
        opened(music, tags="nowhere.csv")


def test_only_songs_with_tags_are_counted(music):
    rows = "file,genre\n" + "".join(f"song {number},{'ab'[number % 2]}\n" for number in (3, 5, 6, 8, 9))
    corpus = opened(music, songs=4, tags=table(music, rows))
    assert len(corpus.clips) == 4 and "song 4.wav: not used" in corpus.report
    np.testing.assert_array_equal(corpus.switches, [[0, 1], [0, 1], [1, 0], [1, 0]])
    assert corpus.held_out == ((1, 2), (3, 0)), "of songs with the same tags nothing can be held out"
    assert max(item["labels"].max() for item in drawn(corpus, 100)) > 1, "songs that share a tag add up"


def test_a_file_that_is_too_short_for_its_clips_is_not_used(music):
    corpus = opened(music, songs=0, windows=4)
    assert len(corpus.clips) == 9 * 4 and "song 0.wav: not used, 3 of its 4 clips would be silent" in corpus.report
    with pytest.raises(DataError, match="no file has 90 clips with sound in them; ask for fewer data.windows"):
        opened(music, windows=90)


def test_clips_that_follow_each_other_are_switches_each(music):
    corpus = opened(music, songs=4, windows=3, overlap=0.25, start_s=0.1)
    assert [label.name for label in corpus.labels][2:5] == ["song_1.3", "song_2.1", "song_2.2"]
    assert corpus.labels[4].help == "song 2.wav, clip 2"
    first, second, third = corpus.clips[3:6]
    np.testing.assert_array_equal(first[1500:], second[:500])
    np.testing.assert_array_equal(second[1500:], third[:500])
    wave, _ = soundfile.read(f"{music}/song 2.wav", dtype="float32")
    span = wave[800 : 800 + 5_000]
    np.testing.assert_allclose(first, span[:CLIP] * (0.1 / np.sqrt(np.mean(span**2))), atol=1e-4)
    assert corpus.held_out[3:5] == ((3, 6), (4, 7)), "the same clip of two songs"
    together = {tuple(sorted({int(clip) // 3 for clip in np.flatnonzero(item["labels"])})) for item in drawn(corpus)}
    assert {(0, 2), (1, 3)} <= together
    assert all(pair not in {(0, 1), (1, 2), (2, 3), (0, 3)} for pair in together), "no clips of held-out songs"
    assert "4 songs, 3 clips each, as switches at -20 dB RMS" in corpus.report
    with pytest.raises(DataError, match="data.windows=2: a tag cannot be several clips"):
        opened(music, windows=2, tags="about.csv")
