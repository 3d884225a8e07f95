"""A transfer that is good by construction passes; mixes, copies and noise fail, of synthetic and of real sounds."""

import numpy as np
import pytest

from mgen import audio, dsp
from mgen.metrics import transfer

RATE, SECONDS = 22_050, 6


def level(wave):
    return (0.1 * wave / np.sqrt(np.mean(np.square(wave)))).astype(np.float32)


def pluck(frequency, time):
    """Dark, and dies fast."""
    return sum(np.sin(2 * np.pi * frequency * k * time) / k**2.5 * np.exp(-time * (4 + 2 * k)) for k in range(1, 6))


def reed(frequency, time):
    """Bright odd harmonics with vibrato and breath."""
    partials = [k for k in range(1, 40, 2) if frequency * k < 10_000]
    tone = sum(np.sin(2 * np.pi * frequency * k * time + 0.3 * np.sin(10 * np.pi * time)) / k**0.4 for k in partials)
    breath = np.random.default_rng(int(frequency)).normal(0, 0.05, len(time))
    return (tone + breath) * np.minimum(np.minimum(time / 0.04, (time[-1] - time) / 0.03), 1)


def play(notes, beat_s, instrument):
    samples = int(beat_s * RATE)
    time, wave = np.arange(samples) / RATE, np.zeros(SECONDS * RATE)
    for start in range(0, len(wave) - samples + 1, samples):
        midi = notes[start // samples % len(notes)]
        wave[start : start + samples] = instrument(440 * 2 ** ((midi - 69) / 12), time)
    return level(wave)


MELODY, OTHER = (60, 64, 67, 72, 71, 67, 62, 65), (57, 62, 69, 66, 61, 64)
CONTENT, STYLE = play(MELODY, 0.3, pluck), play(OTHER, 0.45, reed)
GOOD = play(MELODY, 0.3, reed)
NOISE = np.random.default_rng(0).normal(0, 0.1, SECONDS * RATE).astype(np.float32)


def report(content, style, result, **settings):
    return transfer.transfer_report(content, style, result, sample_rate=RATE, **settings)


def test_a_good_transfer_passes():
    found = report(CONTENT, STYLE, GOOD)
    assert found.passed and found.content_kept and found.style_reached and found.not_a_mix and found.not_noise
    assert found.chroma > 0.45 and found.onsets > 0.7 and found.mfcc < 0.6 and found.gram < 0.5
    assert found.mix.share < 0.1 and found.noise < 1.2
    quiet = report(CONTENT, 0.5 * STYLE, 0.01 * GOOD)
    np.testing.assert_allclose(quiet[:4], found[:4], rtol=0.02)
    assert quiet.passed
    assert not report(CONTENT, STYLE, GOOD, limits=transfer.TransferLimits(chroma=0.99)).passed


@pytest.mark.parametrize(
    "result, failed",
    [
        ((CONTENT + STYLE) / 2, {"not_a_mix"}),
        (0.2 * CONTENT + 0.8 * STYLE, {"not_a_mix"}),
        (CONTENT, {"style_reached", "not_a_mix"}),
        (STYLE, {"content_kept", "not_a_mix"}),
        (NOISE, {"content_kept", "style_reached", "not_noise"}),
        (GOOD + 0.3 * NOISE, {"not_noise"}),
        (play(OTHER, 0.45, pluck), {"content_kept", "style_reached"}),
    ],
    ids=["mix", "more style", "copy", "style", "noise", "noisy", "neither"],
)
def test_what_is_no_transfer_fails(result, failed):
    found = report(CONTENT, STYLE, result)
    assert not found.passed
    assert {
        name for name in ("content_kept", "style_reached", "not_a_mix", "not_noise") if not getattr(found, name)
    } == failed


def test_a_mix_of_spectrograms_is_a_mix():
    """What a blurred network gives: magnitudes added, and a phase made up."""
    spectra = [np.asarray(dsp.stft(wave, n_fft=2048, hop_length=512)) for wave in (CONTENT, STYLE)]
    power = np.sqrt(np.abs(spectra[0]) ** 2 + np.abs(spectra[1]) ** 2)
    made = dsp.istft(power * np.exp(1j * np.angle(spectra[1])), n_fft=2048, hop_length=512, length=SECONDS * RATE)
    assert transfer.mix_share(made, CONTENT, STYLE, sample_rate=RATE).share > 0.9
    assert not report(CONTENT, STYLE, made).not_a_mix


def test_silence_keeps_nothing():
    found = report(CONTENT, STYLE, 0 * CONTENT)
    assert not found.content_kept and not found.passed and found.chroma == found.onsets == 0


def test_chroma_by_hand():
    time, notes = np.arange(RATE) / RATE, np.array([57, 69, 60, 83, 66.5])
    tones = np.sin(2 * np.pi * 440 * 2 ** ((notes[:, None] - 69) / 12) * time)
    found = transfer.chroma(np.append(tones, 0 * tones[:1], 0)[None].astype(np.float32), sample_rate=RATE)
    assert found.shape == (1, 6, 44, 12) and found.dtype == np.float32 and not np.any(found[0, 5])
    mean = np.asarray(found)[0, :, 4:-4].mean(1)
    assert np.argmax(mean[:4], axis=1).tolist() == [9, 9, 0, 11]
    assert set(np.argsort(mean[4])[-2:]) == {6, 7} and abs(mean[4, 6] - mean[4, 7]) < 0.2 * mean[4, 6]  # shared


def test_similarities_of_a_batch():
    ours, theirs = np.stack([CONTENT, GOOD, NOISE, 0 * NOISE]), np.stack([CONTENT] * 4)
    notes = np.asarray(transfer.chroma_similarity(ours, theirs, sample_rate=RATE))
    onsets = np.asarray(transfer.onset_similarity(ours, theirs, sample_rate=RATE))
    for found, least in ((notes, 0.45), (onsets, 0.7)):
        assert found.shape == (4,) and found[0] == pytest.approx(1, abs=1e-4)
        assert found[1] > least and abs(found[2]) < 0.15 and found[3] == 0
    octave = play([midi + 12 for midi in MELODY], 0.3, pluck)
    fifth = play([midi + 6 for midi in MELODY], 0.3, pluck)
    assert transfer.chroma_similarity(octave, CONTENT, sample_rate=RATE) > 0.9
    assert transfer.chroma_similarity(fifth, CONTENT, sample_rate=RATE) < 0
    late = np.roll(CONTENT, 2 * 512)
    assert transfer.onset_similarity(late, CONTENT, sample_rate=RATE) > 0.95
    assert transfer.onset_similarity(np.roll(CONTENT, 8 * 512), CONTENT, sample_rate=RATE) < 0.3


def test_style_distances_ignore_order_and_level():
    for distance in (transfer.mfcc_statistics_distance, transfer.gram_distance):
        assert distance(STYLE, STYLE, sample_rate=RATE) < 1e-3
        far = distance(CONTENT, STYLE, sample_rate=RATE)
        assert distance(np.roll(STYLE, RATE), 0.1 * STYLE, sample_rate=RATE) < 0.1 * far
        assert distance(STYLE, CONTENT, sample_rate=RATE) == pytest.approx(far, rel=1e-4)
        assert distance(GOOD[: 3 * RATE], STYLE, sample_rate=RATE) < 0.6 * far


def test_mix_share_gives_the_gains():
    found = transfer.mix_share(0.3 * CONTENT + 0.7 * STYLE, CONTENT, STYLE, sample_rate=RATE)
    assert found.share > 0.97
    assert found.content == pytest.approx(0.09, rel=0.3) and found.style == pytest.approx(0.49, rel=0.1)
    alone = transfer.mix_share(2 * CONTENT, CONTENT, STYLE, sample_rate=RATE)
    assert alone.share == pytest.approx(1, abs=1e-6) and alone.content == pytest.approx(4, rel=1e-4)
    assert alone.style == pytest.approx(0, abs=1e-6)
    assert transfer.mix_share(NOISE, CONTENT, STYLE, sample_rate=RATE).share < 0.1


PAIRS = (
    ("country.mp3", "rain.ogg"),
    ("brahms_hungarian_dance_5_mono22k.ogg", "waves.ogg"),
    ("rhodes_demo.mp3", "train.ogg"),
    ("nutcracker_sugar_plum_fairy.ogg", "ambi_glass_hum.flac"),
    ("vibe_ace.ogg", "waves.ogg"),
    ("chip_8bit_battle_loop.ogg", "synthdrone_long.mp3"),
    ("singing_vocadito_10.wav", "crowd1.mp3"),
)


@pytest.mark.parametrize(("music", "ambience"), PAIRS, ids=[pair[0].partition(".")[0] for pair in PAIRS])
def test_real_pairs(real_audio, music, ambience):
    content = level(audio.read(real_audio / "music" / music, sample_rate=RATE, start_s=2, duration_s=SECONDS))
    style = level(audio.read(real_audio / "ambience" / ambience, sample_rate=RATE, duration_s=SECONDS))
    assert len(content) == len(style) == SECONDS * RATE
    mix, copy, noise = (report(content, style, result) for result in ((content + style) / 2, content, NOISE))
    assert not mix.not_a_mix and mix.mix.share > 0.95
    assert not copy.style_reached and copy.mfcc == pytest.approx(1) and copy.gram == pytest.approx(1)
    assert not noise.not_noise and not noise.content_kept
    assert not (mix.passed or copy.passed or noise.passed)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: report(CONTENT, STYLE, GOOD[:-1]), "expected two equal shapes"),
        (lambda: report(CONTENT[:9000], STYLE[:9000], GOOD[:9000]), "content: 9000 samples are too few"),
        (lambda: report(CONTENT[None], STYLE[None], GOOD[None]), r"content: expected \[samples\]"),
        (lambda: report(0 * CONTENT, STYLE, GOOD), "content: is silent"),
        (lambda: report(CONTENT, 0 * STYLE, GOOD), "style: is silent"),
        (lambda: report(CONTENT, CONTENT, GOOD), "style: sounds like content, mfcc_statistics_distance is"),
        (lambda: report(CONTENT, STYLE, np.nan * GOOD), "result: holds NaN"),
        (lambda: transfer.chroma(GOOD, sample_rate=8e7), "n_fft=4096: no bin lies between 100 and 5000 Hz"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
