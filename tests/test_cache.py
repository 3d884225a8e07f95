"""The cache of decoded audio: right, shared safely, healed when damaged."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import pickle

import numpy as np
import pytest
import soundfile

from mgen import audio
from mgen.data import DataError, cache

RATE = 8_000


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def song(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, (32_000, 2)), 16_000)
    return tmp_path / "a.wav"


def opened(path):
    """What one process sees; at module level for the pool."""
    found = cache.decoded(path, sample_rate=RATE)
    return found.entry, found.read(0, found.length).sum()


def no_decoding(monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(audio, "read", fail)


def test_holds_the_wave(song):
    found = cache.decoded(song, sample_rate=RATE)
    wave = audio.read(song, sample_rate=RATE)
    assert (found.length, found.sample_rate, found.source_rate, found.channels) == (16_000, RATE, 16_000, 2)
    assert found.duration_s == 2.0 and found.peak == pytest.approx(abs(wave).max())
    got = found.read(0, 16_000)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wave, atol=0.51 * found.scale)
    pcm = np.fromfile(found.entry, "<i2", offset=256)
    np.testing.assert_array_equal(got, pcm * np.float32(found.scale))
    np.testing.assert_array_equal(found.read(500, 700), got[500:700])
    np.testing.assert_array_equal(found.read(15_900, 17_000), got[15_900:])
    assert found.read(20_000, 20_010).shape == (0,)
    with pytest.raises(ValueError, match="expected 0 <= start <= stop, got 5 and 4"):
        found.read(5, 4)


@pytest.mark.parametrize("peak", [1e-4, 1.7])
def test_quiet_and_loud_files_keep_16_bits(tmp_path, peak):
    wave = np.random.default_rng(0).uniform(-peak, peak, 4000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    got = cache.decoded(tmp_path / "a.wav", sample_rate=RATE).read(0, 4000)
    np.testing.assert_allclose(got, wave, atol=peak / 60_000)


def test_silence(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE)
    found = cache.decoded(tmp_path / "a.wav", sample_rate=RATE)
    assert found.peak == 0 and not found.read(0, 100).any()


def test_decodes_once(song, tmp_path, monkeypatch):
    first = cache.decoded(song, sample_rate=RATE)
    no_decoding(monkeypatch)
    assert cache.decoded(song, sample_rate=RATE) == first
    (tmp_path / "copy.wav").write_bytes(song.read_bytes())
    assert cache.decoded(tmp_path / "copy.wav", sample_rate=RATE) == first
    monkeypatch.setattr(cache.hashlib, "file_digest", lambda *a: pytest.fail("hashed again"))
    assert cache.decoded(song, sample_rate=RATE) == first
    with pytest.raises(AssertionError, match="decoded again"):
        cache.decoded(song, sample_rate=RATE // 2)


def test_changed_content_is_decoded_anew(song):
    first = cache.decoded(song, sample_rate=RATE)
    soundfile.write(song, np.random.default_rng(1).normal(0, 0.1, (32_000, 2)), 16_000)
    os.utime(song, ns=(1, 1))
    second = cache.decoded(song, sample_rate=RATE)
    assert second.sha256 != first.sha256
    np.testing.assert_allclose(second.read(0, 16_000), audio.read(song, sample_rate=RATE), atol=second.scale)


@pytest.mark.parametrize("damage", ["half", "header", "empty", "long", "version", "list", "fields"])
def test_a_damaged_entry_is_made_anew(song, damage):
    found = cache.decoded(song, sample_rate=RATE)
    good = found.entry.read_bytes()
    bad = {
        "half": good[: len(good) // 2],
        "header": b"\0" * 300 + good[300:],
        "empty": b"",
        "long": good + b"\0\0",
        "version": good.replace(b'"version": 1', b'"version": 0'),
        "list": b"[]".ljust(256) + good[256:],
        "fields": good.replace(b'"scale"', b'"scala"'),
    }[damage]
    found.entry.write_bytes(bad)
    assert cache.decoded(song, sample_rate=RATE) == found
    assert found.entry.read_bytes() == good


def test_a_damaged_index_is_made_anew(song, place):
    found = cache.decoded(song, sample_rate=RATE)
    (note,) = (place / "index").iterdir()
    for text in ("", "zz" * 32, "ab"):
        note.write_text(text)
        assert cache.decoded(song, sample_rate=RATE) == found


def test_a_name_that_is_not_utf_8(song, tmp_path):
    path = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    path.write_bytes(song.read_bytes())
    assert cache.decoded(path, sample_rate=RATE) == cache.decoded(song, sample_rate=RATE)


def test_threads_and_processes_share_it(song, place):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(opened, [song] * 16))
    for file in place.rglob("*.pcm"):
        file.unlink()
    with concurrent.futures.ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        results += list(pool.map(opened, [song] * 6))
    assert len(set(results)) == 1
    assert not list(place.rglob("*.part"))
    assert len(list(place.rglob("*.pcm"))) == 1


def test_may_be_pickled(song):
    found = cache.decoded(song, sample_rate=RATE)
    assert pickle.loads(pickle.dumps(found)) == found


def test_where_it_lies(monkeypatch, tmp_path):
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("MGEN_CACHE")
    assert cache.folder() == pathlib.Path.home() / ".cache" / "mgen"


def test_unwritable(song, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        DataError, match=r"cannot write the cache of decoded audio, .*file.*: Not a directory; set MGEN_CACHE to"
    ):
        cache.decoded(song, sample_rate=RATE)


def test_a_full_disk_leaves_nothing(song, place, monkeypatch):
    def full(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device; set MGEN_CACHE to a folder with room"):
        cache.decoded(song, sample_rate=RATE)
    assert not list(place.rglob("*.part"))


def test_an_entry_that_cannot_be_read_back(song, monkeypatch):
    monkeypatch.setattr(cache, "_load", lambda entry, digest: None)
    with pytest.raises(DataError, match="cannot read back what was just written to .*; set MGEN_CACHE"):
        cache.decoded(song, sample_rate=RATE)


def test_a_bad_file_says_why(tmp_path):
    with pytest.raises(audio.AudioError, match="no such file"):
        cache.decoded(tmp_path / "no.wav", sample_rate=RATE)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(audio.AudioError, match="is empty"):
        cache.decoded(tmp_path / "empty.wav", sample_rate=RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(audio.AudioError, match="is a folder"):
        cache.decoded(tmp_path / "folder.wav", sample_rate=RATE)


def test_what_was_found_out_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path / "cache"))
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 800), 8_000)
    sound, asked = cache.decoded(tmp_path / "a.wav", sample_rate=8_000), []

    def find():
        asked.append(1)
        return {"beats": [0.5, 1.0]}

    for _ in range(2):
        assert cache.remembered(sound, "beats 1", find) == {"beats": [0.5, 1.0]}
    assert len(asked) == 1
    cache.remembered(sound, "beats 2", find)
    cache.remembered(cache.decoded(tmp_path / "a.wav", sample_rate=4_000), "beats 1", find)
    assert len(asked) == 3
    for entry in (tmp_path / "cache" / "found-1").rglob("*.json"):
        entry.write_text('{"question": "beats')  # damaged: found anew
    assert cache.remembered(sound, "beats 1", find) == {"beats": [0.5, 1.0]} and len(asked) == 4
