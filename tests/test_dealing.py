"""What a study holds out: whole files of many songs, or the end of each of a few pieces."""

import csv

import numpy as np
import pytest

from benchmarks.dealing import deal
from mgen import audio
from tests.clicks import RATE, click_track, even


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path_factory.mktemp("cache")))


def clicks(path, bpm, seconds):
    path.parent.mkdir(exist_ok=True)
    audio.write(path, click_track(even(bpm, seconds), seconds), sample_rate=RATE)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def tempi(out):
    with (out / "tempi.csv").open(newline="") as lines:
        return {row["file"]: float(row["bpm"]) for row in csv.DictReader(lines)}


def test_whole_files_are_linked_and_none_is_on_both_sides(tmp_path):
    songs = tmp_path / "songs"
    for number in range(12):
        clicks(songs / f"{number}.wav", 120, 2)
    (songs / "songs.csv").write_text("file,bpm\n0.wav,120\n")
    (songs / "other.csv").write_text("file,key\n0.wav,A\n")
    out = deal(songs, tmp_path / "out")
    train, held_out = names(out / "train"), names(out / "held_out")
    assert sorted(train + held_out) == names(songs)[:12] and 1 <= len(held_out) <= 6
    assert all(path.is_symlink() for path in (out / "train").iterdir())
    assert tempi(out) == {"0.wav": 120}


def test_the_end_of_each_file_is_cut_off_and_short_files_are_in_neither(tmp_path):
    songs = tmp_path / "songs"
    clicks(songs / "long.wav", 120, 24)
    clicks(songs / "slow.wav", 60, 40)  # which is folded to 120, unless a table says so
    clicks(songs / "loop.wav", 96, 10)  # 16 beats: what is cut off is a loop of 4
    clicks(songs / "short.wav", 100, 2.4)
    (songs / "loops.csv").write_text("file,bpm\nslow.wav,60\nloop.wav,96\nshort.wav,100\n")
    deal(songs, tmp_path / "out")
    out = deal(songs, tmp_path / "out", endings=True)
    assert names(out / "train") == names(out / "held_out") == ["long.wav", "loop.wav", "slow.wav"]
    for name in names(out / "train"):
        parts = [audio.read(out / split / name, sample_rate=RATE) for split in ("train", "held_out")]
        whole = audio.read(songs / name, sample_rate=RATE)
        assert len(parts[1]) == pytest.approx(len(whole) / 4, abs=1)
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
    found = tempi(out)
    assert found["slow.wav"] == 60 and found["loop.wav"] == 96
    assert found["long.wav"] == pytest.approx(120, abs=0.5), "what is heard in the whole, for both parts"


def test_nothing_left_is_an_error(tmp_path):
    clicks(tmp_path / "songs" / "a.wav", 120, 2)
    with pytest.raises(ValueError, match="songs: no file has 8 beats before and in its last quarter"):
        deal(tmp_path / "songs", tmp_path / "out", endings=True)
