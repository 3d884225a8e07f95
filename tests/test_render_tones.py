"""Songs of the built-in music as files."""

import csv

import numpy as np
import pytest

from mgen import audio
from mgen.data import DataError
from mgen.data.tags import read_tags
from mgen.data.tone_songs import FORM, render_songs
from mgen.data.tones import FACTORS

RATE = 8_000


def made(out, **fields):
    asked = {"songs": 3, "seconds": 12.0, "tempo": (118.0, 132.0), "patterns": ("house",), "seed": 0}
    return render_songs(out, **{**asked, "sample_rate": RATE, **fields})


def rows(out):
    with (out / "songs.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_and_their_table(tmp_path):
    files = made(tmp_path, songs=4, patterns=("house", "lofi"))
    table = rows(tmp_path)
    assert [file.name for file in files] == [row["file"] for row in table]
    assert [row["pattern"] for row in table] == ["house", "lofi", "house", "lofi"]
    for number, (file, row) in enumerate(zip(files, table, strict=True)):
        assert file.name == f"{row['pattern']}_{number:03}_{row['bpm']}bpm.wav"
        assert set(row) == {"file", "bpm", "sections", *FACTORS} - {"tempo"} and 118 <= int(row["bpm"]) <= 132
        wave = audio.read(file, sample_rate=RATE)
        assert len(wave) == 12 * RATE and 0.02 < np.sqrt(np.mean(wave**2)) < 0.5
    assert len({row["bpm"] + row["key"] for row in table}) > 1
    assert read_tags(tmp_path / "songs.csv", "bpm")(files[1].name) == (table[1]["bpm"],)


def test_sections_come_again(tmp_path):
    """Three or more sections of whole bars; two of one name are the same, and the break has no drums."""
    files = made(tmp_path, songs=1, tempo=(120.0, 120.0), seconds=24.0)
    form = rows(tmp_path)[0]["sections"].split("/")
    assert form == list(FORM[:3])
    files = made(tmp_path, songs=1, tempo=(120.0, 120.0), seconds=34.0)
    form = rows(tmp_path)[0]["sections"].split("/")
    assert form == ["intro", "main", "break", "main", "groove"]
    bars = audio.read(files[0], sample_rate=RATE)[: 32 * RATE].reshape(4, 8 * RATE)
    np.testing.assert_array_equal(bars[1], bars[3])
    bass = np.abs(np.fft.rfft(bars, axis=1))[:, : 8 * 60].sum(axis=1)  # below 60 Hz is the kick
    assert bass[2] < 0.5 * bass[0]


def test_long_songs_go_on(tmp_path):
    made(tmp_path, songs=1, seconds=16 * 9.5, tempo=(120.0, 120.0))
    form = rows(tmp_path)[0]["sections"].split("/")
    assert form == [*FORM, *FORM[1:5]]


def test_the_seed_decides(tmp_path):
    waves = [audio.read(made(tmp_path / str(seed), songs=1, seed=seed)[0], sample_rate=RATE) for seed in (0, 1)]
    again = audio.read(made(tmp_path / "again", songs=1, seed=0)[0], sample_rate=RATE)
    np.testing.assert_array_equal(waves[0], again)
    assert not np.array_equal(waves[0], waves[1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"songs": 0}, "songs=0: expected 1 or more"),
        ({"seconds": 0.0}, "seconds=0.0: expected more than 0"),
        ({"tempo": (132.0, 118.0)}, r"tempo=\(132.0, 118.0\): expected a slowest and a fastest of 40 to 240"),
        ({"tempo": (120.2, 120.8)}, r"tempo=\(120.2, 120.8\): expected .* a whole number between them"),
        ({"sample_rate": 0}, "sample_rate=0: expected 8000 or more"),
        ({"sample_rate": -5}, "sample_rate=-5: expected 8000 or more"),
        ({"seed": -1}, "seed=-1: expected 0 or more"),
        ({"patterns": ("polka",)}, r"pattern=\('polka',\): expected some of house, lofi, breakbeat"),
        ({"patterns": ()}, r"pattern=\(\): expected some of"),
    ],
)
def test_wrong_fields(tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        made(tmp_path, **fields)


def test_the_verb(run):
    size = ("--songs", 2, "--seconds", 6, "--sample-rate", RATE)
    status, out, _ = run("render-tones", "songs", *size, "--tempo", 120, 121, "--pattern", "lofi", "--seed", 3)
    assert status == 0 and out == "songs: 2 songs of 6 s, and songs.csv, which says what each is made of\n"
    status, _, err = run("render-tones", "songs", "--songs", 0)
    assert status == 1 and err == "mgen render-tones: songs=0: expected 1 or more\n"
