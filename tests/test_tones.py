"""The built-in music: its labels are true of its sound, measured by librosa, which had no part in making it.

Over 300 lines, because tests mirror mgen file by file.
"""

import dataclasses
import time

import librosa
import numpy as np
import pytest

from mgen.data import DataError
from mgen.data.tones import FACTORS, GENRES, KEYS, PATTERNS, STEMS, Tones, render

RATE, CLIP = 22_050, 11.9


def play(sample_rate=RATE, seconds=CLIP, *, only=None, variation=0.0, seed=0, **labels):
    """Renders defaults changed by `labels`; `only` is the one stem that plays."""
    if only:
        labels = {**{stem: float(stem == only) for stem in STEMS}, **labels}
    samples = round(seconds * sample_rate)
    return render(labels, sample_rate=sample_rate, samples=samples, variation=variation, seed=seed)


def rms_db(wave):
    return 10 * np.log10(np.mean(wave.astype(np.float64) ** 2) + 1e-12)


def open_tones(seconds=1.0, **fields):
    return Tones(**fields).open(sample_rate=RATE, samples=round(seconds * RATE))


def visit(corpus, split, index, seed=0):
    return corpus.item(split, index, np.random.default_rng(seed))


# --- The sound is what the labels say ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tempo", [118.0, 125.5, 132.0])
def test_tempo_of_house_is_heard(tempo):
    wave = play(pattern="house", tempo=tempo)
    onset = librosa.onset.onset_strength(y=wave, sr=RATE, hop_length=128)
    _, beats = librosa.beat.beat_track(onset_envelope=onset, sr=RATE, hop_length=128, trim=False, units="time")
    heard = 60 / np.polyfit(np.arange(len(beats)), beats, 1)[0]
    assert min(abs(heard * octave - tempo) for octave in (0.5, 1, 2)) < 1


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("tempo", [80.0, 118.0, 131.3])
def test_drums_repeat_every_bar(pattern, tempo):
    """A tracker loses the beat of a break or a swing, so there the length of the bar is measured instead."""
    wave = play(only="drums", pattern=pattern, tempo=tempo)
    spectrum = np.fft.rfft(wave, 2 * len(wave))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: round(3.4 * RATE)]  # a bar is 1.8 to 3 s here, two are longer
    correlation /= 1 - np.arange(len(correlation)) / len(wave)
    bars = np.arange(round(1.2 * RATE), len(correlation))
    bar = bars[np.argmax(correlation[bars])] / RATE
    beats = bar * tempo / 60
    assert abs(beats - (2 * round(beats / 2) if pattern == "house" else 4)) < 0.01, beats


def test_house_kick_falls_on_every_beat():
    tempo = 123.4
    wave = play(pattern="house", tempo=tempo, only="drums")
    low = np.abs(librosa.stft(wave, n_fft=1024, hop_length=64))[5:12].sum(axis=0)  # where the sweep begins
    onsets = librosa.onset.onset_detect(
        onset_envelope=np.maximum(np.diff(low), 0), sr=RATE, hop_length=64, units="time", delta=0.2
    )
    beats = np.arange(len(onsets) + 1) * 60 / tempo
    distance = np.abs(onsets[:, None] - beats).min(axis=1)
    assert len(onsets) >= CLIP * tempo / 60 - 2
    assert distance.max() < 0.025


def test_clip_starts_on_the_first_beat():
    for stem in ("drums", "chords", "lead"):
        wave = np.abs(play(only=stem, seconds=1, pattern="house"))
        assert np.argmax(wave > 0.1 * wave.max()) < 0.03 * RATE, stem


@pytest.mark.parametrize("pitch", [60.0, 71.0, 84.0])
@pytest.mark.parametrize("brightness", [0.0, 1.0])
def test_lead_plays_about_its_pitch(pitch, brightness):
    wave = play(only="lead", pitch=pitch, brightness=brightness, seconds=8)
    f0, voiced, _ = librosa.pyin(wave, fmin=150, fmax=2000, sr=RATE, hop_length=1024)
    heard = librosa.hz_to_midi(f0[voiced])
    assert abs(np.median(heard) - pitch) <= 2
    assert np.median(np.abs(heard - np.rint(heard))) < 0.1  # in tune
    assert np.mean(np.abs(heard - pitch) <= 8) > 0.95


def test_lead_stays_in_the_key():
    wave = play(only="lead", key="F#", pattern="lofi", seconds=8)
    f0, voiced, _ = librosa.pyin(wave, fmin=150, fmax=2000, sr=RATE, hop_length=1024)
    degrees = (np.rint(librosa.hz_to_midi(f0[voiced])) - KEYS.index("F#")) % 12
    assert np.mean(np.isin(degrees, (0, 2, 4, 7, 9))) > 0.95


@pytest.mark.parametrize(
    "pattern, chord", [("house", (0, 3, 7, 10)), ("lofi", (0, 4, 7, 11)), ("breakbeat", (0, 3, 7, 10))]
)
@pytest.mark.parametrize("key", ["C", "F", "A#"])
def test_first_bar_is_the_tonic_chord(pattern, chord, key):
    wave = play(only="chords", pattern=pattern, key=key, brightness=0.3, seconds=4 * 60 / 125, tempo=125)
    chroma = librosa.feature.chroma_stft(y=wave, sr=RATE, n_fft=8192, tuning=0, norm=None).mean(axis=1)
    loudest = np.argsort(chroma)[-4:]
    assert {(note + KEYS.index(key)) % 12 for note in chord} == set(loudest.tolist())


def test_bass_follows_the_chords():
    beat = 0.5  # s, at 120 bpm
    wave = play(only="bass", pattern="lofi", key="C", tempo=120, brightness=0.2, seconds=16 * beat)
    for bar, root in enumerate(("C", "A", "D", "G")):
        note = wave[round(4 * bar * beat * RATE) :][: round(beat * RATE)]
        f0 = np.nanmedian(librosa.pyin(note, fmin=40, fmax=300, sr=RATE, frame_length=4096)[0])
        assert librosa.hz_to_note(f0, octave=False, unicode=False) == root


@pytest.mark.parametrize("only", ["bass", "chords", "lead", None])
def test_centroid_rises_with_brightness(only):
    centroids = []
    for brightness in np.linspace(0, 1, 6):
        wave = play(only=only, brightness=float(brightness), **({} if only else {"drums": 0.0}), seconds=4)
        power = np.abs(np.fft.rfft(wave)) ** 2
        centroids.append(np.sum(np.arange(len(power)) * power) / np.sum(power))
    assert np.all(np.diff(centroids) > 0), centroids


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("pattern", GENRES)
def test_level_is_a_linear_gain_and_zero_is_absent(stem, pattern):
    half, full = (np.arctanh(play(only=stem, pattern=pattern, seconds=4, **{stem: level})) for level in (0.5, 1.0))
    np.testing.assert_allclose(half, full / 2, atol=2e-6)
    assert rms_db(full) > -35
    without = {stem: 0.0}
    rest = sum(np.arctanh(play(only=other, pattern=pattern, seconds=4)) for other in STEMS if other != stem)
    both = np.arctanh(play(pattern=pattern, seconds=4, **{**dict.fromkeys(STEMS, 1.0), **without}))
    np.testing.assert_allclose(both, rest, atol=2e-5)


def test_silence_when_every_level_is_zero():
    assert not np.any(play(only="drums", drums=0.0, pattern="lofi"))


def test_patterns_and_keys_differ():
    waves = [play(only="drums", pattern=pattern, seconds=4) for pattern in GENRES]
    waves += [play(only="chords", key=key, seconds=4) for key in KEYS]
    for i, one in enumerate(waves):
        for other in waves[:i]:
            assert rms_db(one - other) > rms_db(one) - 6


@pytest.mark.parametrize("pattern", GENRES)
def test_loudness(pattern):
    loud = play(pattern=pattern, **dict.fromkeys(STEMS, 1.0), brightness=1.0)
    assert np.max(np.abs(loud)) < 1
    assert -20 < rms_db(play(pattern=pattern, **dict.fromkeys(STEMS, 0.5))) < -15


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000])
@pytest.mark.parametrize("pattern", GENRES)
def test_any_rate_plays_the_same_music(rate, pattern):
    """Compared below 3 kHz, where all rates have sound, as the spectrum of the pitched stems."""
    sounds = []
    for sample_rate in (RATE, rate):
        wave = play(sample_rate, 4, pattern=pattern, drums=0.0)
        assert wave.dtype == np.float32 and wave.shape == (4 * sample_rate,) and np.isfinite(wave).all()
        sounds.append(np.abs(np.fft.rfft(wave))[: 4 * 3000] / sample_rate)
    assert np.corrcoef(*sounds)[0, 1] > 0.98


@pytest.mark.parametrize("stem", ["bass", "lead"])
def test_nothing_aliases(stem):
    """What is not a harmonic of a steady note lies 50 dB below the harmonics."""
    wave = np.arctanh(play(8000, 0.35, only=stem, brightness=1.0, pitch=84, key="C", pattern="lofi", tempo=60))
    wave = wave[800:2800]
    f0 = 65.406 if stem == "bass" else 1046.502
    f = np.fft.rfftfreq(16 * len(wave), 1 / 8000)
    power = np.abs(np.fft.rfft(wave * np.blackman(len(wave)), 16 * len(wave))) ** 2
    harmonic = np.abs(f / f0 - np.rint(f / f0)) * f0 < 16
    assert 10 * np.log10(power[~harmonic].max() / power.max()) < -50


def test_one_sample_is_a_clip():
    assert play(8000, 1 / 8000).shape == (1,)


def test_is_fast_enough():
    play()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        play(seconds=CLIP)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.15  # 15 to 20 ms measured on one idle core; the rest is for a crowded machine


# --- Labels and variation ---------------------------------------------------------------------------------------------


def test_labels_alone_decide_the_sound():
    np.testing.assert_array_equal(play(seed=1, seconds=3), play(seed=2, seconds=3))


def test_variation_moves_the_music_by_seed():
    one, again, other = (play(variation=0.5, seed=seed, seconds=5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert rms_db(one - other) > -40
    steady = play(variation=0.5, seed=1, seconds=5, lead=0.0)
    with_lead = play(variation=0.5, seed=1, seconds=5, lead=1.0)
    lead = play(variation=0.5, seed=1, seconds=5, only="lead")
    np.testing.assert_allclose(np.arctanh(with_lead) - np.arctanh(steady), np.arctanh(lead), atol=2e-5)


def test_corpus_labels_are_the_varied_factors_in_order():
    corpus = open_tones()
    assert tuple(label.name for label in corpus.labels) == FACTORS
    corpus = open_tones(tempo=(125.0, 125.0), key=("C",), bass=(0.0, 0.0))
    assert tuple(label.name for label in corpus.labels) == ("pattern", "drums", "chords", "lead", "brightness", "pitch")
    assert corpus.truth("train", 0)["tempo"] == 125 and corpus.truth("train", 0)["key"] == "C"
    assert "fixed: bass 0.0, tempo 125.0, key C" in corpus.report
    defaults = {label.name: label.default for label in open_tones(brightness=(0.0, 0.5)).labels}
    assert defaults == {
        "pattern": 0, "drums": 0.8, "bass": 0.8, "chords": 0.8, "lead": 0.8,
        "brightness": 0.5, "tempo": 125.0, "key": 0, "pitch": 72.0,
    }  # fmt: skip


def test_item_is_the_rendered_truth():
    corpus = open_tones(2.0, key=("D", "G#"))
    for split, index in (("train", 0), ("train", 511), ("validation", 31)):
        item, truth = visit(corpus, split, index), corpus.truth(split, index)
        assert item["wave"].dtype == item["labels"].dtype == np.float32
        wave = render(truth, sample_rate=RATE, samples=2 * RATE)
        np.testing.assert_allclose(item["wave"], wave, atol=0.51 / 32767)
        for control, value in zip(corpus.labels, item["labels"], strict=True):
            named = truth[control.name]
            expected = control.options.index(named) if isinstance(named, str) else named
            assert value == np.float32(expected)


def test_levels_are_often_at_their_ends_and_the_rest_uniform():
    corpus = open_tones(clips=3000, drums=(0.2, 0.6))
    truths = [corpus.truth("train", i) for i in range(3000)]
    for stem, low, high in (("drums", 0.2, 0.6), ("bass", 0, 1), ("lead", 0, 1)):
        values = np.array([truth[stem] for truth in truths])
        assert abs(np.mean(values == low) - 1 / 6) < 0.03 and abs(np.mean(values == high) - 1 / 6) < 0.03
    tempo = np.array([truth["tempo"] for truth in truths])
    assert 118 <= tempo.min() < 118.2 and 131.8 < tempo.max() <= 132 and abs(tempo.mean() - 125) < 0.3
    for name, options in (("key", KEYS), ("pattern", PATTERNS)):
        counts = [sum(truth[name] == option for truth in truths) for option in options]
        assert min(counts) > 0.75 * 3000 / len(options)


def test_splits_differ_and_fixing_a_factor_leaves_the_others():
    corpus, fixed = open_tones(), open_tones(tempo=(120.0, 120.0))
    truths = {tuple(corpus.truth(split, i).values()) for split in ("train", "validation") for i in range(32)}
    assert len(truths) == 64
    assert {**corpus.truth("train", 3), "tempo": 120.0} == fixed.truth("train", 3)
    assert corpus.truth("train", 3) != open_tones(seed=1).truth("train", 3)
    assert (corpus.size("train"), corpus.size("validation")) == (512, 32)
    assert open_tones(validation_clips=0).size("validation") == 0


def test_repeats_come_from_memory(monkeypatch):
    calls = []
    monkeypatch.setattr("mgen.data.tones.render", lambda *a, **k: calls.append(1) or render(*a, **k))
    corpus, none_kept = open_tones(), open_tones(cache_mb=0)
    first, second = visit(corpus, "train", 1, 0), visit(corpus, "train", 1, 1)
    np.testing.assert_array_equal(first["wave"], second["wave"])
    assert len(calls) == 1
    np.testing.assert_array_equal(visit(none_kept, "train", 1)["wave"], visit(none_kept, "train", 1)["wave"])
    assert len(calls) == 3
    one_kept = open_tones(30.0, cache_mb=2)  # 1.3 MB a clip
    for index in (0, 1, 0, 1):
        visit(one_kept, "train", index)
    assert len(calls) == 6


def test_variation_is_drawn_from_the_loaders_rng():
    corpus = open_tones(3.0, variation=1.0, lead=(1.0, 1.0))
    one, again, other = (visit(corpus, "train", 0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one["wave"], again["wave"])
    np.testing.assert_array_equal(one["labels"], other["labels"])
    assert np.any(one["wave"] != other["wave"])


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"tempo": (132.0, 118.0)}, r"data\.tempo=\(132\.0, 118\.0\): the range is reversed; write \(118\.0, 132\.0\)"),
        ({"tempo": (0.0, 118.0)}, r"data\.tempo=0\.0: expected a number from 40 to 240"),
        ({"drums": (0.0, 1.5)}, r"data\.drums=1\.5: expected a number from 0 to 1"),
        ({"bass": (float("nan"), 1.0)}, r"data\.bass=nan: expected a number from 0 to 1"),
        ({"pitch": (60,)}, r"data\.pitch=\(60,\): expected a lowest and a highest value"),
        ({"key": ("C", "H")}, r"data\.key='H': unknown; expected one of C, C#, D, .*, B"),
        ({"key": ("C", "C")}, r"data\.key=\('C', 'C'\): an option is named twice"),
        ({"pattern": ("polka",)}, r"data\.pattern='polka': unknown; expected one of house, lofi, breakbeat"),
        ({"pattern": ()}, r"data\.pattern=\(\): empty; name one or more of house, lofi, breakbeat"),
        ({"clips": 0}, r"data\.clips=0: expected 1 or more"),
        ({"validation_clips": -1}, r"data\.validation_clips=-1: expected 0 or more"),
        ({"cache_mb": -1}, r"data\.cache_mb=-1: expected 0 or more"),
        ({"seed": -1}, r"data\.seed=-1: expected 0 or more"),
        ({"variation": 2.0}, r"data\.variation=2\.0: expected a number from 0 to 1"),
    ],
)
def test_wrong_fields_are_refused(fields, message):
    with pytest.raises(DataError, match=message):
        open_tones(**fields)


def test_wrong_clips_are_refused():
    with pytest.raises(DataError, match=r"samples=100: too short at 22050 Hz; use 1103 or more"):
        Tones().open(sample_rate=RATE, samples=100)
    with pytest.raises(DataError, match=r"sample_rate=4000: too low .* use 8000 Hz or more"):
        Tones().open(sample_rate=4000, samples=RATE)
    with pytest.raises(ValueError, match="split='test': expected one of train, validation"):
        open_tones().size("test")
    with pytest.raises(IndexError, match="train clip 512: expected 0 to 511"):
        visit(open_tones(), "train", 512)


def test_wrong_labels_are_refused():
    with pytest.raises(DataError, match="label 'volume': unknown factor; expected some of pattern, drums"):
        play(volume=1.0)
    with pytest.raises(DataError, match="^key='H': unknown; expected one of C, C#"):
        play(key="H")
    with pytest.raises(DataError, match="^tempo='fast': expected a number from 40 to 240"):
        play(tempo="fast")


def test_the_fingerprint_is_of_what_is_heard(monkeypatch):
    first = open_tones().fingerprint
    assert len(first) == 16 and first == open_tones(cache_mb=0).fingerprint
    others = {open_tones(**fields).fingerprint for fields in ({"seed": 1}, {"clips": 9}, {"tempo": (120.0, 121.0)})}
    monkeypatch.setattr("mgen.data.tones._VERSION", 2)
    assert len({first, *others, open_tones().fingerprint}) == 5


def test_fields_stay_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Tones().clips = 1
