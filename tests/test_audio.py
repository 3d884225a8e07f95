"""Sound files of every kind are read as they are, and every failure names its file and reason.

Over 300 lines, because tests mirror mgen file by file.
"""

import csv
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from mgen import audio

RATE = 16_000


def sine(seconds=1.0, rate=44_100, frequency=440.0, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None].astype(np.float32), channels, axis=1)


def pack(folder, start=""):
    """The files that the pack's list names, or a skip that names the first that is not there."""
    manifest = folder / "MANIFEST.csv"
    lines = manifest.read_text("utf-8").splitlines() if manifest.is_file() else []
    names = [row["file"] for row in csv.DictReader(lines) if row["file"].startswith(start)]
    if missing := [name for name in names or [manifest.name + start] if not (folder / name).is_file()]:
        pytest.skip(f"no {missing[0]} in {folder}")
    return [folder / name for name in sorted(names)]


def variable_mp3(path):
    """An MP3 of variable bit rate, quiet for 5 s and then loud: the first frame says nothing of the rest."""
    rng = np.random.default_rng(0)
    wave = np.concatenate([rng.normal(0, 1e-4, 220_500), rng.normal(0, 0.2, 220_500)]).astype(np.float32)
    with soundfile.SoundFile(
        path, "w", 44_100, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.1
    ) as file:
        file.write(wave)
    return wave


def refused(path, **options):
    with pytest.raises(audio.AudioError) as caught:
        audio.read(path, sample_rate=RATE, **options)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def test_importing_is_cheap():
    code = "import sys, mgen.audio; print([m for m in ('soundfile', 'soxr', 'librosa', 'jax') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.wav", {}, 4e-5),
        ("a.WAV", {"format": "WAV", "subtype": "FLOAT"}, 1e-7),
        ("a.flac", {"subtype": "PCM_24"}, 1e-6),
        ("a.aiff", {}, 4e-5),
        ("a.ogg", {}, 0.02),
        ("a.mp3", {}, 0.02),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}, 0.02),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(tmp_path, name, options, tolerance, channels):
    path = tmp_path / name
    wave = sine(rate=48_000, channels=channels)
    soundfile.write(path, wave, 48_000, **options)
    got = audio.read(path, sample_rate=48_000)
    assert got.dtype == np.float32 and got.shape == (48_000,)
    np.testing.assert_allclose(got[2000:-2000], wave[2000:-2000, 0], atol=tolerance)
    assert audio.info(path).channels == channels
    assert audio.info(path).duration_s == pytest.approx(1.0, abs=0.1)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "six.wav", sine(channels=6) * np.arange(6), 44_100, subtype="FLOAT")
    got = audio.read(tmp_path / "six.wav", sample_rate=44_100)
    np.testing.assert_allclose(got, sine()[:, 0] * 2.5, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 37_123, 48_000, 96_000])
def test_resampling_keeps_a_tone(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", sine(rate=rate), rate, subtype="FLOAT")
    got = audio.read(tmp_path / "a.wav", sample_rate=RATE)
    assert got.shape == (RATE,)
    np.testing.assert_allclose(got[1000:-1000], sine(rate=RATE)[1000:-1000, 0], atol=1e-4)


def test_info(tmp_path):
    soundfile.write(tmp_path / "a.flac", sine(0.5, 32_000, channels=2), 32_000)
    found = audio.info(tmp_path / "a.flac")
    assert (found.sample_rate, found.channels, found.frames, found.duration_s) == (32_000, 2, 16_000, 0.5)
    assert found.format == "FLAC/PCM_16" and found.path == tmp_path / "a.flac"


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus"])
@pytest.mark.parametrize("sample_rate", [48_000, 22_050])
def test_an_excerpt_is_the_span_of_the_whole(tmp_path, suffix, sample_rate):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(1).normal(0, 0.1, (48_000 * 4, 2))
    soundfile.write(path, noise, 48_000, **({"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}))
    whole = audio.read(path, sample_rate=sample_rate)
    for start_s, duration_s in [(0, 0.1), (0.01, 1.0), (1.23456, 0.5), (2.7, 1.2), (3.5, None), (3.9, 60)]:
        begin = round(start_s * sample_rate)
        end = None if duration_s is None else begin + round(duration_s * sample_rate)
        got = audio.read(path, sample_rate=sample_rate, start_s=start_s, duration_s=duration_s)
        assert got.shape == whole[begin:end].shape
        np.testing.assert_allclose(got, whole[begin:end], atol=1e-5)


def test_an_mp3_without_a_length_is_read_to_its_end(tmp_path):
    wave = variable_mp3(tmp_path / "measured.mp3")
    data = (tmp_path / "measured.mp3").read_bytes()
    first = data.index(b"\xff\xfb", max(data.find(b"Xing"), data.find(b"Info")))  # the frame after the Xing header
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 2]) + bytes(130)
    (tmp_path / "unmeasured.mp3").write_bytes(tag + data[first:])
    assert len(audio.read(tmp_path / "measured.mp3", sample_rate=44_100)) == len(wave)
    whole = audio.read(tmp_path / "unmeasured.mp3", sample_rate=44_100)
    assert 0 <= len(whole) - len(wave) < 4000  # the encoder's padding, which only the Xing header tells
    assert audio.info(tmp_path / "unmeasured.mp3").frames < 0.95 * len(wave)  # why this takes a path of its own
    late = audio.read(tmp_path / "unmeasured.mp3", sample_rate=44_100, start_s=9.5, duration_s=0.25)
    np.testing.assert_allclose(late, whole[418_950 : 418_950 + 11_025], atol=1e-6)


def test_every_real_file_decodes(real_audio):
    for number, path in enumerate(pack(real_audio)):
        wave = audio.read(path, sample_rate=8_000)
        raw, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert abs(len(wave) - len(raw) * 8_000 / rate) <= 1
        assert np.isfinite(wave).all() and abs(wave).max() > 1e-4
        if number % 3 == 0:
            span = audio.read(path, sample_rate=8_000, start_s=0.7, duration_s=0.5)
            np.testing.assert_allclose(span, wave[5600:9600], atol=1e-4)


def test_all_codecs_of_one_music_agree(real_audio):
    waves = [audio.read(path, sample_rate=RATE) for path in pack(real_audio, "music/galway_")]
    size = 1 << 19
    for wave in waves[1:]:
        ours, theirs = np.fft.rfft(waves[0], size), np.fft.rfft(wave, size)
        correlation = np.fft.irfft(ours * theirs.conj(), size).max()
        assert correlation > 0.98 * np.linalg.norm(waves[0]) * np.linalg.norm(wave)


def test_missing_empty_folder_and_text(tmp_path):
    assert refused(tmp_path / "no.wav") == "no such file"
    (tmp_path / "link.wav").symlink_to(tmp_path / "no.wav")
    assert refused(tmp_path / "link.wav") == "broken link"
    (tmp_path / "empty.wav").touch()
    assert refused(tmp_path / "empty.wav") == "is empty (0 bytes)"
    (tmp_path / "folder.wav").mkdir()
    assert refused(tmp_path / "folder.wav") == "is a folder, not a sound file"
    (tmp_path / "text.wav").write_text("hello, I am not a sound " * 20)
    assert refused(tmp_path / "text.wav") == ("not a sound file, or its header is damaged (Format not recognised.)")
    with pytest.raises(audio.AudioError, match=r"empty\.wav: is empty"):
        audio.info(tmp_path / "empty.wav")


def test_a_name_that_is_not_utf_8(tmp_path):
    path = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac"))
    audio.write(path, sine()[:, 0], sample_rate=44_100)
    assert len(audio.read(path, sample_rate=RATE)) == RATE
    assert audio.info(path).path == path
    path.write_bytes(b"no sound")
    with pytest.raises(audio.AudioError, match=r"/caf\\xe9\.flac: not a sound file"):
        audio.read(path, sample_rate=RATE)
    with pytest.raises(audio.AudioError, match=r"convert it: ffmpeg -i 'caf\\xe9\.m4a' 'caf\\xe9\.flac'$"):
        audio.read(path.rename(path.with_suffix(".m4a")), sample_rate=RATE)


def test_a_text_named_mp3(tmp_path, capfd):
    (tmp_path / "text.mp3").write_text("hello, I am not a sound " * 20)
    assert refused(tmp_path / "text.mp3") == "not a sound file, or its header is damaged"


@pytest.mark.parametrize(("name", "codec"), [("my song.m4a", "AAC"), ("b.aac", "AAC"), ("c.WMA", "WMA")])
def test_undecodable_codecs_say_how_to_convert(tmp_path, name, codec):
    (tmp_path / name).write_bytes(b"\0\0\0\x20" + bytes(100))
    target = pathlib.Path(name).stem + ".flac"
    words = f"'{name}' '{target}'" if " " in name else f"{name} {target}"
    assert refused(tmp_path / name) == f"{codec} cannot be decoded; convert it: ffmpeg -i {words}"


def test_an_mp4_by_another_name(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    assert refused(tmp_path / "a.mp3") == "AAC cannot be decoded; convert it: ffmpeg -i a.mp3 a.flac"


def test_truncated(tmp_path):
    for suffix in ("wav", "aiff", "flac", "ogg", "mp3"):
        whole = tmp_path / f"whole.{suffix}"
        soundfile.write(whole, np.random.default_rng(0).normal(0, 0.1, 4 * 44_100), 44_100)
        (tmp_path / f"cut.{suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    reason = refused(tmp_path / "cut.wav")
    assert reason == "truncated: its header promises 352800 bytes of sound, 176378 are there"
    assert refused(tmp_path / "cut.aiff").startswith("truncated: its header promises ")
    assert refused(tmp_path / "cut.flac") == "truncated or damaged (Error : flac decoder lost sync.)"
    for suffix in ("ogg", "mp3"):  # streams: what is there is sound
        assert RATE < len(audio.read(tmp_path / f"cut.{suffix}", sample_rate=RATE)) < 3 * RATE
    assert len(audio.read(tmp_path / "cut.mp3", sample_rate=RATE, start_s=1, duration_s=3)) < 2 * RATE


def test_a_wav_from_a_pipe_is_not_truncated(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(), 44_100)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(audio.read(path, sample_rate=44_100)) == 44_100


def test_permission(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(), 44_100)

    def deny(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "open", deny)
    assert refused(path) == "no permission to read it"

    def fail(self, *arguments, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pathlib.Path, "open", fail)
    assert refused(path) == "cannot be read: Input/output error"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite(tmp_path, bad):
    wave = sine()
    wave[100] = bad
    soundfile.write(tmp_path / "a.wav", wave, 44_100, subtype="FLOAT")
    assert refused(tmp_path / "a.wav") == "holds NaN or infinite samples; export it again"


def test_no_samples_or_none_so_late(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 44_100)
    assert refused(tmp_path / "none.wav") == "holds no samples"
    soundfile.write(tmp_path / "a.wav", sine(), 44_100)
    assert refused(tmp_path / "a.wav", start_s=2.5) == "ends before 2.5 s"
    assert refused(tmp_path / "a.wav", start_s=2.5, duration_s=1) == "ends before 2.5 s"


@pytest.mark.parametrize("options", [{"sample_rate": 0}, {"start_s": -1}, {"duration_s": 0}])
def test_wrong_arguments(tmp_path, options):
    with pytest.raises(ValueError, match="expected sample_rate > 0, start_s >= 0 and duration_s > 0, got "):
        audio.read(tmp_path / "a.wav", **{"sample_rate": RATE, **options})


def test_the_error_survives_a_process_pool():
    error = pickle.loads(pickle.dumps(audio.AudioError("a.wav", "silent")))
    assert (str(error), error.path, error.reason) == ("a.wav: silent", pathlib.Path("a.wav"), "silent")


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [("a.wav", "PCM_16", 0.51 / 2**15), ("b.FLAC", "PCM_24", 0.51 / 2**23), ("c.wav", "FLOAT", 0)],
)
def test_written_is_read(tmp_path, name, subtype, tolerance):
    wave = np.random.default_rng(0).uniform(-0.99, 0.99, 5000).astype(np.float32)
    path = tmp_path / "new" / "folders" / name
    audio.write(path, wave, sample_rate=RATE, subtype=subtype)
    np.testing.assert_allclose(audio.read(path, sample_rate=RATE), wave, atol=tolerance, rtol=0)
    assert audio.info(path).format.endswith(subtype)
    assert [entry.name for entry in path.parent.iterdir()] == [name]  # no temporary file is left


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_loud_is_clipped_and_never_wraps(tmp_path, suffix):
    audio.write(tmp_path / f"a.{suffix}", np.array([1.0, -1.0, 1.5, -3.0, 100.0, 0.0]), sample_rate=RATE)
    got = audio.read(tmp_path / f"a.{suffix}", sample_rate=RATE)
    np.testing.assert_allclose(got, [1, -1, 1, -1, 1, 0], atol=4e-5)


def test_refuses_to_write(tmp_path):
    def reason(name, wave, **options):
        with pytest.raises(audio.AudioError) as caught:
            audio.write(tmp_path / name, wave, sample_rate=RATE, **options)
        assert caught.value.path == tmp_path / name
        return caught.value.reason

    wave = np.zeros(10, np.float32)
    assert reason("a.mp3", wave) == "cannot write .mp3; name it .wav or .flac"
    assert reason("a", wave) == "cannot write a file without suffix; name it .wav or .flac"
    assert reason("a.wav", wave[:0]) == "not written: the wave holds no samples"
    bad = np.array([0, np.nan, np.inf, 0])
    assert reason("a.wav", bad) == "not written: 2 of 4 samples are NaN or infinite; look where they arose"
    assert reason("a.flac", wave, subtype="FLOAT").startswith("cannot be written: Invalid combination of format")
    (tmp_path / "file").touch()
    assert reason("file/a.wav", wave).startswith("cannot be written: ")
    with pytest.raises(ValueError, match=r"wave: expected \[samples, channels\] of 1 to 8 channels, got \(2, 10\)"):
        audio.write(tmp_path / "a.wav", np.zeros((2, 10)), sample_rate=RATE)
    with pytest.raises(ValueError, match=r"wave: expected floats in \[-1, 1\], got int16; divide by its full scale"):
        audio.write(tmp_path / "a.wav", np.zeros(10, np.int16), sample_rate=RATE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    audio.write(tmp_path / "a.flac", np.full(100, 0.5), sample_rate=RATE)
    with pytest.raises(audio.AudioError):
        audio.write(tmp_path / "a.flac", np.zeros(100), sample_rate=RATE, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.flac", sample_rate=RATE), 0.5, atol=1e-4)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_channels_are_written_side_by_side(tmp_path, suffix, channels):
    wave = np.random.default_rng(0).uniform(-0.99, 0.99, (500, channels))
    wave[7, 0] = -3
    audio.write(tmp_path / f"a.{suffix}", wave, sample_rate=RATE)
    got, rate = soundfile.read(tmp_path / f"a.{suffix}", always_2d=True)
    assert rate == RATE
    np.testing.assert_allclose(got, wave.clip(-1, 1), atol=0.51 / 2**15, rtol=0)


@pytest.mark.parametrize("shape", [(10, 9), (10, 0), (2, 22_050)])
def test_refuses_too_many_channels(tmp_path, shape):
    words = rf"wave: expected \[samples, channels\] of 1 to 8 channels, got \({shape[0]}, {shape[1]}\)"
    with pytest.raises(ValueError, match=words):
        audio.write(tmp_path / "a.wav", np.zeros(shape), sample_rate=RATE)
    with pytest.raises(ValueError, match=r"wave: expected \[samples\], got \(1, 2, 3\)"):
        audio.write(tmp_path / "a.wav", np.zeros((1, 2, 3)), sample_rate=RATE)
    assert not list(tmp_path.iterdir())


def test_what_is_not_finite_is_counted_over_all_channels(tmp_path):
    wave = np.zeros((4, 2))
    wave[1, 1] = wave[2, 0] = np.nan
    with pytest.raises(audio.AudioError, match="not written: 2 of 8 samples are NaN or infinite"):
        audio.write(tmp_path / "a.wav", wave, sample_rate=RATE)
    with pytest.raises(audio.AudioError, match="the wave holds no samples"):
        audio.write(tmp_path / "a.wav", wave[:0], sample_rate=RATE)
