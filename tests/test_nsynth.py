"""NSynth's layout: its table, its names, its filters, and what is refused."""

import json

import numpy as np
import pytest

from mgen import dsp
from mgen.controls import Choice, Slider, Switch
from mgen.data import DataError
from mgen.data.notes import Note, Wanted, hold_out, labels_of
from mgen.data.nsynth import NSynth, notes_of
from tests.notes import ENTRIES, RATE, nsynth, tone


@pytest.fixture
def published(tmp_path):
    """As it is published: splits that share no instrument."""
    nsynth(tmp_path / "nsynth-train", ENTRIES[:3])
    nsynth(tmp_path / "nsynth-valid", ENTRIES[3:])
    return tmp_path


def opened(path, **fields):
    return NSynth(str(path), **fields).open(sample_rate=RATE, samples=8_000)


def test_reads_the_published_splits(published):
    corpus = opened(published)
    assert (corpus.size("train"), corpus.size("validation")) == (3, 2)
    assert "3 notes of 2 instruments (keyboard, organ), MIDI 60 to 64" in corpus.report
    names = [note.name for note in corpus.notes("train")]
    assert names == sorted(names)


def test_labels_are_what_differs(published):
    corpus = opened(published)
    labels = {label.name: label for label in corpus.labels}
    assert isinstance(labels["pitch"], Slider) and (labels["pitch"].low, labels["pitch"].high) == (48, 72)
    assert labels["pitch"].unit == "MIDI" and labels["pitch"].default == 60
    assert labels["family"].options == ("keyboard", "organ", "synth_lead")
    assert labels["source"].options == ("acoustic", "electronic", "synthetic")
    qualities = [label.name for label in corpus.labels if isinstance(label, Switch)]
    assert qualities == ["bright", "dark", "percussive", "reverb"], "those that no note has are no labels"
    index = next(i for i, note in enumerate(corpus.notes("train")) if note.pitch == 60 and note.velocity == 50)
    values = dict(zip(labels, corpus.item("train", index, None)["labels"], strict=True))
    assert values["pitch"] == 60 and values["velocity"] == pytest.approx(50 / 127)
    assert values["family"] == 0 and values["dark"] == values["reverb"] == 1 and values["bright"] == 0


def test_one_pitch_is_no_label(published):
    names = [label.name for label in opened(published, pitch=(60, 60)).labels]
    assert "pitch" not in names and "velocity" in names


def test_waves_are_the_files(published):
    corpus = opened(published)
    for index, note in enumerate(corpus.notes("train")):
        wave = corpus.item("train", index, None)["wave"]
        assert wave.shape == (8_000,) and wave.dtype == np.float32
        np.testing.assert_allclose(wave, tone(note.pitch, level=0.3 * note.velocity / 127), atol=1e-4)
        np.testing.assert_array_equal(wave, corpus.item("train", index, None)["wave"])


def test_lengths_and_levels(published):
    longer = NSynth(str(published), peak=0.8).open(sample_rate=RATE, samples=10_000)
    wave = longer.item("train", 0, None)["wave"]
    assert abs(wave).max() == pytest.approx(0.8, abs=1e-3) and not wave[8_000:].any()
    half = NSynth(str(published)).open(sample_rate=8_000, samples=1_000)
    assert half.item("train", 0, None)["wave"].shape == (1_000,)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"families": ("organ",)}, 1),
        ({"sources": ("acoustic", "synthetic")}, 3),
        ({"velocities": (100,)}, 3),
        ({"without": ("reverb",)}, 3),
        ({"pitch": (61, 127)}, 2),
        ({"families": ("keyboard",), "without": ("dark",)}, 2),
    ],
)
def test_filters(tmp_path, fields, count):
    nsynth(tmp_path, ENTRIES)
    assert len(notes_of(tmp_path, Wanted(**fields))) == count


def test_names_alone_will_do(tmp_path):
    nsynth(tmp_path, ENTRIES, table=False)
    (tmp_path / "audio" / "readme_of_mine.wav").write_bytes(b"")
    found = notes_of(tmp_path, Wanted())
    assert len(found) == len(ENTRIES)
    lead = next(note for note in found if note.family == "synth_lead")
    assert (lead.source, lead.pitch, lead.velocity, lead.instrument) == (
        "synthetic",
        72,
        127,
        "synth_lead_synthetic_002",
    )


def test_a_set_without_splits_holds_out_instruments_or_notes(tmp_path):
    nsynth(tmp_path, ENTRIES)
    corpus = opened(tmp_path, validation_fraction=0.4)
    sides = [{note.instrument for note in corpus.notes(split)} for split in ("train", "validation")]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    notes = opened(tmp_path, validation_fraction=0.4, held_out="notes")
    assert notes.size("train") + notes.size("validation") == 5 and notes.size("validation") > 0


def test_notes_can_be_held_out_of_a_set_with_splits(published):
    own, notes = opened(published), opened(published, held_out="notes", validation_fraction=0.4)
    count = own.size("train") + own.size("validation")
    assert notes.size("train") + notes.size("validation") == count and notes.size("validation") == round(0.4 * count)
    assert notes.fingerprint != own.fingerprint


def test_effects_are_labels_and_applied_by_process(published):
    dry, wet = opened(published), opened(published, effects=("slow_attack", "low_pass"))
    assert [label.name for label in wet.labels] == [*(label.name for label in dry.labels), "slow_attack", "low_pass"]
    amounts = []
    for seed in range(40):
        item = wet.item("train", 0, np.random.default_rng(seed))
        np.testing.assert_array_equal(item["wave"], dry.item("train", 0, np.random.default_rng(seed))["wave"])
        amounts.append(item["labels"][-2:])
    assert 0.2 < np.mean(np.array(amounts) == 0) < 0.8
    labels = np.append(dry.item("train", 0, np.random.default_rng(0))["labels"], np.float32([1, 0]))
    found = wet.process(item["wave"], labels)
    np.testing.assert_allclose(found, dsp.slow_attack(item["wave"], np.float32(1), sample_rate=RATE), atol=1e-5)
    np.testing.assert_allclose(
        wet.process(item["wave"], labels * [*[1] * (len(labels) - 2), 0, 0]), item["wave"], atol=1e-5
    )


def test_blends_are_two_notes_of_one_pitch(published):
    plain, blended = opened(published), opened(published, blend=1.0)
    assert plain.fingerprint != blended.fingerprint
    pitches = [note.pitch for note in plain.notes("train")]
    index = next(i for i, pitch in enumerate(pitches) if pitches.count(pitch) > 1)
    alike = [i for i, pitch in enumerate(pitches) if pitch == pitches[index]]
    waves = np.stack([plain.item("train", i, np.random.default_rng(0))["wave"] for i in alike])
    for seed in range(5):
        item = blended.item("train", index, np.random.default_rng(seed))
        weights, rest, *_ = np.linalg.lstsq(waves.T.astype(np.float64), item["wave"], rcond=None)
        assert np.sqrt(np.mean((waves.T @ weights - item["wave"]) ** 2)) < 1e-3
        assert abs(item["wave"]).max() == pytest.approx(abs(waves[alike.index(index)]).max(), rel=1e-3)
    held = blended.item("validation", 0, np.random.default_rng(0))["wave"]
    np.testing.assert_array_equal(held, plain.item("validation", 0, np.random.default_rng(0))["wave"])


def test_one_instrument_is_held_out_note_by_note():
    notes = [Note(None, f"n{i}", "piano", "keyboard", 60 + i) for i in range(10)]
    split = hold_out(notes, 0.3, 0)
    assert split["train"] and split["validation"]
    assert sorted(n.name for side in split.values() for n in side) == sorted(n.name for n in notes)


def test_a_file_that_is_missing_or_broken_is_named(published):
    broken = published / "nsynth-train" / "audio" / "organ_electronic_001-060-100.wav"
    broken.write_bytes(b"RIFF")
    corpus = opened(published)
    assert corpus.size("train") == 2
    assert "rejected: 1" in corpus.report and "organ_electronic_001-060-100" in corpus.report


def test_a_silent_note_is_refused_by_name(tmp_path):
    nsynth(tmp_path, [*ENTRIES[:2]])
    from mgen import audio

    audio.write(tmp_path / "audio" / f"{ENTRIES[0][0]}.wav", np.zeros(800, np.float32), sample_rate=RATE)
    corpus = opened(tmp_path, validation_fraction=0.0)
    with pytest.raises(audio.AudioError, match="keyboard_acoustic_000-060-050.wav: is silent"):
        [corpus.item("train", index, None) for index in range(2)]


def test_the_fingerprint_is_of_what_is_used(published, tmp_path_factory):
    other = tmp_path_factory.mktemp("moved")
    nsynth(other / "nsynth-train", ENTRIES[:3])
    nsynth(other / "nsynth-valid", ENTRIES[3:])
    assert opened(published).fingerprint == opened(other).fingerprint
    assert opened(published).fingerprint != opened(published, velocities=(100,)).fingerprint
    assert opened(published).fingerprint != opened(published, peak=0.5).fingerprint


def test_only_so_much_is_kept_in_memory(published):
    corpus = opened(published, cache_mb=0)
    first = corpus.item("train", 0, None)["wave"]
    np.testing.assert_array_equal(first, corpus.item("train", 0, None)["wave"])
    assert not corpus._kept


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": ""}, "data.path is empty"),
        ({"path": "nowhere"}, "data.path=nowhere: no such folder"),
        ({"families": ("violin",)}, "data.families=violin: unknown; expected some of bass, brass"),
        ({"sources": ("tape",)}, "data.sources=tape: unknown; expected some of acoustic"),
        ({"without": ("loud",)}, "data.without=loud: unknown; expected some of bright"),
        ({"pitch": (70, 60)}, "data.pitch=(70, 60): expected a lowest and a highest"),
        ({"velocities": (0,)}, "data.velocities=0: expected MIDI velocities from 1 to 127"),
        ({"held_out": "songs"}, "data.held_out=songs: expected instruments or notes"),
        ({"validation_fraction": 1.0}, "data.validation_fraction=1.0: expected 0 up to but not 1"),
        ({"pitch": (0, 10)}, "no training note is left"),
    ],
)
def test_refusals(published, fields, message):
    with pytest.raises(DataError) as caught:
        opened(fields.pop("path", published), **fields)
    assert message in str(caught.value)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(DataError, match="expected nsynth-train/, or audio/ and examples.json"):
        opened(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"a": {"pitch": 1}', '{"a" 3'])
def test_a_broken_table(tmp_path, text):
    (tmp_path / "audio").mkdir()
    (tmp_path / "examples.json").write_text(text)
    with pytest.raises(DataError, match="is no JSON object|lacks"):
        notes_of(tmp_path, Wanted())


def test_an_entry_that_lacks_a_field(tmp_path):
    (tmp_path / "audio").mkdir()
    name, value = ENTRIES[0]
    del value["velocity"]
    try:
        (tmp_path / "examples.json").write_text(json.dumps({name: value}))
        with pytest.raises(DataError, match="keyboard_acoustic_000-060-050 lacks 'velocity'"):
            notes_of(tmp_path, Wanted())
    finally:
        value["velocity"] = 50


def test_families_that_nsynth_does_not_know_come_last():
    notes = [Note(None, family, family, family, 60) for family in ("theremin", "brass", "bass")]
    (label,) = labels_of(notes)
    assert isinstance(label, Choice) and label.options == ("bass", "brass", "theremin")
