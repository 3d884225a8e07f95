"""Genres from the real layouts of GTZAN and FMA and from plain folders: what is found, and how it splits."""

import numpy as np
import pytest
import soundfile

from mgen import audio
from mgen.data import DataError
from mgen.data.genres import Genres

RATE, SAMPLES = 8_000, 4_000


def sound(path, seconds=3.0, seed=0, gain=0.1):
    """Noise of its own for each path, or the same content would be refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *path.as_posix().encode()])
    wave = (gain * rng.standard_normal(round(seconds * RATE))).clip(-1, 1).astype(np.float32)
    soundfile.write(path, wave, RATE, subtype="PCM_16")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "cache"))


def opened(path, **fields):
    return Genres(path=str(path), **fields).open(sample_rate=RATE, samples=SAMPLES)


def tracks(corpus, split):
    return [corpus.track(split, index) for index in range(corpus.size(split))]


def items(corpus, split):
    return [corpus.item(split, index, np.random.default_rng(index)) for index in range(corpus.size(split))]


@pytest.fixture
def gtzan(tmp_path):
    """Kaggle's copy: genres_original beside pictures and tables, one file corrupt, lengths unequal."""
    root = tmp_path / "Data"
    for genre in ("blues", "jazz"):
        for number in (0, 1, 2, 53, 54):
            sound(root / "genres_original" / genre / f"{genre}.{number:05}.wav", seconds=2.9 + 0.004 * number)
        picture = root / "images_original" / genre / f"{genre}00000.png"
        picture.parent.mkdir(parents=True)
        picture.write_bytes(b"\x89PNG")
    (root / "features_30_sec.csv").write_text("filename,label\nblues.00000.wav,blues\n")
    (root / "genres_original" / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF\x00\x00\x00\x00corrupt")
    return root


@pytest.mark.parametrize("below", ["", "genres_original"])
def test_gtzan_as_kaggle_has_it(gtzan, below):
    corpus = opened(gtzan / below)
    assert corpus.labels[0].name == "genre" and corpus.labels[0].options == ("blues", "jazz")
    whole = [line for line in corpus.report.splitlines() if "jazz.00054.wav" in line]
    assert len(whole) == 1 and "rejected: 1" in corpus.report  # said, with its reason, and passed by
    names = {name for split in ("train", "validation") for name in tracks(corpus, split)}
    assert len(names) == 9
    # 2.9 to 3.12 s are six segments of 0.5 s: what is nearly whole is filled up, the tail is cut.
    assert corpus.size("train") + corpus.size("validation") == 9 * 6
    for item, name in zip(items(corpus, "train"), tracks(corpus, "train"), strict=True):
        assert corpus.labels[0].options[int(item["labels"][0])] in name
        assert item["wave"].shape == (SAMPLES,)


def test_gtzan_as_the_tarball_has_it(tmp_path):
    """genres/GENRE/GENRE.NNNNN.au."""
    for genre in ("classical", "metal", "pop"):
        for number in range(2):
            sound(tmp_path / "in" / "genres" / genre / f"{genre}.{number:05}.au")
    corpus = opened(tmp_path / "in")
    assert corpus.labels[0].options == ("classical", "metal", "pop")


def test_split_by_track_shares_none_and_has_every_genre(gtzan):
    corpus = opened(gtzan)
    train, held = tracks(corpus, "train"), tracks(corpus, "validation")
    assert not set(train) & set(held)
    assert {item["labels"][0] for item in items(corpus, "validation")} == {0.0, 1.0}
    others = tracks(opened(gtzan, split_seed=3), "validation")
    assert set(others) != set(held)


def test_split_by_segment_shares_tracks_but_no_segment(gtzan):
    corpus = opened(gtzan, split="segment", validation_fraction=0.3)
    assert set(tracks(corpus, "train")) & set(tracks(corpus, "validation"))
    heard = [item["wave"].tobytes() for split in ("train", "validation") for item in items(corpus, split)]
    assert len(set(heard)) == len(heard) == 9 * 6


def test_segments_follow_each_other_at_one_level(gtzan):
    corpus = opened(gtzan)
    name = corpus.track("train", 0)
    wave = audio.read(gtzan / name, sample_rate=RATE)[:SAMPLES]
    made = corpus.item("train", 0, np.random.default_rng(0))["wave"]
    np.testing.assert_allclose(made / np.std(made), wave / np.std(wave), atol=1e-3)
    assert 20 * np.log10(np.sqrt(np.mean(made**2))) == pytest.approx(-20.0, abs=1e-3)
    plain = opened(gtzan, level_db=None).item("train", 0, np.random.default_rng(0))["wave"]
    np.testing.assert_allclose(plain, wave, atol=1e-4)
    # A clip that a person gives is brought to the same level.
    given = Genres(path="x").level(3 * wave)
    np.testing.assert_allclose(given, made, atol=1e-3)


def test_random_segments_are_of_training_alone(gtzan):
    grid, anywhere = opened(gtzan), opened(gtzan, crop="random")
    for split, same in (("train", False), ("validation", True)):
        ours, theirs = (items(corpus, split) for corpus in (grid, anywhere))
        assert len(ours) == len(theirs)
        assert all(np.array_equal(a["wave"], b["wave"]) for a, b in zip(ours, theirs, strict=True)) == same


FMA = """,album,album,set,set,track,track,track
,comments,tags,split,subset,bit_rate,genre_top,title
track_id,,,,,,,
2,0,[],training,small,256000,Hip-Hop,Food
3,0,[],training,small,256000,Hip-Hop,"Electric, Ave"
5,0,[],validation,small,256000,Hip-Hop,This World
10,0,[],training,small,192000,Pop,Freeway
134,0,[],training,medium,192000,Pop,Street Music
135,0,[],test,small,256000,Pop,Father's Day
136,0,[],validation,small,256000,Pop,Peel Back
140,0,[],training,large,256000,,Untold
"""


@pytest.fixture
def fma(tmp_path):
    for number in (2, 3, 5, 10, 134, 135, 136, 140, 999):
        sound(tmp_path / "fma" / "fma_small" / f"{number // 1000:03}" / f"{number:06}.wav", seconds=1.0)
    (tmp_path / "fma" / "fma_metadata").mkdir()
    (tmp_path / "fma" / "fma_metadata" / "tracks.csv").write_text(FMA)
    return tmp_path / "fma" / "fma_small"


def test_fma_splits_as_its_table_says(fma):
    """Three header lines; a track without a genre, or not in the table, is no item; the test set is not heard."""
    corpus = opened(fma, table="fma_metadata/tracks.csv")
    assert corpus.labels[0].options == ("Hip-Hop", "Pop")
    assert set(tracks(corpus, "train")) == {f"000/{number:06}.wav" for number in (2, 3, 10, 134)}
    assert set(tracks(corpus, "validation")) == {f"000/{number:06}.wav" for number in (5, 136)}
    assert "2 of the test set" in corpus.report
    small = opened(fma, table="fma_metadata/tracks.csv", subset="small")
    assert set(tracks(small, "train")) == {f"000/{number:06}.wav" for number in (2, 3, 10)}
    assert small.fingerprint != corpus.fingerprint
    mixed = opened(fma, table="fma_metadata/tracks.csv", split="segment", crop="grid", validation_fraction=0.3)
    heard = {*tracks(mixed, "train"), *tracks(mixed, "validation")}
    assert heard == {f"000/{number:06}.wav" for number in (2, 3, 5, 10, 134, 136)}, (
        "by segment nor is the test set heard"
    )


def test_any_table(tmp_path):
    for name in ("a", "b", "c", "d"):
        sound(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "in" / "songs.csv").write_text("file,pattern\na.wav,house\nb.wav,house\nc.wav,lofi\n")
    corpus = opened(tmp_path / "in", table="songs.csv", column="pattern", validation_fraction=0.0)
    assert corpus.labels[0].options == ("house", "lofi")
    assert set(tracks(corpus, "train")) == {"a.wav", "b.wav", "c.wav"} and corpus.size("validation") == 0


def test_some_of_the_folders(tmp_path):
    for name in ("rain/a", "rain/deep/b", "music/c", "speech/d"):
        sound(tmp_path / "in" / f"{name}.wav")
    assert opened(tmp_path / "in").labels[0].options == ("music", "rain", "speech")
    corpus = opened(tmp_path / "in", genres=("rain", "music"))
    assert corpus.labels[0].options == ("music", "rain")
    assert "speech" not in corpus.report


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"split": "song"}, r"data\.split=song: expected track or segment"),
        ({"split": "segment", "crop": "random"}, r"data\.crop=random: would hear the segments"),
        ({"validation_fraction": 1.0}, r"data\.validation_fraction=1\.0: expected 0 up to but not 1"),
        ({"level_db": 3.0}, r"data\.level_db=3\.0: expected 0 or less"),
        ({"subset": "small", "table": "t.csv"}, r"data\.subset=small: t\.csv is not FMA's"),
        ({"table": "no.csv"}, r"data\.table=no\.csv: no such file"),
        ({"genres": ("rain", "wind")}, r"genres are rain; at least two are needed"),
        ({"genres": ("rain", "music", "wind")}, r"there is no wind"),
        ({"genres": ("wind",)}, r"none of 2 audio files, such as music/c\.wav, is one that is wanted"),
    ],
)
def test_wrong_fields_are_refused(tmp_path, fields, message):
    for name in ("rain/a", "music/c"):
        sound(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "in" / "t.csv").write_text("file,genre\na.wav,x\n")
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "in", **fields)


def test_no_such_item(gtzan):
    corpus = opened(gtzan)
    with pytest.raises(IndexError, match="item 99 of train"):
        corpus.item("train", 99, np.random.default_rng(0))
    with pytest.raises(ValueError, match="split=test: expected train or validation"):
        corpus.size("test")
