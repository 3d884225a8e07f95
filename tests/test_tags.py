"""Tables that name files as they like."""

import pytest

from mgen.data import DataError
from mgen.data.tags import read_tags


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def read(tmp_path, text, names, column="genre"):
    tags_of = read_tags(table(tmp_path, text), column)
    return [tags_of(name) for name in names]


@pytest.mark.parametrize("cell", ["b/c.ogg", "c.ogg", "c", "a/b/c.ogg", r"b\c.ogg", "x/a/b/c.ogg", "./b/c"])
def test_a_row_may_name_the_end_of_a_path(tmp_path, cell):
    assert read(tmp_path, f"file,genre\n{cell},rock\n", ["a/b/c.ogg", "a/d.ogg"]) == [("rock",), ()]


def test_a_row_of_another_folder_or_name_means_nothing(tmp_path):
    rows = "file,genre\nrock/01.wav,rock\n1.5,half\n02. Intro,intro\n"
    names = ["m/jazz/01.wav", "x/1.wav", "x/02.wav", "x/02. Intro.mp3", "m/rock/01.mp3"]
    assert read(tmp_path, rows, names) == [(), (), (), ("intro",), ("rock",)]


def test_the_most_exact_row_wins(tmp_path):
    rows = "file,genre\nc.ogg,wrong\nb/c.ogg,right\n"
    assert read(tmp_path, rows, ["a/b/c.ogg", "x/c.ogg"]) == [("right",), ("wrong",)]


def test_numbers_of_tracks(tmp_path):
    rows = "track_id,genre_top\n2,Hip-Hop\n3,\n"
    assert read(tmp_path, rows, ["000/000002.mp3", "000/000003.mp3"], "genre_top") == [("Hip-Hop",), ()]


def test_several_tags_in_a_cell_once_each(tmp_path):
    assert read(tmp_path, 'x,genre\na.wav," b ;a;;b"\n', ["a.wav"]) == [("b", "a")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,genre\na.wav,rock\na.mp3,jazz\n", r"says two things of a: \('rock',\) and \('jazz',\)"),
        ("file,mood\n", "data.column='genre': .* has the columns file, mood"),
        ("", "has the columns none"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_tags(table(tmp_path, text), "genre")


def test_a_binary_file_is_no_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="cannot be read"):
        read_tags(path, "genre")
