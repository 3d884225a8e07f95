"""Tables that name files as they like."""

import pytest

from mgen.data import DataError
from mgen.data.tags import tags_of


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("cell", ["b/c.ogg", "c.ogg", "c", "a/b/c.ogg", r"b\c.ogg"])
def test_a_row_may_name_the_end_of_a_path(tmp_path, cell):
    assert tags_of(["a/b/c.ogg", "a/d.ogg"], table(tmp_path, f"file,genre\n{cell},rock\n"), "genre") == [("rock",), ()]


def test_the_most_exact_row_wins(tmp_path):
    path = table(tmp_path, "file,genre\nc.ogg,wrong\nb/c.ogg,right\n")
    assert tags_of(["a/b/c.ogg", "x/c.ogg"], path, "genre") == [("right",), ("wrong",)]


def test_numbers_of_tracks(tmp_path):
    path = table(tmp_path, "track_id,genre_top\n2,Hip-Hop\n3,\n")
    assert tags_of(["000/000002.mp3", "000/000003.mp3"], path, "genre_top") == [("Hip-Hop",), ()]


def test_several_tags_in_a_cell_once_each(tmp_path):
    assert tags_of(["a.wav"], table(tmp_path, 'x,genre\na.wav," b ;a;;b"\n'), "genre") == [("b", "a")]


def test_a_binary_file_is_no_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="cannot be read"):
        tags_of(["a.wav"], path, "genre")
