"""A folder of notes with a table."""

import numpy as np
import pytest

from mgen import audio
from mgen.data import DataError
from mgen.data.note_folder import NoteFolder
from tests.notes import RATE, tone

HEAD = "file,instrument,family,midi_pitch\n"


@pytest.fixture
def folder(tmp_path):
    rows = []
    for instrument, pitch in (("flute", 72), ("cello", 48), ("cello", 55), ("harp", 60)):
        wave = tone(pitch, lead_s=0.2, level=0.05)
        audio.write(tmp_path / f"{instrument}_{pitch}.wav", wave, sample_rate=RATE)
        rows.append(f"{instrument}_{pitch}.wav,{instrument},{'flute' if instrument == 'flute' else 'string'},{pitch}\n")
    (tmp_path / "notes.csv").write_text(HEAD + "".join(rows))
    return tmp_path


def opened(path, **fields):
    return NoteFolder(str(path), **fields).open(sample_rate=RATE, samples=8_000)


def test_notes_begin_at_their_onset_and_are_equally_loud(folder):
    corpus = opened(folder)
    assert corpus.size("train") + corpus.size("validation") == 4
    for split in ("train", "validation"):
        for index in range(corpus.size(split)):
            wave = corpus.item(split, index, None)["wave"]
            assert abs(wave).max() == pytest.approx(0.5, abs=1e-3)
            assert 0 < np.argmax(abs(wave) > 0.05) < 0.01 * RATE


def test_filters_and_report(folder):
    corpus = opened(folder, families=("string",), pitch=(50, 127), validation_fraction=0.0)
    assert [note.pitch for note in corpus.notes("train")] == [55, 60]
    assert f"{folder}: 2 of 4 notes" in corpus.report and "validation: no notes" in corpus.report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,family\na.wav,flute\n", "has no column instrument, midi_pitch"),
        (HEAD + "a.wav,x,flute,high\n", "line 2: midi_pitch and velocity must be whole numbers"),
        (HEAD + "a.wav,x,flute,200\n", "line 2: expected a file, a pitch of 0 to 127"),
        (HEAD + "gone.wav,x,flute,60\n", "none of 1 notes can be used"),
    ],
)
def test_refusals(tmp_path, text, message):
    (tmp_path / "notes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        opened(tmp_path)


def test_no_table(tmp_path):
    with pytest.raises(DataError, match=r"holds no notes\.csv"):
        opened(tmp_path)


def test_the_real_notes(real_audio):
    corpus = NoteFolder(str(real_audio / "notes"), validation_fraction=0.2).open(sample_rate=RATE, samples=64_000)
    assert corpus.size("train") + corpus.size("validation") == 120
    assert {label.name for label in corpus.labels} == {"pitch", "family"}
    wave = corpus.item("validation", 0, None)["wave"]
    assert wave.shape == (64_000,) and abs(wave).max() == pytest.approx(0.5, abs=1e-3)
