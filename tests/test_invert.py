import json
import pathlib

import numpy as np
import pytest
import soundfile


def tone_file(path: pathlib.Path) -> np.ndarray:
    """Two seconds of a chord at 22,050 Hz."""
    seconds = np.arange(44_100) / 22_050
    wave = sum(0.1 * np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277, 330, 1_760)).astype(np.float32)
    soundfile.write(path, wave, 22_050)
    return wave


@pytest.mark.parametrize("n_mels", [0, 128])
def test_inverts_a_file_and_says_what_was_lost(run, n_mels):
    wave = tone_file(pathlib.Path("chord.wav"))
    status, out, _ = run("invert", "chord.wav", "--n-mels", n_mels, "--n-iter", "16")
    assert status == 0
    back, rate = soundfile.read("inverted/chord.wav")
    assert (len(back), rate) == (len(wave), 22_050)
    (sound,) = json.loads(pathlib.Path("inverted/inverted.json").read_text())["sounds"]
    assert sound["convergence_db"] < -20
    assert f"convergence {sound['convergence_db']:.1f} dB" in out
    spectrum = np.abs(np.fft.rfft(back[10_000:32_050] * np.hanning(22_050)))
    near = np.zeros(len(spectrum), bool)
    for hertz in (220, 277, 330, 1_760):  # a second of sound: a bin is 1 Hz; a mel band there is some 30 Hz wide
        near[hertz - 20 : hertz + 20] = True
    assert (spectrum[near] ** 2).sum() > 0.95 * (spectrum**2).sum()
    assert pathlib.Path("inverted/chord.png").exists()


def test_inverts_a_folder_and_an_array(run):
    pathlib.Path("in/deep").mkdir(parents=True)
    tone_file(pathlib.Path("in/deep/chord.wav"))
    pathlib.Path("in/broken.wav").write_text("no sound")
    status, _, err = run("invert", "in", "--n-iter", "1", "--out", "there")
    assert status == 0
    assert "in/broken.wav" in err
    assert pathlib.Path("there/deep/chord_wav.wav").exists()
    np.save("mel.npy", np.random.default_rng(0).uniform(size=(40, 128)).astype(np.float32))
    assert run("invert", "mel.npy", "--n-iter", "1", "--out", "there")[0] == 0
    assert len(soundfile.read("there/mel.wav")[0]) == 39 * 512


def test_what_cannot_be_inverted_is_said(run):
    np.save("wrong.npy", np.zeros((3, 7), np.float32))
    status, _, err = run("invert", "wrong.npy")
    assert status == 1
    assert "expected floats [frames, 128] for --n-mels 128 --n-fft 2048, got float32 (3, 7)" in err
    status, _, err = run("invert", "nothing.wav")
    assert (status, "nothing.wav: nothing here could be turned into sound" in err) == (1, True)
    tone_file(pathlib.Path("chord.wav"))
    status, _, err = run("invert", "chord.wav", "--hop-length", "9999")
    assert status == 1
    assert "hop_length=9999: expected 1 to n_fft=2048" in err
    status, _, err = run("invert", "chord.wav", "--hop-length", "1025")
    assert (status, "--hop-length 1025: frames of 2048 samples" in err) == (1, True)
    status, _, err = run("invert", "chord.wav", "--n-iter", "-1")
    assert (status, "n_iter=-1" in err) == (1, True)
    np.save("decibels.npy", np.full((40, 128), -30, np.float32))
    status, _, err = run("invert", "decibels.npy")
    assert (status, "decibels.npy: mel: goes down to -30, where nothing is below 0; if these are decibels" in err) == (
        1,
        True,
    )


def test_a_file_that_is_too_short_does_not_stop_the_others(run):
    pathlib.Path("in").mkdir()
    soundfile.write("in/a_short.wav", np.ones(500, np.float32) / 2, 22_050)
    tone_file(pathlib.Path("in/chord.wav"))
    status, _, err = run("invert", "in", "--n-iter", "1")
    assert status == 0
    assert "in/a_short.wav: wave: 500 samples are too few" in err
    assert pathlib.Path("inverted/chord_wav.wav").exists()


def test_the_hop_follows_the_frame_and_clipping_is_said(run):
    wave = tone_file(pathlib.Path("chord.wav"))
    assert run("invert", "chord.wav", "--n-fft", "512", "--n-mels", "0", "--n-iter", "1")[0] == 0
    np.save("loud.npy", np.full((40, 257), 100, np.float32))
    status, _, err = run("invert", "loud.npy", "--n-fft", "512", "--n-mels", "0", "--n-iter", "1")
    assert status == 0 and "of the samples were beyond full scale" in err
    assert len(soundfile.read("inverted/loud.wav")[0]) == 39 * 128
    assert len(soundfile.read("inverted/chord.wav")[0]) == len(wave)
