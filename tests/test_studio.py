"""The studio's server: what it plays, what it saves, and what it refuses."""

import json
import pathlib
import re
import runpy

import numpy as np
import pytest
from starlette.testclient import TestClient

from mgen import controls
from mgen.studio.app import build
from mgen.studio.player import Player, _drawing
from mgen.training.checkpoint import load
from mgen.training.loop import train

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> pathlib.Path:
    """A run of two steps."""
    workdir = tmp_path_factory.mktemp("studio") / "run"
    train(runpy.run_path(str(ROOT / "configs" / "switches.py"))["smoke"], workdir)
    return workdir


class Broken(Player):
    """A run whose model fails."""

    def play(self, values, *, seed, draft):
        raise ValueError("no memory is left\nand more lines")


@pytest.fixture(scope="module")
def client(workdir) -> TestClient:
    loaded = load(workdir)
    players = [Player(loaded, workdir), Player(loaded, workdir), Broken(loaded, workdir.parent / "broken")]
    return TestClient(build(players), base_url="http://127.0.0.1", raise_server_exceptions=False)


def asked(**fields):
    return {"run": "run", "seed": 3, "settings": {"pattern": "breakbeat", "drums": 0.3}, "draft": False} | fields


def unpacked(body: bytes):
    """As the page reads it."""
    rate, samples, frames, bands = np.frombuffer(body[:16], "<u4")
    wave = np.frombuffer(body[16 : 16 + 4 * samples], "<f4")
    return rate, wave, np.frombuffer(body[16 + 4 * samples :], np.uint8).reshape(frames, bands)


def test_runs_of_one_name_are_told_apart_and_described(client):
    runs = client.get("/api/runs").json()["runs"]
    assert [run["name"] for run in runs] == ["run", "run 2", "broken"]
    pattern, drums, *_ = runs[0]["controls"]
    assert (pattern["kind"], pattern["default"]) == ("choice", "house") and "breakbeat" in pattern["options"]
    assert (drums["kind"], drums["low"], drums["high"], drums["step"]) == ("slider", 0, 1, 0.005)
    assert runs[0]["start"]["pattern"] == "house" and runs[0]["step"] == 2


def test_a_sound_is_that_of_its_settings(client):
    rate, wave, picture = unpacked(client.post("/api/sound", json=asked()).content)
    assert rate == 8_000 and len(wave) == 31 * 256 and picture.shape[1] == 128 and picture.max() == 255
    again, other, draft = (
        unpacked(client.post("/api/sound", json=asked(**more)).content)[1]
        for more in ({}, {"settings": {"drums": 1}}, {"draft": True})
    )
    np.testing.assert_array_equal(again, wave)
    assert not np.array_equal(other, wave) and len(draft) == len(wave)


def test_what_is_saved_is_made_again_to_the_last_bit(client, run, workdir, tmp_path):
    exported = client.post("/api/wav", json=asked()).content
    saved = client.post("/api/settings", json=asked())
    assert saved.json()["samples"][0]["settings"] == {"pattern": "breakbeat", "drums": 0.3}
    (tmp_path / "saved.json").write_bytes(saved.content)
    status, _, err = run("sample", workdir, "--settings", tmp_path / "saved.json", "--out", tmp_path / "out")
    assert status == 0, err
    assert (tmp_path / "out" / "sample_000.wav").read_bytes() == exported
    # And what `sample` says of its own sounds makes them again, with all digits.
    status, _, err = run("sample", workdir, "--count", 3, "--seed", 5, "--out", tmp_path / "drawn")
    assert status == 0, err
    status, _, err = run(
        "sample", workdir, "--settings", tmp_path / "drawn" / "samples.json", "--out", tmp_path / "again"
    )
    assert status == 0, err
    for index in range(3):
        name = f"sample_{index:03d}.wav"
        assert (tmp_path / "drawn" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"run": "other"}, "no run is named 'other'; there are run, run 2, broken"),
        ({"settings": {"drumz": 1}}, "no control is named 'drumz'; did you mean 'drums'?"),
        ({"settings": {"drums": 2}}, "drums=2: out of range, expected 0 to 1"),
        ({"settings": {"drums": True}}, "drums=True: expected a number from 0 to 1"),
        ({"settings": {"drums": [1]}}, "expected a number from 0 to 1"),
        ({"settings": {"pattern": "polka"}}, "pattern=polka: expected one of house"),
        ({"settings": []}, "settings: expected dict, got []"),
        ({"seed": -1}, "seed: expected 0 to 2147483647, got -1"),
        ({"seed": True}, "seed: expected int, got True"),
        ({"draft": 1}, "draft: expected bool, got 1"),
    ],
)
def test_a_wrong_request_is_one_line(client, fields, message):
    for what in ("sound", "wav", "settings"):
        answer = client.post(f"/api/{what}", json=asked(**fields))
        assert answer.status_code == 400 and message in answer.json()["error"]


def test_a_number_that_is_none_is_refused(client):
    answer = client.post(
        "/api/sound", content='{"run": "run", "settings": {"drums": NaN}}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400 and "drums=nan: out of range" in answer.json()["error"]


def test_one_models_error_is_its_own(client, caplog):
    answer = client.post("/api/sound", json=asked(run="broken"))
    assert (answer.status_code, answer.json()) == (500, {"error": "the model failed: no memory is left"})
    assert client.post("/api/sound", json=asked()).status_code == 200


def test_other_pages_other_names_and_other_files_are_refused(client):
    form = client.post("/api/sound", content=json.dumps(asked()), headers={"Content-Type": "text/plain"})
    assert form.status_code == 400 and "expected Content-Type: application/json" in form.json()["error"]
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400
    assert client.get("/../app.py").status_code == client.get("/%2e%2e/app.py").status_code == 404
    assert client.get("/page/../../app.py").status_code == 404
    large = client.post("/api/sound", json=asked(settings={"drums": "1" * 70_000}))
    assert large.status_code == 400 and "expected at most 65536 bytes" in large.json()["error"]
    for broken in ("{", "[]", "[" * 60_000, json.dumps(asked(settings={"pattern": "\ud800"}))):
        answer = client.post("/api/sound", content=broken, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400


def test_the_page_needs_nothing_from_elsewhere(client):
    page = client.get("/")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    wanted, seen = {""}, set()
    while wanted:
        seen.add(name := wanted.pop())
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert "http://" not in answer.text and "https://" not in answer.text
        named = re.findall(r"""(?:href|src|from|addModule)[= (]"(?:\./)?(\w+\.(?:js|css))\"""", answer.text)
        wanted |= set(named) - seen
    assert len(seen) == 9


@pytest.mark.parametrize(
    ("knob", "step"),
    [
        (controls.Slider("tempo", 100, 140, 120, "bpm"), 1.0),
        (controls.AsideSlider("pitch", 36, 84, 60, "MIDI"), 1.0),
        (controls.Slider("level", -12, 0, 0, "dB"), 0.06),
        (controls.Switch("drums"), 0.005),
    ],
)
def test_a_slider_moves_by_its_steps(knob, step):
    assert _drawing(knob)["step"] == pytest.approx(step)


def test_silence_is_drawn_dark(workdir):
    from mgen.studio.player import _picture

    assert np.asarray(_picture(np.zeros(8_000, np.float32), 8_000)).max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the folder of a run: mgen studio WORKDIR"),
        (("nowhere",), "nowhere"),
    ],
)
def test_what_cannot_be_opened_is_one_line(run, arguments, message):
    status, _, err = run("studio", *arguments)
    assert status in (1, 2) and message in err


def test_a_port_that_is_taken_is_one_line(run, workdir):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = run("studio", workdir, "--port", port)
    assert status == 1 and f"--port {port}: " in err and "a --port that is free" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected a samples.json, or what the studio saved"),
        ("no", "expected a samples.json, or what the studio saved"),
        ('{"seed": 0, "step": 2, "samples": []}', "seed, step or samples are wrong"),
        ('{"seed": 0, "step": 2, "samples": [{"settings": {"drums": 3}}]}', "drums=3: out of range"),
    ],
)
def test_settings_that_cannot_be_read_are_one_line(run, workdir, tmp_path, content, message):
    (tmp_path / "saved.json").write_text(content)
    status, _, err = run("sample", workdir, "--settings", tmp_path / "saved.json")
    assert status == 1 and message in err
    status, _, err = run("sample", workdir, "--settings", tmp_path / "saved.json", "--count", 2)
    assert status == 1 and "leave them out" in err
    status, _, err = run("sample", workdir, "--settings", tmp_path / "gone.json")
    assert status == 1 and "No such file" in err
