"""Fragments cut on the beat and warped to one tempo: what is found, what comes out, and the way back.

Over 300 lines, because tests mirror mgen file by file.
"""

import dataclasses
import functools
import pathlib

import jax
import numpy as np
import pytest
import soundfile

from mgen import audio
from mgen.contracts import Levelled, Warped, Windowed
from mgen.controls import Slider, Switch
from mgen.data import DataError, beat_tracks, beats
from mgen.data.beats import Beats
from mgen.data.folder import Folder
from mgen.data.loader import batches
from mgen.metrics.onset import onset_envelope
from mgen.metrics.tempo import tempo
from tests.clicks import RATE, click_track, even

CLIP = 20_000  # of 4 beats: 120 bpm


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MGEN_CACHE", str(tmp_path_factory.mktemp("cache")))


def put(path, wave, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate)
    return path


def clicks(path, bpm, seconds, offset=0.0, **options):
    """A file of clicks whose pitch is every file's own, so that no two hold the same."""
    hertz = 600 + 50 * (sum(map(ord, path.name)) % 20)
    return put(path, click_track(even(bpm, seconds, offset), seconds, hertz=hertz, **options))


def opened(path, samples=CLIP, **fields):
    return Beats(str(path), **{"beats": 4, "validation_fraction": 0.0, **fields}).open(
        sample_rate=RATE, samples=samples
    )


def items(corpus, split="train"):
    return [corpus.item(split, index, np.random.default_rng(0)) for index in range(corpus.size(split))]


def onset_places(wave, count):
    """Where in each of `count` equal parts around the beats the wave first sounds, in samples from the beat."""
    step = len(wave) // count
    ring = np.roll(np.abs(wave), step // 2).reshape(count, step)
    return np.argmax(ring > 0.2 * ring.max(), axis=1) - step // 2


def measured(wave, about):
    """The tempo that is heard, looked for within a quarter of what it should be."""
    envelope = onset_envelope(wave, sample_rate=RATE, n_fft=512, hop_length=100, n_mels=32)
    near = {"min_tempo": about / 1.25, "max_tempo": about * 1.25, "start_bpm": about}
    return float(tempo(envelope, sample_rate=RATE, hop_length=100, **near))


# --- What is found ----------------------------------------------------------------------------------------------------


def test_tempi_come_from_a_table_the_name_or_the_onsets(tmp_path):
    clicks(tmp_path / "in" / "table.wav", 90, 9.5, 0.2)
    clicks(tmp_path / "in" / "named_112bpm.wav", 112, 9.5, 0.1)
    clicks(tmp_path / "in" / "bare 135.wav", 135, 9.5, 0.1)
    clicks(tmp_path / "in" / "wrong_70_wav.wav", 125, 9.5, 0.1)
    clicks(tmp_path / "in" / "unknown.wav", 148, 9.5, 0.3)
    (tmp_path / "in" / "bpm.csv").write_text("file,bpm\ntable,90\nunknown.wav,\n")
    corpus = opened(tmp_path / "in", tempi="bpm.csv")
    lines = [line.strip() for line in corpus.report.splitlines()]
    assert "table.wav: 90 bpm (csv), constant, 14 beats, 11 fragments" in lines
    assert "named_112bpm.wav: 112 bpm (file name), constant, 17 beats, 14 fragments" in lines
    assert "bare 135.wav: 135 bpm (file name), constant, 21 beats, 18 fragments" in lines
    assert "wrong_70_wav.wav: 125 bpm (estimated by onsets), constant, 19 beats, 16 fragments" in lines
    assert any(line.startswith("unknown.wav: 148 bpm (estimated by onsets), constant, ") for line in lines)
    assert any(
        line.startswith("fragments of 4 beats, warped to 20000 samples (2.00 s, 120 bpm); their") for line in lines
    )
    (slider,) = corpus.labels
    assert isinstance(slider, Slider) and slider.name == "tempo" and slider.unit == "bpm"
    assert slider.low == 90 and 148 <= slider.high <= 149 and slider.low <= slider.default <= slider.high


def test_the_label_is_the_tempo_and_the_beats_are_where_they_belong(tmp_path):
    for bpm in (90, 120, 148):
        clicks(tmp_path / f"{bpm}.wav", bpm, 12, 0.2)
    corpus = opened(tmp_path)
    seen = set()
    for item in items(corpus):
        assert item["wave"].shape == (CLIP,) and item["wave"].dtype == np.float32
        assert item["labels"].shape == (1,) and item["labels"].dtype == np.float32
        seen.add(round(float(item["labels"][0])))
        assert np.abs(onset_places(item["wave"], 4)).max() < 0.03 * RATE
    assert seen == {90, 120, 148}


def test_a_drifting_tempo_is_straightened(tmp_path):
    times = np.cumsum(np.linspace(60 / 95, 60 / 115, 40))
    put(tmp_path / "live.wav", click_track(times, times[-1] + 0.5))
    corpus = opened(tmp_path)
    assert "drifting" in corpus.report
    found = items(corpus)
    tempi = np.array([item["labels"][0] for item in found])
    assert (
        tempi[0] < 98
        and tempi[-1] > 110
        and corpus.labels[0].low <= tempi.min() <= tempi.max() <= corpus.labels[0].high
    )
    for item in found[2:-2]:
        assert np.abs(onset_places(item["wave"], 4)).max() < 0.04 * RATE


def test_a_loop_is_read_round_and_round(tmp_path):
    """3 beats at 100 bpm as fragments of 4: the fourth beat is the first again."""
    beat = 6_000
    wave = np.zeros(3 * beat)
    for number, hertz in enumerate((500, 1000, 2000)):
        wave[number * beat :][:300] = 0.5 * np.sin(2 * np.pi * hertz * np.arange(300) / RATE)
    put(tmp_path / "loop_100bpm.wav", wave)
    corpus = opened(tmp_path, samples=4 * beat)
    assert "loop_100bpm.wav: 100 bpm (file name), constant, loop of 3 beats, 3 fragments" in corpus.report
    for start, item in enumerate(items(corpus)):
        parts = item["wave"].reshape(4, beat)
        for number, part in enumerate(parts):
            heard = np.fft.rfftfreq(300, 1 / RATE)[np.abs(np.fft.rfft(part[:300])).argmax()]
            assert heard == pytest.approx((500, 1000, 2000)[(start + number) % 3], abs=40)


def test_a_loop_has_the_tempo_of_its_beats(tmp_path):
    """Twelve beats fill 6 s at 120 bpm; what is said of two files fits no loop, and what is said of a third does."""
    for name in ("a", "take_116", "c"):
        clicks(tmp_path / "in" / f"{name}.wav", 120, 6.0)
    (tmp_path / "in" / "bpm.csv").write_text("file,bpm\na,115\nc,120\n")
    corpus = opened(tmp_path / "in", tempi="bpm.csv")
    assert "a.wav: 120 bpm (csv says 115, its beats another), constant, loop of 12 beats" in corpus.report
    assert "take_116.wav: 120 bpm (file name says 116, its beats another), constant, loop of 12" in corpus.report
    assert "c.wav: 120 bpm (csv), constant, loop of 12 beats" in corpus.report
    assert {float(item["labels"][0]) for item in items(corpus)} == {120}


def test_names_that_say_no_tempo_and_files_of_no_length(tmp_path):
    clicks(tmp_path / "track_00bpm.wav", 120, 6.3, 0.1)
    put(tmp_path / "tiny_120bpm.wav", click_track([0], 0.03))
    corpus = opened(tmp_path)
    assert "track_00bpm.wav: 120 bpm (estimated by onsets), constant" in corpus.report
    assert "tiny_120bpm.wav: not used, 4 beats at 120 bpm are 2.00 s, and it has 0.03 s" in corpus.report


@pytest.mark.parametrize("estimator", ["onsets", "librosa"])
def test_a_tempo_outside_the_range_is_no_tempo(tmp_path, estimator):
    clicks(tmp_path / "a.wav", 100, 8, 0.1)
    clicks(tmp_path / "b.wav", 120, 8, 0.1)
    report = opened(tmp_path, tempo=(118.0, 132.0), estimator=estimator).report
    assert "a.wav: not used, no beat can be found at 118 to 132 bpm (data.tempo); if it has one, say its" in report


def test_what_cannot_be_used_is_reported(tmp_path):
    clicks(tmp_path / "good.wav", 120, 6, 0.1)
    clicks(tmp_path / "short_120bpm.wav", 120, 1.7, 0.1)
    put(tmp_path / "hiss.wav", np.random.default_rng(1).normal(0, 0.1, 8 * RATE))
    corpus = opened(tmp_path)
    assert "short_120bpm.wav: not used, 4 beats at 120 bpm are 2.00 s, and it has 1.70 s" in corpus.report
    no_beat = "no beat can be found at 80 to 160 bpm (data.tempo); if it has one, say its tempo in data.tempi"
    assert f"hiss.wav: not used, {no_beat}" in corpus.report
    (tmp_path / "good.wav").unlink()
    with pytest.raises(DataError, match=r"none of 2 files can be used:\n  hiss.wav: no beat .*\n  short_120bpm.wav: 4"):
        opened(tmp_path)


def test_silent_fragments_are_left_out(tmp_path):
    times = even(120, 24, 0.0)
    put(tmp_path / "pause_120bpm.wav", click_track(times[(times < 8) | (times > 16)], 24))
    corpus = opened(tmp_path)
    assert all(np.abs(item["wave"]).max() > 0.01 for item in items(corpus))
    assert corpus.size("train") < 45 - 10


def test_every_and_crops(tmp_path):
    rng = np.random.default_rng(0)
    pieces = [click_track(even(120, 4), 4, hertz=hertz) for hertz in (700, 1500, 900, 1500, 2500)]
    wave = np.concatenate(pieces) + np.repeat(rng.normal(0, 1e-4, 200), 1000)
    put(tmp_path / "song_120bpm.wav", wave)
    assert opened(tmp_path).size("train") == 37
    bars = opened(tmp_path, every=4)
    assert bars.size("train") == 10
    first = opened(tmp_path, crop="start")
    assert first.size("train") == 1
    np.testing.assert_array_equal(items(first)[0]["wave"], items(bars)[0]["wave"])
    best = opened(tmp_path, crop="repeat", beats=8, every=8, samples=2 * CLIP)
    (item,) = items(best)
    spectrum = np.abs(np.fft.rfft(item["wave"]))
    assert np.fft.rfftfreq(2 * CLIP, 1 / RATE)[spectrum.argmax()] == pytest.approx(1500, abs=60)


def test_fragments_may_start_anywhere_and_all_else_is_the_same(tmp_path):
    clicks(tmp_path / "a.wav", 120, 12, 0.2)
    clicks(tmp_path / "b.wav", 90, 12)
    clicks(tmp_path / "loop_100bpm.wav", 100, 4.8)
    beat, anywhere = opened(tmp_path), opened(tmp_path, start="anywhere")
    assert anywhere.size("train") == beat.size("train") and anywhere.labels == beat.labels
    places = []
    for one, other in zip(items(beat), items(anywhere), strict=True):
        np.testing.assert_allclose(other["labels"], one["labels"], rtol=1e-6)
        assert other["wave"].shape == one["wave"].shape
        loud = np.abs(other["wave"].reshape(4, -1)).max(axis=0)
        places.append(np.argmax(loud > 0.2 * loud.max()) / (CLIP // 4))
    # In every fifth of a beat there are about as many.
    assert np.histogram(places, 5, (0, 1))[0].min() >= 0.1 * len(places)
    again = opened(tmp_path, start="anywhere")
    np.testing.assert_array_equal(again.item("train", 3, None)["wave"], anywhere.item("train", 3, None)["wave"])


def test_a_fragment_that_starts_anywhere_lies_within_its_file():
    beats = np.arange(10) * 0.5 + 0.1
    for loop, room in ((False, 9), (True, np.inf)):
        track = beat_tracks.Track(beat_tracks.Pulse(120.0, 0.1), beats, "csv", loop, (), 0.1)
        for start in range(6 if not loop else 9):
            place = track.off_beat(start, 4)
            assert 0 < abs(place - start) < 1 and place >= 0 and place + 4 <= room
            times = track.seconds(place, 4)
            np.testing.assert_allclose(times - track.seconds(start, 4), (place - start) * 0.5, atol=1e-9)
    whole = beat_tracks.Track(beat_tracks.Pulse(120.0, 0.1), beats[:5], "csv", False, (), 0.1)
    assert whole.off_beat(0, 4) == 0, "there is room for one"


def test_tags_are_switches(tmp_path):
    for name, bpm in (("a", 100), ("b", 120), ("c", 140)):
        clicks(tmp_path / "in" / f"{name}.wav", bpm, 6, 0.1)
    (tmp_path / "in" / "tags.csv").write_text("file,genre\na,house;old school\nb,techno\n")
    corpus = opened(tmp_path / "in", tags="tags.csv")
    assert [label.name for label in corpus.labels] == ["tempo", "house", "old_school", "techno"]
    assert all(isinstance(label, Switch) for label in corpus.labels[1:])
    assert [label.default for label in corpus.labels[1:]] == [1, 1, 0]
    assert "c.wav: not used, tags.csv says nothing of it" in corpus.report
    for item in items(corpus):
        expected = [1, 1, 0] if item["labels"][0] < 110 else [0, 0, 1]
        np.testing.assert_array_equal(item["labels"][1:], expected)
    (tmp_path / "in" / "tags.csv").write_text("file,genre\na,tempo\n")
    with pytest.raises(DataError, match="data.tags: a tag is called tempo, as the slider is; give it another name"):
        opened(tmp_path / "in", tags="tags.csv")


def test_one_tempo_still_has_its_slider(tmp_path):
    clicks(tmp_path / "120bpm.wav", 120, 6)
    (slider,) = opened(tmp_path).labels
    assert (slider.low, slider.high, slider.default) == (120, 120, 120)


# --- Splits, levels, keeping ------------------------------------------------------------------------------------------


def test_the_split_is_by_file_and_validation_is_in_a_row(tmp_path):
    for number in range(5):
        clicks(tmp_path / f"{number}_{100 + number}bpm.wav", 100 + number, 10)
    corpus = opened(tmp_path, validation_fraction=0.4)
    names = {split: {source.file.name for source in corpus.sources[split]} for split in ("train", "validation")}
    assert names["train"] and names["validation"] and not names["train"] & names["validation"]
    assert all(source.starts == (0, 4, 8, 12) for source in corpus.sources["validation"])
    with pytest.raises(IndexError, match="item 4 of validation: expected 0 to 3"):
        opened(tmp_path / ".", validation_fraction=0.01).item("validation", 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="split=test: expected train or validation"):
        corpus.size("test")


def test_levels(tmp_path):
    for number, gain in enumerate((0.05, 1.0)):
        put(tmp_path / f"{number}_120bpm.wav", gain * click_track(even(120, 8), 8, hertz=700 + 100 * number))
    waves = [item["wave"] for item in items(opened(tmp_path, level_db=-30.0))]
    np.testing.assert_allclose([20 * np.log10(np.sqrt(np.mean(wave**2))) for wave in waves], -30, atol=0.3)
    left = [np.abs(item["wave"]).max() for item in items(opened(tmp_path, level_db=None, crop="start"))]
    assert left[1] == pytest.approx(20 * left[0], rel=0.05)
    data = Beats(level_db=-30.0)
    assert isinstance(data, Levelled) and isinstance(data, Warped)
    wave = click_track(even(120, 4), 4)
    assert np.sqrt(np.mean(data.level(wave) ** 2)) == pytest.approx(10**-1.5, rel=1e-5)
    assert not data.level(np.zeros(9, np.float32)).any()


def test_beats_are_found_once(tmp_path, monkeypatch):
    clicks(tmp_path / "a.wav", 120, 8)
    first = opened(tmp_path)
    monkeypatch.setattr(beat_tracks, "onsets", None)
    again = opened(tmp_path)
    assert again.report == first.report and again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(items(again)[0]["wave"], items(first)[0]["wave"])


def test_the_fingerprint_is_of_all_that_changes_the_items(tmp_path):
    clicks(tmp_path / "in" / "a.wav", 120, 8)
    clicks(tmp_path / "in" / "b.wav", 100, 8)
    first = opened(tmp_path / "in").fingerprint
    assert len(first) == 16 and opened(tmp_path / "in", cache_mb=1).fingerprint == first
    (tmp_path / "bpm.csv").write_text("file,bpm\na,60\n")
    others = (
        {"beats": 2},
        {"every": 2},
        {"warping": "stretch"},
        {"crop": "start"},
        {"start": "anywhere"},
        {"level_db": None},
        {"tempi": "bpm.csv"},
    )
    others = [opened(tmp_path / "in", **fields).fingerprint for fields in others]
    assert len({first, *others}) == 8


def test_the_fingerprint_is_not_of_the_last_digits_of_an_estimate(tmp_path, monkeypatch):
    """Another CPU estimates a little else, and the beats of one that drifts lie a little elsewhere."""
    clicks(tmp_path / "in" / "a.wav", 120, 8.3, 0.1)
    times = np.cumsum(np.linspace(60 / 95, 60 / 115, 30))
    put(tmp_path / "in" / "live.wav", click_track(times, times[-1] + 0.5))
    found, pulse = [opened(tmp_path / "in").fingerprint], beat_tracks.pulse

    def elsewhere(*asked, bpm, start_s, **options):
        own = pulse(*asked, **options)
        moved = tuple(time + start_s for time in own.times)
        return dataclasses.replace(own, bpm=own.bpm + bpm, start_s=own.start_s + start_s, times=moved)

    for number, (bpm, start_s) in enumerate(((0.002, 0.0006), (0.3, 0.0), (0.0, 0.03))):
        monkeypatch.setenv("MGEN_CACHE", str(tmp_path / f"cache {number}"))
        monkeypatch.setattr(beat_tracks, "pulse", functools.partial(elsewhere, bpm=bpm, start_s=start_s))
        found.append(opened(tmp_path / "in").fingerprint)
    assert found[0] == found[1] and len(set(found)) == 3


def test_the_fingerprint_is_of_versions_and_known_tempi(tmp_path, monkeypatch):
    clicks(tmp_path / "in" / "a.wav", 120, 8.3, 0.1)
    found = [opened(tmp_path / "in").fingerprint]
    for bpm in ("120", "120.001"):
        (tmp_path / "in" / "bpm.csv").write_text(f"file,bpm\na,{bpm}\n")
        found.append(opened(tmp_path / "in", tempi="bpm.csv").fingerprint)
    repeats = opened(tmp_path / "in", crop="repeat").fingerprint
    monkeypatch.setattr(beats.structure, "VERSION", 99)
    assert opened(tmp_path / "in").fingerprint == found[0]
    assert opened(tmp_path / "in", crop="repeat").fingerprint != repeats
    monkeypatch.setattr(beats.beat_tracks, "VERSION", 99)
    found.append(opened(tmp_path / "in").fingerprint)
    assert len(set(found)) == 4


def test_what_is_kept_is_what_is_made_anew(tmp_path):
    clicks(tmp_path / "a.wav", 125, 8, 0.1)
    kept, anew = opened(tmp_path), opened(tmp_path, cache_mb=0)
    for _ in range(2):
        for one, other in zip(items(kept), items(anew), strict=True):
            np.testing.assert_array_equal(one["wave"], other["wave"])
    assert len(kept._kept) == kept.size("train") and not anew._kept


def test_the_loader_reads_it_on_several_devices(tmp_path):
    clicks(tmp_path / "a.wav", 125, 8, 0.1)
    assert jax.local_device_count() > 1
    batch = next(batches(opened(tmp_path), "train", batch_size=4, seed=0))
    assert batch["wave"].shape == (4, CLIP) and batch["labels"].shape == (4, 1)


# --- There and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warping", ["resample", "stretch"])
@pytest.mark.parametrize("bpm", [90, 120, 148])
def test_unwarping_gives_the_tempo_back(tmp_path, bpm, warping):
    """The clicks are a beat of the asked tempo apart, also where the clip has gone round."""
    clicks(tmp_path / "a.wav", bpm, 12, 0.2)
    data = Beats(str(tmp_path), beats=4, warping=warping, validation_fraction=0.0)
    item = data.open(sample_rate=RATE, samples=CLIP).item("train", 2, np.random.default_rng(0))
    unwarp = jax.jit(functools.partial(data.unwarp, sample_rate=RATE, samples=CLIP))
    back = np.asarray(unwarp(item["wave"], item["labels"]))
    assert back.shape == (CLIP,)
    step = 60 / bpm * RATE
    for beat in range(int((CLIP - 500) / step)):
        around = np.abs(back[max(0, round(beat * step) - 600) : round(beat * step) + 600])
        first = np.argmax(around > 0.2 * np.abs(back).max()) - min(600, round(beat * step))
        assert abs(first) < 0.04 * RATE
    assert measured(back, bpm) == pytest.approx(bpm, rel=0.02)


def test_a_batch_is_unwarped_as_its_items():
    data = Beats(beats=2)
    waves = np.random.default_rng(0).normal(0, 0.1, (3, 5_000)).astype(np.float32)
    labels = np.array([[200, 1], [240, 0], [300, 0]], np.float32)
    together = data.unwarp(waves, labels, sample_rate=RATE, samples=5_000)
    for wave, label, expected in zip(waves, labels, np.asarray(together), strict=True):
        np.testing.assert_allclose(data.unwarp(wave, label, sample_rate=RATE, samples=5_000), expected, atol=1e-5)
    np.testing.assert_allclose(together[1], waves[1], atol=1e-5)  # 240 bpm is what the clip has


def test_clips_that_were_joined_are_unwarped_by_the_tempo_of_one():
    """Two clips of two beats in 5,000 samples at 24 kHz have a beat every 1,250 samples once asked for at 480 bpm."""
    data = Beats(beats=2)
    wave = np.zeros(10_000, np.float32)
    wave[::2_500] = 1
    back = np.asarray(data.unwarp(wave, np.array([480.0], np.float32), sample_rate=RATE, samples=5_000))
    assert back.shape == (10_000,)
    assert np.flatnonzero(back > 0.3).tolist() == list(range(0, 10_000, 60 * RATE // 480))


@pytest.mark.parametrize("warping", ["resample", "stretch"])
def test_a_sound_of_a_person_is_warped(warping):
    data = Beats(beats=4, warping=warping)
    for bpm in (95, 140):
        wave = click_track(even(bpm, 6, 0.15), 6)
        clip = data.warp(wave, sample_rate=RATE, samples=CLIP)
        assert clip.shape == (CLIP,) and clip.dtype == np.float32
        assert np.abs(onset_places(clip, 4)).max() < 0.04 * RATE
    assert np.sqrt(np.mean(data.warp(wave, sample_rate=RATE, samples=CLIP) ** 2)) == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(
    ("beats", "overlap"), [(1, 1 / 2), (2, 1 / 2), (4, 1 / 4), (6, 1 / 6), (8, 1 / 8), (16, 1 / 8)]
)
def test_clips_that_are_joined_are_whole_beats_apart(beats, overlap):
    data = Beats(beats=beats)
    assert isinstance(data, Windowed) and data.overlap == overlap
    assert "overlap" not in {field.name for field in dataclasses.fields(data)}


def test_a_sound_without_a_beat_is_its_beginning(caplog):
    data = Beats(beats=4, level_db=None)
    hiss = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    np.testing.assert_array_equal(data.warp(hiss, sample_rate=RATE, samples=CLIP), hiss[:CLIP])
    why = "no beat can be found at 80 to 160 bpm (data.tempo)"
    assert caplog.messages == [f"the sound that is given: {why}; used as it is, from its beginning"]
    short = data.warp(hiss[:5_000], sample_rate=RATE, samples=CLIP)
    np.testing.assert_array_equal(short, np.pad(hiss[:5_000], (0, CLIP - 5_000)))
    assert not data.warp(np.zeros(RATE, np.float32), sample_rate=RATE, samples=CLIP).any()


def test_a_loop_of_a_person_is_read_round():
    """Two beats fill a clip of four."""
    clip = Beats(beats=4).warp(click_track([0, 0.5, 1.0, 1.5], 2.0)[: 2 * RATE], sample_rate=RATE, samples=2 * CLIP)
    assert np.abs(onset_places(clip, 4)).max() < 0.04 * 2 * RATE


# --- Real sound -------------------------------------------------------------------------------------------------------


@pytest.fixture
def loops(real_audio):
    names = ("loops.csv", "loop_compus.flac", "loop_garzul.flac", "loop_perc1.flac")
    if missing := [name for name in names if not (real_audio / "loops" / name).is_file()]:
        pytest.skip(f"no {missing[0]} in {real_audio / 'loops'}")
    return real_audio / "loops"


def test_loops_of_three_tempi(tmp_path, loops):
    for name in ("loop_compus", "loop_garzul", "loop_perc1"):
        (tmp_path / f"{name}.flac").symlink_to(loops / f"{name}.flac")
    data = Beats(str(tmp_path), beats=8, tempi=str(loops / "loops.csv"), validation_fraction=0.0)
    corpus = data.open(sample_rate=RATE, samples=2 * CLIP)
    tempi = {source.file.name: source.track.pulse.bpm for source in corpus.sources["train"]}
    assert tempi == {"loop_compus.flac": 148, "loop_garzul.flac": 120, "loop_perc1.flac": 97}
    assert "loop_perc1.flac: 97 bpm (csv), constant, loop of 4 beats, 4 fragments" in corpus.report
    starts = {source.file.name: sum(len(before.starts) for before in corpus.sources["train"][:number])
              for number, source in enumerate(corpus.sources["train"])}  # fmt: skip
    for name, index in starts.items():
        bpm, item = tempi[name], corpus.item("train", index, np.random.default_rng(0))
        back = np.asarray(data.unwarp(*item.values(), sample_rate=RATE, samples=len(item["wave"])))
        source = data.level(audio.read(loops / name, sample_rate=RATE))
        source = np.resize(source, 2 * CLIP)[: round(8 * 60 / bpm * RATE)]
        count = min(len(source), 2 * CLIP)
        likeness = np.corrcoef(back[200 : count - 200], source[200 : count - 200])[0, 1]
        assert likeness > 0.98  # measured: 0.9997, 1 and 0.986
        assert measured(back, bpm) == pytest.approx(measured(np.resize(source, 2 * CLIP), bpm), rel=0.02)


def test_all_loops(loops):
    """With the table every one is used; the tempo of one is not what its name and the table say, but 108."""
    report = Beats(str(loops), beats=4, tempi="loops.csv").open(sample_rate=RATE, samples=CLIP).report
    assert "not used" not in report
    assert "conga_loop_110.mp3: 108.1 bpm (csv says 110, its beats another), constant, 32 beats" in report


# --- Downsampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [Folder, Beats])
def test_what_is_above_the_nyquist_frequency_is_gone(tmp_path, data):
    """A tone of 6 kHz at 48 kHz would be one of 4 kHz at 10 kHz; it is 50 dB below what it was."""
    seconds, rate = 8, 48_000
    clock = np.arange(seconds * rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 6000 * clock)
    after = np.mod(clock, 0.5)
    kick = 0.2 * np.sin(2 * np.pi * 200 * after) * np.where(after < 0.1, np.sin(np.pi * after / 0.1) ** 2, 0)
    put(tmp_path / "a_120bpm.wav", tone + kick, rate)
    fields = {"beats": 4, "level_db": None} if data is Beats else {}
    corpus = data(str(tmp_path), validation_fraction=0.0, **fields).open(sample_rate=RATE, samples=CLIP)
    for index in range(3):
        wave = corpus.item("train", index, np.random.default_rng(index))["wave"]
        window = np.hanning(CLIP)
        amplitude = 2 * np.abs(np.fft.rfft(wave * window)) / window.sum()
        frequency = np.fft.rfftfreq(CLIP, 1 / RATE)
        assert amplitude[frequency < 400].max() > 0.01
        assert amplitude[frequency > 2500].max() < 0.5 * 10 ** (-50 / 20)


# --- Wrong fields -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beats": 0}, "data.beats=0: expected 1 or more"),
        ({"every": 0}, "data.every=0: expected 1 or more"),
        ({"tempo": (160.0, 80.0)}, r"data.tempo=\(160.0, 80.0\): expected two of 20 to 400, low first"),
        ({"estimator": "ear"}, "data.estimator=ear: expected one of onsets, librosa"),
        ({"warping": "bend"}, "data.warping=bend: expected one of resample, stretch"),
        ({"crop": "grid"}, "data.crop=grid: expected one of random, start, repeat"),
        ({"start": "bar"}, "data.start=bar: expected one of beat, anywhere"),
        ({"level_db": 3.0}, "data.level_db=3.0: expected None, or 0 or less"),
        ({"validation_fraction": 1.0}, "data.validation_fraction=1.0: expected 0 up to but not 1"),
        ({"cache_mb": -1}, "data.cache_mb=-1: expected 0 or more"),
        ({"tempi": "none.csv"}, "data.tempi=none.csv: no such file; looked for "),
        ({"tempi": "genre.csv"}, "data.tempi=.*genre.csv: no 'bpm'; it has the columns file, genre"),
        ({"tempi": "words.csv"}, "data.tempi=words.csv: bpm of a.wav is fast: expected a number from 20 to 400"),
        ({"tempi": "twice.csv"}, r"data.tempi=.*twice.csv: says two things of a: \('90',\) and \('91',\)"),
        ({"samples": 3}, "samples=3: too short a clip for 4 beats; use 4 or more"),
        ({"samples": 400, "warping": "stretch"}, "samples=400: too short a clip for 4 beats; use 512 or more"),
    ],
)
def test_wrong_fields(tmp_path, fields, message):
    clicks(tmp_path / "a.wav", 120, 6)
    (tmp_path / "genre.csv").write_text("file,genre\na,house\n")
    (tmp_path / "words.csv").write_text("file,bpm\na,fast\n")
    (tmp_path / "twice.csv").write_text("file,bpm\na,90\na.wav,91\n")
    with pytest.raises(DataError, match=message):
        opened(tmp_path, **fields)


def test_no_folder():
    with pytest.raises(DataError, match="data.path is empty; give a folder of audio files: --data.path DIR"):
        opened("")
    missing = pathlib.Path("no") / "where"
    with pytest.raises(DataError, match=f"data.path={missing}: no such folder"):
        opened(missing)
