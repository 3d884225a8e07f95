"""Pitch: tones whose frequency is known, real notes whose label is, and librosa's pYIN beside it."""

import csv

import jax
import librosa
import numpy as np
import pytest

from mgen import audio
from mgen.metrics import pitch

RATE = 22_050
SPECTRA = {
    "sine": [1.0],
    "saw": [1 / number for number in range(1, 40)],
    "flat": [1.0] * 20,  # up to half the rate: between samples, a valley of YIN is narrower than a sample
    "clarinet": [number % 2 / number for number in range(1, 40)],
    "no fundamental": [0.0] + [1 / number for number in range(2, 40)],
}


def hertz_of(midi):
    return 440.0 * 2.0 ** ((np.asarray(midi, np.float64) - 69) / 12)


def tone(midi, partials, samples=RATE, seed=0):
    """Sum of harmonics below half the rate with random phases, root mean square 0.2; midi a number or [samples]."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz_of(midi), samples)) / RATE
    start = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(partials))
    below = [number for number in range(len(partials)) if (number + 1) * np.max(hertz_of(midi)) < 0.49 * RATE]
    wave = sum(partials[number] * np.sin((number + 1) * phase + start[number]) for number in below)
    return (0.2 * wave / np.sqrt(np.mean(wave**2))).astype(np.float32)


def heard(waves, at_once=20, **settings):
    """Track and note of waves [clips, samples], twenty at once so that the tests share what is compiled."""
    waves = np.asarray(waves, np.float32)
    count = len(waves)
    waves = np.pad(waves, ((0, -count % at_once), (0, 0)))
    parts = [waves[first : first + at_once] for first in range(0, len(waves), at_once)]
    tracks = [pitch.fundamental_frequency(part, sample_rate=RATE, **settings) for part in parts]
    results = [(track, pitch.note_pitch(track)) for track in tracks]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *results)


@pytest.mark.parametrize("name", SPECTRA)
def test_tones_of_the_whole_keyboard(name):
    midi = np.arange(21, 97) + 0.3  # between the keys
    track, note = heard([tone(number, SPECTRA[name], seed=int(number)) for number in midi])
    # Every frame, not just the median: there is neither noise nor a change here. Measured: at most 2.4 cents, for the
    # highest flat tone, where a parabola over half samples is least like a valley, and 0.2 for a sine.
    assert np.max(np.abs(1200 * np.log2(track.f0 / hertz_of(midi)[:, None]))) < 5
    np.testing.assert_allclose(note.midi, midi, rtol=0, atol=0.03)
    np.testing.assert_allclose(note.hertz, hertz_of(midi), rtol=2e-3)
    np.testing.assert_array_equal(note.voiced, 1)
    assert np.max(track.aperiodicity) < 0.05 and np.min(track.correlation) > 0.98


def test_numbers_of_a_frame_are_those_of_the_paper():
    """YIN's normalised difference and the correlation, summed in float64, for a random cycle of 100 samples."""
    rng = np.random.default_rng(0)
    cycle = rng.normal(0, 0.2, 100) + 0.2 * (-1.0) ** np.arange(100)  # with much at half the rate
    wave = np.tile(cycle, 250)[:RATE] + rng.normal(0, 0.1, RATE)
    track, _ = heard([wave])
    np.testing.assert_allclose(track.f0, RATE / 100, rtol=2e-3)
    for frame in range(0, 40, 7):
        part = wave[frame * 512 :][: 1024 + 850]
        part = part - part.mean()
        difference = np.array([np.sum((part[:1024] - part[lag : lag + 1024]) ** 2) for lag in range(1, 101)])
        theirs = difference[-1] / np.mean(difference)
        # Within 4 %: ours has the mean over half samples too, and the bottom of the valley between two samples.
        np.testing.assert_allclose(track.aperiodicity[0, frame], theirs, rtol=0.04)
        theirs = np.corrcoef(part[:1024], part[100:1124])[0, 1]
        np.testing.assert_allclose(track.correlation[0, frame], theirs, rtol=0, atol=2e-3)
        np.testing.assert_allclose(track.power[0, frame], np.mean(part[:1024] ** 2), rtol=1e-4)


@pytest.mark.parametrize("snr_db, wrong", [(20, 0), (10, 0), (5, 0), (0, 4)])
def test_tones_in_noise(snr_db, wrong):
    midi = np.arange(24, 97, 3)
    clean = np.stack([tone(number, SPECTRA["saw"]) for number in midi])
    noise = np.random.default_rng(1).normal(0, 0.2 * 10 ** (-snr_db / 20), clean.shape)
    accuracy = pitch.pitch_accuracy(heard(clean + noise)[1].midi, midi)
    assert accuracy >= 1 - wrong / len(midi)


def test_a_glide_is_followed():
    midi = np.linspace(54, 66, RATE)
    track, note = (jax.tree.map(np.squeeze, part) for part in heard([tone(midi, SPECTRA["saw"])]))
    frames = np.arange(track.f0.shape[-1])
    # What is compared lies in the middle of the window and one period, on average.
    centre = np.clip(frames * 512 + (1024 + RATE / track.f0) / 2, 0, RATE - 1).astype(int)
    cents = 100 * (69 + 12 * np.log2(track.f0 / 440) - midi[centre])
    assert np.max(np.abs(cents)) < 10
    np.testing.assert_allclose(note.midi, midi[centre[len(frames) // 2]], rtol=0, atol=0.3)


def test_two_notes_are_two_plateaus():
    wave = np.concatenate([tone(midi, SPECTRA["saw"], RATE // 2) for midi in (50, 69)])
    midi = 69 + 12 * np.log2(heard([wave])[0].f0 / 440)
    assert np.mean(np.abs(midi - 50) < 0.1) > 0.4 and np.mean(np.abs(midi - 69) < 0.1) > 0.4


def test_what_has_no_pitch(noise):
    rng = np.random.default_rng(2)
    spectrum = np.fft.rfft(rng.normal(size=(3, RATE))) / np.sqrt(np.arange(1, RATE // 2 + 2))
    pink = np.fft.irfft(spectrum, axis=-1)
    track, note = heard(np.concatenate([noise, 0.1 * pink / pink.std()]))
    assert np.all(note.voiced < 0.05) and np.all(track.aperiodicity > 0.4)
    assert np.all(np.abs(track.correlation) < 0.7) and np.median(track.aperiodicity[:3]) > 0.9
    assert np.isnan(note.midi[0]) and np.isnan(note.hertz[0])


def test_silence_and_constants():
    track, note = heard([np.zeros(RATE), np.full(RATE, 0.5), np.full(RATE, 1e-3)])
    assert np.all(np.isnan(track.f0)) and np.all(track.aperiodicity == 1) and np.all(track.correlation == 0)
    assert np.all(np.isnan(note.hertz)) and np.all(note.voiced == 0)
    assert pitch.pitch_accuracy(note.midi, np.array([60, 60, 60])) == 0


def test_level_offset_and_rests_change_nothing():
    plain = tone(57, SPECTRA["saw"], RATE // 2)
    rest = np.random.default_rng(0).normal(0, 1e-5, RATE // 4).astype(np.float32)
    fading = plain * np.exp(-np.arange(len(plain)) / 2000)
    waves = [plain, plain * 1e-3, plain + 0.5, fading]
    waves = [np.pad(np.concatenate([rest, wave, rest]), (0, RATE - RATE // 2 - 2 * len(rest))) for wave in waves]
    _, note = heard(waves)
    np.testing.assert_allclose(note.midi, 57, rtol=0, atol=0.02)
    assert np.all(note.voiced[np.array([0, 3])] > 0.9)


def test_octave_cost_decides_how_weak_a_fundamental_is_heard():
    wave = np.stack([tone(48, [10 ** (level / 20), 1.0]) for level in (-40, -25, -8, 0)])
    np.testing.assert_allclose(heard(wave)[1].midi, [60, 60, 48, 48], rtol=0, atol=0.05)
    np.testing.assert_allclose(heard(wave, octave_cost=0.002)[1].midi, [60, 48, 48, 48], rtol=0, atol=0.05)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_other_rates(sample_rate):
    time = np.arange(sample_rate) / sample_rate
    midi = np.array([24, 48, 72, 96])
    waves = [0.3 * square(hertz_of(number) * time) for number in midi]
    track = pitch.fundamental_frequency(np.float32(waves), sample_rate=sample_rate)
    np.testing.assert_allclose(pitch.note_pitch(track).midi, midi, rtol=0, atol=0.1)
    window, longest = pitch.period_window(sample_rate, 26.0), int(np.ceil(sample_rate / 26)) + 1
    assert window >= longest > window / 2
    assert track.f0.shape == (4, 1 + (sample_rate - window - longest) // 512)


def square(cycles):
    """The first two partials of a square wave."""
    return sum(np.sin(2 * np.pi * number * cycles) / number for number in (1, 3))


def test_batch_equals_items_and_jit():
    waves = np.stack(
        [tone(number, SPECTRA["saw"]) * level for number, level in ((40, 1), (64, 0.01), (80, 3), (55, 1))]
    )
    together = pitch.fundamental_frequency(waves.reshape(2, 2, -1), sample_rate=RATE)
    assert all(value.shape[:2] == (2, 2) for value in together)
    for ours, alone in zip(together, heard(waves)[0], strict=True):
        np.testing.assert_allclose(ours.reshape(alone.shape), alone, rtol=1e-4)
    waves[1, 5] = np.nan
    broken = jax.jit(lambda wave: pitch.note_pitch(pitch.fundamental_frequency(wave, sample_rate=RATE)))(waves)
    np.testing.assert_array_equal(np.isnan(broken.midi), [False, True, False, False])


def test_shortest_wave_is_one_frame():
    shortest = 1024 + 850
    wave = tone(60, SPECTRA["saw"])
    track = pitch.fundamental_frequency(wave[:shortest], sample_rate=RATE)
    assert track.f0.shape == (1,)
    np.testing.assert_allclose(pitch.note_pitch(track).midi, 60, rtol=0, atol=0.02)
    with pytest.raises(ValueError, match="wave: 1873 samples are too few; give at least 1874, or smaller frames"):
        pitch.fundamental_frequency(wave[: shortest - 1], sample_rate=RATE)


@pytest.fixture(scope="module")
def notes(real_audio):
    """The labelled notes: waves [120, 4 s] with silence behind the short ones, their labels, and pYIN's answers."""
    with (real_audio / "notes" / "notes.csv").open() as file:
        rows = list(csv.DictReader(file))
    clips = [audio.read(real_audio / "notes" / row["file"], sample_rate=RATE, duration_s=4.0) for row in rows]
    waves = np.stack([np.pad(clip, (0, 4 * RATE - len(clip))) for clip in clips])
    return (
        waves,
        np.array([int(row["midi_pitch"]) for row in rows]),
        np.array([float(row["pyin_midi"]) for row in rows]),
    )


def test_every_real_note_is_heard(notes):
    """librosa.pyin at fmin=26, fmax=2400, frame_length=4096 hears 119 of these 120."""
    waves, midi, pyin = notes
    _, note = heard(waves)
    assert pitch.pitch_accuracy(note.midi, midi) == 1
    assert np.all(note.voiced > 0.9)
    # Finer than the labels: a player is out of tune by more than two ways to measure it are.
    assert np.median(np.abs(note.midi - pyin)) < 0.05 and np.max(np.abs(note.midi - pyin)) < 0.35


def in_noise(waves, snr_db):
    """White noise as far below the mean power of each note's own samples."""
    power = np.array([np.mean(wave[wave != 0] ** 2) for wave in waves])[:, None]
    noise = np.random.default_rng(0).normal(size=waves.shape)
    return noise * np.sqrt(power * 10 ** (-snr_db / 10))


@pytest.mark.parametrize("snr_db, right", [(10, 39), (0, 36)])
def test_real_notes_in_noise(notes, snr_db, right):
    """Of these 40 notes YIN with a threshold of 0.1 and the same median hears 35 at 10 dB and 7 at 0 dB."""
    waves, midi, _ = (part[::3] for part in notes)
    _, note = heard(waves + in_noise(waves, snr_db))
    assert np.sum(np.abs(note.midi - midi) <= 0.5) >= right


@pytest.mark.slow
@pytest.mark.parametrize("snr_db, theirs_at_most", [(None, 12), (10, 12)])
def test_at_least_as_accurate_as_pyin(notes, snr_db, theirs_at_most):
    waves, midi, _ = (part[::10] for part in notes)
    if snr_db is not None:
        waves = waves + in_noise(waves, snr_db)
    ours = np.sum(np.abs(heard(waves)[1].midi - midi) <= 0.5)
    theirs = 0
    for wave, wanted in zip(waves, midi, strict=True):
        hertz, voiced, _ = librosa.pyin(wave, sr=RATE, fmin=26, fmax=2400, frame_length=4096, hop_length=512)
        theirs += bool(voiced.any() and abs(librosa.hz_to_midi(np.median(hertz[voiced])) - wanted) <= 0.5)
    assert 8 <= theirs <= theirs_at_most and ours >= theirs


def test_accuracy_counts():
    midi, wanted = np.float32([60, 60.5, 60.51, 72, np.nan]), np.array([60, 60, 60, 60, 60])
    np.testing.assert_allclose(pitch.pitch_accuracy(midi, wanted), 2 / 5)
    np.testing.assert_allclose(pitch.pitch_accuracy(midi, wanted, tolerance_cents=1200), 4 / 5)
    with pytest.raises(ValueError, match=r"expected two equal shapes, got \(5,\) and \(4,\)"):
        pitch.pitch_accuracy(midi, wanted[:4])
    with pytest.raises(ValueError, match="wanted: expected at least one clip, got none"):
        pitch.pitch_accuracy(midi[:0], wanted[:0])


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(fmin=0), "fmin=0, fmax=4400.0: expected 0 < fmin < fmax <= 5512.5, a quarter of sample_rate=22050"),
        (dict(fmax=6000), "fmin=26.0, fmax=6000: expected 0 < fmin < fmax"),
        (dict(fmin=500, fmax=400), "fmin=500, fmax=400: expected 0 < fmin < fmax"),
        (
            dict(win_length=849),
            "win_length=849: expected at least 850, a period of fmin=26.0 .* raise win_length or fmin",
        ),
        (dict(hop_length=0), "hop_length=0: expected at least 1; 512 is usual"),
        (dict(octave_cost=-1), "octave_cost=-1: expected zero or more; 0.03 is usual"),
    ],
)
def test_refusals(noise, settings, message):
    with pytest.raises(ValueError, match=message):
        pitch.fundamental_frequency(noise, sample_rate=RATE, **settings)


def test_a_floor_is_below():
    track = pitch.PitchTrack(*np.ones((4, 9), np.float32))
    with pytest.raises(
        ValueError, match="floor_db=0: expected a number below 0, dB under the loudest frame; -30 is us"
    ):
        pitch.note_pitch(track, floor_db=0)


def test_a_broken_clip_is_named(noise):
    noise[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"wave: holds NaN or infinity in 1 of 3 clips, first \(1,\)"):
        pitch.fundamental_frequency(noise, sample_rate=RATE)
