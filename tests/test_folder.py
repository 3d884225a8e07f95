"""Folders of sound files: what is found, what is refused and why, and which clips come out.

Over 300 lines, because tests mirror mgen file by file.
"""

import csv
import os
import pathlib
import shutil

import numpy as np
import pytest
import soundfile

from mgen.data import DataError, cache, structure
from mgen.data import scan as scanning
from mgen.data.folder import Folder
from mgen.data.scan import scan, validation_files

RATE = 8_000
CLIP = 4_000


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path_factory.mktemp("cache")))


def put(path, seconds=1.0, rate=RATE, channels=1, seed=None, ramp=False):
    """Noise that is every file's own, or a ramp from which positions can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = round(seconds * rate)
    seed = sum(map(ord, path.name)) if seed is None else seed
    wave = np.random.default_rng(seed).normal(0, 0.1, (frames, channels))
    soundfile.write(path, np.arange(1, frames + 1) / 32_768 if ramp else wave, rate)
    return path


def refused(path):
    with pytest.raises(DataError) as caught:
        scan(path, sample_rate=RATE)
    return str(caught.value)


def positions(item):
    """Sample numbers, from 1, of a clip of a ramp; 0 where it is padded."""
    return np.rint(item["wave"] * 32_768).astype(int)


# --- Scanning ---------------------------------------------------------------------------------------------------------


def test_finds_all_and_says_what_is_wrong(tmp_path):
    put(tmp_path / "b.wav", 2, 16_000, 2)
    put(tmp_path / "sub" / "deeper" / "A.FLAC", 1)
    put(tmp_path / "sub" / "c.ogg", 3)
    put(tmp_path / ".hidden" / "d.wav")
    put(tmp_path / "sub" / ".e.wav")
    (tmp_path / "z.wav").write_bytes((tmp_path / "b.wav").read_bytes())
    soundfile.write(tmp_path / "still.wav", np.full(RATE, 2.0**-15), RATE)
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "song.m4a").write_bytes(b"abcdefghijklm")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "notes.txt").write_text("not sound")
    os.mkfifo(tmp_path / "pipe.wav")  # opening it would wait for ever
    found = scan(tmp_path, sample_rate=RATE)
    assert [file.name for file in found.files] == ["b.wav", "sub/c.ogg", "sub/deeper/A.FLAC"]
    assert found.rejected == (
        ("empty.mp3", "is empty (0 bytes)"),
        ("gone.wav", "broken link"),
        ("song.m4a", "AAC cannot be decoded; convert it: ffmpeg -i song.m4a song.flac"),
        ("still.wav", "silent"),
        ("z.wav", "same content as b.wav"),
    )
    assert found.report.splitlines() == [
        f"{tmp_path}: 3 files, 6.0 s in total (shortest 1.0 s, median 2.0 s, longest 3.0 s)",
        "  sample rates: 8000 Hz x 2, 16000 Hz x 1",
        "  channels: 1 x 2, 2 x 1",
        "  rejected: 5",
        *(f"    {name}: {reason}" for name, reason in found.rejected),
    ]


def test_links_are_followed_but_never_round(tmp_path):
    put(tmp_path / "music" / "a.wav")
    put(tmp_path / "elsewhere" / "b.wav")
    (tmp_path / "music" / "round").symlink_to(tmp_path / "music")
    (tmp_path / "music" / "there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "music")
    found = scan(str(tmp_path / "music"), sample_rate=RATE)
    assert [file.name for file in found.files] == ["a.wav", "there/b.wav"]


def test_a_folder_that_cannot_be_entered(tmp_path, monkeypatch):
    put(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir()
    original = type(tmp_path).iterdir

    def iterdir(self):
        if self.name == "locked":
            raise PermissionError(13, "Permission denied")
        return original(self)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    found = scan(tmp_path, sample_rate=RATE)
    assert found.rejected == (("locked/", "cannot look into this folder: Permission denied"),)
    assert refused(tmp_path / "locked").endswith("found no files; .: cannot look into this folder: Permission denied")


def test_messages(tmp_path):
    assert refused("") == "data.path is empty; give a folder of audio files: --data.path DIR"
    assert refused(tmp_path / "no") == (
        f"data.path={tmp_path}/no: no such folder; give a folder of audio files: --data.path DIR"
    )
    put(tmp_path / "in" / "a.wav")
    assert refused(tmp_path / "in" / "a.wav") == (
        f"data.path={tmp_path}/in/a.wav: is a file; give the folder that holds it: --data.path {tmp_path}/in"
    )
    (tmp_path / "none").mkdir()
    message = refused(tmp_path / "none")
    assert message.startswith(f"data.path={tmp_path}/none: no audio files; looked for .wav .flac ")
    assert message.endswith("found no files")
    for name in ("a.txt", "b.txt", "c.MID", "README"):
        (tmp_path / "none" / name).write_text("x")
    assert refused(tmp_path / "none").endswith("found .txt x 2, no suffix x 1, .mid x 1")


def test_a_limit_looks_at_no_more_than_it_needs(tmp_path, monkeypatch):
    for number in range(30):
        put(tmp_path / f"{number:02}.wav", 0.1, seed=number)
    (tmp_path / "01.wav").write_text("no sound")
    looked, original = [], cache.decoded
    monkeypatch.setattr(cache, "decoded", lambda path, **options: looked.append(path) or original(path, **options))
    found = scan(tmp_path, sample_rate=RATE, limit=5)
    assert [file.name for file in found.files] == [f"{number:02}.wav" for number in (0, 2, 3, 4, 5)]
    assert [name for name, _ in found.rejected] == ["01.wav"]
    assert 6 <= len(looked) <= 6 + 4
    assert found.not_looked_at == 24 and found.report.splitlines()[-1] == "  not looked at: 24 further files"
    assert "not looked at" not in scan(tmp_path, sample_rate=RATE, limit=29).report
    few = scan(tmp_path, sample_rate=RATE, limit=2, counts=lambda file: file.name > "1")
    assert [few.files[-1].name, len(few.files), few.not_looked_at] == ["11.wav", 11, 18]
    assert scan(tmp_path, sample_rate=RATE) == scan(tmp_path, sample_rate=RATE, limit=30)


def test_a_slow_scan_shows_a_bar(tmp_path, monkeypatch, capsys):
    for number in range(3):
        put(tmp_path / f"{number}.wav", 0.1)
    scan(tmp_path, sample_rate=RATE)
    assert capsys.readouterr() == ("", "")
    real = scanning.tqdm.tqdm
    monkeypatch.setattr(scanning.tqdm, "tqdm", lambda **options: real(**{**options, "delay": 0, "mininterval": 0}))
    scan(tmp_path, sample_rate=RATE)
    shown = capsys.readouterr()
    assert "3/3" in shown.err and "file/s" in shown.err and not shown.out


def test_names_that_are_not_utf_8(tmp_path):
    here = os.fsencode(tmp_path)
    good, bad = (pathlib.Path(os.fsdecode(here + name)) for name in (b"/caf\xe9.wav", b"/na\xefve.wav"))
    put(tmp_path / "a.wav").rename(good)
    bad.write_text("no sound")
    found = scan(tmp_path, sample_rate=RATE)
    assert [file.name for file in found.files] == [good.name]
    assert rb"    na\xefve.wav: not a sound file" in found.report.encode()
    assert len(Folder(str(tmp_path)).open(sample_rate=RATE, samples=CLIP).fingerprint.encode()) == 16
    good.unlink()
    assert rb"  na\xefve.wav: not a sound file" in refused(tmp_path).encode()
    assert refused(bad).encode().startswith(b"data.path=" + here + rb"/na\xefve.wav: is a file")


def test_the_fingerprint_is_of_names_and_contents(tmp_path):
    def fingerprint(path):
        return Folder(str(path)).open(sample_rate=RATE, samples=CLIP).fingerprint

    for name in ("a.wav", "sub/b.wav"):
        put(tmp_path / "one" / name)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = fingerprint(tmp_path / "one")
    assert len(first) == 16 and int(first, 16) >= 0 and fingerprint(tmp_path / "two") == first
    (tmp_path / "two" / "empty.wav").touch()
    assert fingerprint(tmp_path / "two") == first  # not used
    (tmp_path / "two" / "a.wav").rename(tmp_path / "two" / "c.wav")
    renamed = fingerprint(tmp_path / "two")
    put(tmp_path / "one" / "a.wav", seed=77)
    assert len({first, renamed, fingerprint(tmp_path / "one")}) == 3


def test_nothing_usable_lists_the_first_reasons(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.wav").touch()
    lines = refused(tmp_path).splitlines()
    assert lines[0] == f"data.path={tmp_path}: none of 7 audio files can be used:"
    assert lines[1:] == [*(f"  {number}.wav: is empty (0 bytes)" for number in range(5)), "  and 2 more"]


def test_an_unwritable_cache_is_no_fault_of_the_files(tmp_path, monkeypatch):
    put(tmp_path / "a.wav")
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "a.wav" / "cache"))
    assert "set MGEN_CACHE" in refused(tmp_path)


def test_real_music(real_audio):
    manifest = real_audio / "MANIFEST.csv"
    lines = manifest.read_text("utf-8").splitlines() if manifest.is_file() else []
    names = {row["file"] for row in csv.DictReader(lines)}
    if missing := [name for name in sorted(names) or [manifest.name] if not (real_audio / name).is_file()]:
        pytest.skip(f"no {missing[0]} in {real_audio}")
    found = scan(real_audio, sample_rate=RATE)
    assert names <= {file.name for file in found.files} and not found.rejected
    corpus = Folder(str(real_audio)).open(sample_rate=RATE, samples=2 * RATE)
    rng = np.random.default_rng(0)
    for split in ("train", "validation"):
        for index in range(0, corpus.size(split), 7):
            wave = corpus.item(split, index, rng)["wave"]
            assert wave.shape == (2 * RATE,) and np.isfinite(wave).all()


# --- Splitting --------------------------------------------------------------------------------------------------------


def test_the_split_is_by_file_and_stays():
    names = [f"{number}.wav" for number in range(400)]
    kept = validation_files(names, 0.2, 0)
    assert 50 < len(kept) < 110
    assert validation_files(names[::2], 0.2, 0) == kept & set(names[::2])
    assert validation_files(names, 0.2, 1) != kept
    assert kept < validation_files(names, 0.4, 0)


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("count", [2, 3])
def test_both_sides_hold_a_file(fraction, count):
    names = [f"{number}.wav" for number in range(count)]
    for seed in range(20):
        assert 1 <= len(validation_files(names, fraction, seed)) < count


def test_no_validation_without_files_to_spare():
    assert validation_files(["a.wav"], 0.9, 0) == set()
    assert validation_files(["a.wav", "b.wav"], 0, 0) == set()


def test_corpus_of_one_file(tmp_path):
    put(tmp_path / "a.wav")
    corpus = Folder(str(tmp_path)).open(sample_rate=RATE, samples=CLIP)
    assert corpus.size("validation") == 0 and corpus.files("validation") == () and corpus.size("train") == 2
    with pytest.raises(IndexError, match="item 0 of validation: expected 0 to -1"):
        corpus.item("validation", 0, np.random.default_rng(0))


# --- Clips ------------------------------------------------------------------------------------------------------------


def test_grid(tmp_path):
    put(tmp_path / "a.wav", 1.75, ramp=True)  # 3 clips and a half
    put(tmp_path / "b.wav", 1.7, seed=1)  # 3 clips and less than half
    put(tmp_path / "c.wav", 0.1, seed=2)  # less than half a clip
    corpus = Folder(str(tmp_path), crop="grid", validation_fraction=0).open(sample_rate=RATE, samples=CLIP)
    assert corpus.labels == () and corpus.size("train") == 4 + 3 + 1 and corpus.size("validation") == 0
    rng = np.random.default_rng(0)
    items = [corpus.item("train", index, rng) for index in range(8)]
    assert all(item["wave"].shape == (CLIP,) and item["wave"].dtype == np.float32 for item in items)
    assert all(item["labels"].shape == (0,) and item["labels"].dtype == np.float32 for item in items)
    ramp = np.concatenate([positions(item) for item in items[:4]])
    np.testing.assert_array_equal(ramp, np.r_[1:14_001, np.zeros(2000, int)])
    assert items[7]["wave"][:800].any() and not items[7]["wave"][800:].any()
    assert corpus.report.endswith(
        "  clips of 4000 samples (0.50 s):\n    train: 8 in 3 files\n    validation: 0 in 0 files\n"
        "    shorter than a clip and zero-padded: 1"
    )


def test_random_crops_cover_and_repeat(tmp_path):
    put(tmp_path / "a.wav", 0.3)
    put(tmp_path / "long.wav", 2.9, ramp=True)
    corpus = Folder(str(tmp_path), validation_fraction=0).open(sample_rate=RATE, samples=CLIP)
    assert corpus.size("train") == 1 + 5  # the longer file is drawn five times as often
    starts = []
    for seed in range(200):
        crop = positions(corpus.item("train", 1 + seed % 5, np.random.default_rng(seed)))
        np.testing.assert_array_equal(np.diff(crop), 1)
        starts.append(crop[0] - 1)
    assert 0 <= min(starts) < 500 and 23_200 - CLIP - 500 < max(starts) <= 23_200 - CLIP
    once, again = (corpus.item("train", 3, np.random.default_rng(5))["wave"] for _ in range(2))
    np.testing.assert_array_equal(once, again)
    short = corpus.item("train", 0, np.random.default_rng(0))["wave"]
    assert short[:2400].any() and not short[2400:].any()


def test_one_clip_from_the_start_of_each_file(tmp_path):
    put(tmp_path / "a.wav", 2, ramp=True)
    put(tmp_path / "b.wav", 0.3, seed=1)
    corpus = Folder(str(tmp_path), crop="start", validation_fraction=0).open(sample_rate=RATE, samples=CLIP)
    assert corpus.size("train") == 2
    first, second = (corpus.item("train", index, np.random.default_rng(index)) for index in range(2))
    np.testing.assert_array_equal(positions(first), np.r_[1 : CLIP + 1])
    assert second["wave"][:2400].any() and not second["wave"][2400:].any()


def test_one_clip_from_where_each_song_repeats(tmp_path, monkeypatch):
    """Noise, chords, other noise, the same chords: the clip is of the chords; validation stays consecutive."""
    for name in "abcd":
        rng = np.random.default_rng(ord(name))
        tones = np.sin(np.outer(np.arange(2 * RATE) / RATE, 2 * np.pi * rng.uniform(200, 900, 4))).sum(axis=1) * 0.05
        chords = tones * np.repeat(rng.uniform(0.1, 1, 8), RATE // 4)
        pieces = rng.normal(0, 0.05, 2 * RATE), chords, rng.normal(0, 0.05, 3 * RATE), chords, rng.normal(0, 0.05, RATE)
        soundfile.write(tmp_path / f"{name}.wav", np.concatenate(pieces), RATE)
    put(tmp_path / "short.wav", 1, seed=0)
    data = Folder(str(tmp_path), crop="repeat", validation_fraction=0.3)
    corpus = data.open(sample_rate=RATE, samples=2 * RATE)
    assert corpus.size("train") == len(corpus.files("train"))
    assert corpus.size("validation") >= 5 * sum(file.name != "short.wav" for file in corpus.files("validation"))
    for index, file in enumerate(corpus.files("train")):
        start_s = 0.0 if file.name == "short.wav" else 2.0
        assert f"    {file.name}: repeats from {start_s:.2f} s" in corpus.report
        wave = corpus.item("train", index, np.random.default_rng(0))["wave"]
        expected = file.audio.read(round(start_s * RATE), round((start_s + 2) * RATE))
        np.testing.assert_array_equal(wave[: len(expected)], expected)
    monkeypatch.setattr(structure, "repetition", None)  # found before, and not looked for again
    assert data.open(sample_rate=RATE, samples=2 * RATE).report == corpus.report


def test_validation_does_not_depend_on_the_generator(tmp_path):
    for number in range(6):
        put(tmp_path / f"{number}.wav", 1.3)
    corpus = Folder(str(tmp_path), validation_fraction=0.5).open(sample_rate=RATE, samples=CLIP)
    train, validation = ({file.name for file in corpus.files(split)} for split in ("train", "validation"))
    assert train and validation and not train & validation and len(train | validation) == 6
    assert corpus.size("validation") == 3 * len(validation)  # the last piece of 0.3 s is more than half a clip
    for index in range(corpus.size("validation")):
        first, second = (corpus.item("validation", index, np.random.default_rng(seed)) for seed in (0, 1))
        np.testing.assert_array_equal(first["wave"], second["wave"])


@pytest.mark.parametrize(
    ("fields", "samples", "message"),
    [
        ({"crop": "centre"}, CLIP, "data.crop=centre: expected one of random, grid, start, repeat"),
        ({"validation_fraction": 1.0}, CLIP, "data.validation_fraction=1.0: expected 0 up to but not 1"),
        ({}, 0, "samples=0: a clip needs at least one sample"),
    ],
)
def test_wrong_fields(tmp_path, fields, samples, message):
    with pytest.raises(DataError, match=message):
        Folder(str(tmp_path), **fields).open(sample_rate=RATE, samples=samples)


def test_wrong_split_and_index(tmp_path):
    put(tmp_path / "a.wav")
    corpus = Folder(str(tmp_path)).open(sample_rate=RATE, samples=CLIP)
    with pytest.raises(ValueError, match="split=test: expected train or validation"):
        corpus.size("test")
    with pytest.raises(ValueError, match="split=test: expected train or validation"):
        corpus.files("test")
    with pytest.raises(IndexError, match="item 2 of train: expected 0 to 1"):
        corpus.item("train", 2, np.random.default_rng(0))
