import json
import re

import pytest

from benchmarks import record


@pytest.mark.parametrize("path", record.documents(), ids=lambda path: path.name)
def test_tables_are_what_their_files_say(path):
    text = path.read_text()
    assert record.filled(text) == text, "run: python benchmarks/record.py"


def test_results_say_where_they_come_from():
    results = sorted(record.RESULTS.glob("*.json"))
    assert results
    for path in results:
        result = json.loads(path.read_text())
        assert {"about", "date", "seed", "device", "versions", "table"} <= set(result), path.name


def test_a_table_is_filled_from_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    record.record("speed", table=[{"run": "a", "s": 1.5}], seed=0, about="A test.")
    text = record.filled("before\n<!-- table: speed -->\nold\n<!-- end -->\nafter\n")
    assert "| run | s |\n| --- | ---: |\n| a | 1.5 |\n" in text
    assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n") and "old" not in text
    assert record.filled(text) == text


def test_commands_and_files_named_in_the_readme_exist():
    text = (record.ROOT / "README.md").read_text()
    for name in set(re.findall(r"\b(?:mgen|configs|benchmarks|docs|tests)/[\w/]+\.(?:py|md)\b", text)):
        if not name.endswith(("/x.py", "/mine.py")):
            assert (record.ROOT / name).exists(), name
    targets = (record.ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake (\w+)`", text)):
        assert f"\n{target}:" in targets, target
