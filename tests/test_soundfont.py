"""Notes from a soundfont: the score, the cutting, the table; by a stand-in for fluidsynth, and by it where it is."""

import json
import pathlib
import shutil
import stat
import sys

import numpy as np
import pytest

from mgen import audio
from mgen.data import DataError, soundfont
from mgen.data.nsynth import NSynth
from mgen.metrics.pitch import fundamental_frequency, note_pitch

FLUID = pathlib.Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def events(score):
    """A reader of MIDI files of one's own: [(tick, kind, data)]."""
    assert score[:4] == b"MThd" and score[4:8] == b"\0\0\0\6" and score[8:12] == b"\0\0\0\1"
    ticks = int.from_bytes(score[12:14], "big")
    assert score[14:18] == b"MTrk" and int.from_bytes(score[18:22], "big") == len(score) - 22
    place, now, found = 22, 0, []
    while place < len(score):
        wait = 0
        while True:
            byte = score[place]
            place += 1
            wait = wait << 7 | byte & 0x7F
            if byte < 0x80:
                break
        now += wait
        kind = score[place]
        size = 2 + score[place + 2] if kind == 0xFF else 1 if kind >> 4 == 0xC else 2
        found.append((now, kind, score[place + 1 : place + 1 + size]))
        place += 1 + size
    return ticks, found


def test_the_score_has_a_note_in_each_slot():
    ticks, found = events(soundfont._score(7, [(60, 50), (72, 100)], held=3000, slot=6000))
    assert ticks == 1000
    assert found[0][1:] == (0xFF, b"\x51\x03" + (1_000_000).to_bytes(3, "big")), "a beat a second: a tick a millisecond"
    assert found[1][1:] == (0xC0, b"\x07")
    notes = [(now, kind, *data) for now, kind, data in found[2:-1]]
    assert notes == [(0, 0x90, 60, 50), (3000, 0x80, 60, 0), (6000, 0x90, 72, 100), (9000, 0x80, 72, 0)]
    assert found[-1] == (12_000, 0xFF, b"\x2f\x00")


PLAYER = f"""#!{sys.executable}
import sys, pathlib
sys.path.insert(0, {str(pathlib.Path(__file__).parents[1])!r})
import numpy as np
from tests.test_soundfont import events
from mgen import audio
words = sys.argv[1:]
assert words[words.index("-r") + 1] == "16000" and words[words.index("-R") + 1] == "0"
ticks, found = events(pathlib.Path(words[-1]).read_bytes())
program = next(data[0] for _, kind, data in found if kind == 0xC0)
if program == 5:
    sys.exit("cannot load this bank")
wave = np.zeros((16 * found[-1][0] + 20_000, 2), np.float32)
for now, kind, data in found:
    if kind == 0x90 and data[0] < 100:
        t = np.arange(48_000) / 16_000
        wave[16 * now : 16 * now + 48_000] += (0.3 * data[1] / 127 * np.sin(
            2 * np.pi * 440 * 2 ** ((data[0] - 69) / 12) * t))[:, None]
import soundfile
soundfile.write(words[words.index("-F") + 1], wave, 16_000, subtype="PCM_16")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program called fluidsynth, that plays sines; it has no sounds from key 100 on."""
    place = tmp_path / "bin"
    place.mkdir()
    player = place / "fluidsynth"
    player.write_text(PLAYER)
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    bank = tmp_path / "bank.sf2"
    bank.write_bytes(b"RIFF")
    return bank


def render(bank, out, **changes):
    asked = {"programs": [0, 16, 73], "pitches": [57, 69, 101], "velocities": [64, 127], "validation": [16]} | changes
    return soundfont.render_notes([bank], out, jobs=2, **asked)


def test_notes_lie_as_nsynth_does(stand_in, tmp_path):
    assert render(stand_in, tmp_path / "notes") == {"train": 8, "validation": 4}, "key 101 has no sound"
    corpus = NSynth(str(tmp_path / "notes")).open(sample_rate=16_000, samples=64_000)
    assert {note.instrument for note in corpus.notes("train")} == {"keyboard_acoustic_000", "flute_acoustic_073"}
    assert {note.instrument for note in corpus.notes("validation")} == {"organ_electronic_016"}
    for index, note in enumerate(corpus.notes("train")):
        wave = corpus.item("train", index, None)["wave"]
        assert abs(wave).max() == pytest.approx(0.3 * note.velocity / 127, rel=0.01)
        assert wave[47_000:47_900].any() and not wave[48_100:].any(), "held for 3 s, and nothing of the next note"
        midi = note_pitch(fundamental_frequency(wave[:16_000], sample_rate=16_000)).midi
        assert midi == pytest.approx(note.pitch, abs=0.05)
    table = json.loads((tmp_path / "notes" / "nsynth-train" / "examples.json").read_text())
    entry = table["flute_acoustic_073-069-127"]
    assert entry["instrument_family_str"] == "flute" and entry["instrument_family"] == 2 and entry["velocity"] == 127


def test_several_soundfonts_are_several_instruments(stand_in, tmp_path):
    asked = {"programs": [0, 16], "pitches": [60], "velocities": [100], "validation": [16]}
    written = soundfont.render_notes([stand_in, stand_in], tmp_path / "notes", jobs=2, **asked)
    assert written == {"train": 2, "validation": 2}
    corpus = NSynth(str(tmp_path / "notes")).open(sample_rate=16_000, samples=64_000)
    assert {note.instrument for note in corpus.notes("train")} == {"keyboard_acoustic_000", "keyboard_acoustic_128"}
    assert {note.instrument for note in corpus.notes("validation")} == {"organ_electronic_016", "organ_electronic_144"}
    with pytest.raises(DataError, match="--also: expected 1 to 7 soundfonts in all, got 8"):
        soundfont.render_notes([stand_in] * 8, tmp_path / "more", jobs=2, **asked)


def test_effects_of_general_midi_are_no_instruments(stand_in, tmp_path):
    assert render(stand_in, tmp_path / "a", programs=range(54, 57), pitches=[60], velocities=[100])["train"] == 2
    with pytest.raises(DataError, match="effects and no instruments"):
        render(stand_in, tmp_path / "b", programs=[55, 120])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"programs": [128]}, "programs=[128]: expected numbers from 0 to 127"),
        ({"velocities": [0]}, "velocities=[0]: expected numbers from 1 to 127"),
        ({"pitches": []}, "pitches=[]: expected numbers"),
        ({"programs": [5]}, "fluidsynth could not play program 5 of"),
    ],
)
def test_refusals(stand_in, tmp_path, changes, message):
    with pytest.raises(DataError) as caught:
        render(stand_in, tmp_path / "out", **changes)
    assert message in str(caught.value)


def test_what_is_missing_is_named(stand_in, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no such soundfont; Debian's lies in"):
        render(tmp_path / "none.sf2", tmp_path / "out")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="fluidsynth is missing.*apt install fluidsynth"):
        render(stand_in, tmp_path / "out")


def test_the_command(stand_in, run):
    status, out, err = run(
        "render-notes", stand_in, "notes", "--programs", "0-1,4", "--pitches", "60", "--velocities", "9,99"
    )
    assert status == 0, err
    assert "notes: 6 notes for train, 0 notes for validation" in out
    status, _, err = run("render-notes", stand_in, "notes", "--pitches", "low")
    assert status == 1 and "--pitches low: expected numbers and ranges, such as 36-84" in err


@pytest.mark.skipif(
    not (shutil.which("fluidsynth") and FLUID.is_file()), reason="no fluidsynth with FluidR3_GM.sf2 on this machine"
)
def test_fluidsynth_itself(tmp_path):
    render(FLUID, tmp_path, programs=[0, 40, 73], pitches=[57, 69], validation=[])
    for file in (tmp_path / "nsynth-train" / "audio").iterdir():
        wave = audio.read(file, sample_rate=16_000)
        assert wave.shape == (64_000,) and abs(wave).max() > 0.01
        midi = float(note_pitch(fundamental_frequency(wave, sample_rate=16_000)).midi)
        assert midi == pytest.approx(int(file.stem.split("-")[1]), abs=0.5)
    assert np.size(list((tmp_path / "nsynth-train" / "audio").iterdir())) == 12
