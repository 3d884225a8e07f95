"""Sounds that a person gives the studio: taken, named, bounded, and never more than that.

Over 300 lines, because tests mirror mgen file by file.
"""

import asyncio
import concurrent.futures
import copy
import io
import os
import pathlib
import runpy
import tempfile
import time

import numpy as np
import pytest
import soundfile
from starlette.requests import Request
from starlette.testclient import TestClient

from mgen import audio, panel
from mgen.studio import app, clips
from mgen.studio.player import Player
from mgen.training import sampling
from mgen.training.checkpoint import load
from mgen.training.loop import train

ROOT = pathlib.Path(__file__).parents[1]
RATE, SAMPLES = 8_000, 31 * 128


def wave(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> pathlib.Path:
    """A run that takes clips, of two steps."""
    workdir = tmp_path_factory.mktemp("studio") / "notes"
    train(runpy.run_path(str(ROOT / "configs" / "note_autoencoder.py"))["smoke"], workdir)
    return workdir


@pytest.fixture(scope="module")
def player(workdir) -> Player:
    return Player(load(workdir), workdir)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Two sounds, words by the name of one, and one that lies outside."""
    folder = tmp_path_factory.mktemp("sounds") / "inside"
    audio.write(folder / "a.wav", wave(20_000), sample_rate=RATE)
    audio.write(folder / "deep" / "b.flac", wave(20_000, 1), sample_rate=16_000)
    (folder / "words.wav").write_text("no sound")
    (folder / "notes.txt").write_text("no sound")
    audio.write(folder.parent / "outside.wav", wave(20_000), sample_rate=RATE)
    return folder


@pytest.fixture
def client(player, folder) -> TestClient:
    return TestClient(app.build([player], clips=clips.ClipStore(folder)), base_url="http://127.0.0.1")


def upload(client, data, *, run="notes", kind="application/octet-stream"):
    return client.post("/api/clip", params={"run": run}, content=data, headers={"Content-Type": kind})


def asked(**settings):
    return {"run": "notes", "seed": 3, "settings": settings, "draft": False}


def played(client, **settings):
    answer = client.post("/api/sound", json=asked(**settings))
    assert answer.status_code == 200, answer.text
    samples = int(np.frombuffer(answer.content[4:8], "<u4")[0])
    return np.frombuffer(answer.content[16 : 16 + 4 * samples], "<f4")


def refusal(client, **settings):
    answer = client.post("/api/sound", json=asked(**settings))
    assert answer.status_code == 400
    return answer.json()["error"]


def heard(client, name):
    return client.get("/api/clip", params={"run": "notes", "clip": name})


def test_a_clip_is_a_control_of_its_own_kind(client):
    about = client.get("/api/runs").json()
    assert about["clips"] == ["a.wav", "deep/b.flac", "words.wav"] and about["largest"] == 64 << 20
    clip = next(control for control in about["runs"][0]["controls"] if control["name"] == "clip")
    assert (clip["kind"], clip["aside"], clip["default"]) == ("clip", True, "")
    assert about["runs"][0]["start"]["clip"] == ""


def test_what_is_uploaded_is_cut_and_played(client, tmp_path):
    audio.write(tmp_path / "long.wav", wave(30_000, 2), sample_rate=16_000)
    answer = upload(client, (tmp_path / "long.wav").read_bytes()).json()
    assert answer["seconds"] == SAMPLES / RATE
    (tmp_path / "kept.wav").write_bytes(heard(client, answer["clip"]).content)
    kept = audio.read(tmp_path / "kept.wav", sample_rate=RATE)
    duration_s = SAMPLES / RATE
    np.testing.assert_array_equal(kept, audio.read(tmp_path / "long.wav", sample_rate=RATE, duration_s=duration_s))
    silent, own = played(client, clip=""), played(client, clip=answer["clip"])
    np.testing.assert_array_equal(silent, played(client))
    assert not np.array_equal(own, silent)
    assert upload(client, (tmp_path / "long.wav").read_bytes()).json() == answer


def test_a_clip_is_heard_once_while_sliders_are_turned(client, tmp_path, monkeypatch):
    audio.write(tmp_path / "new.wav", wave(5_000, 3), sample_rate=RATE)
    name = upload(client, (tmp_path / "new.wav").read_bytes()).json()["clip"]
    first = played(client, clip=name)
    monkeypatch.setattr(audio, "read", None)
    np.testing.assert_array_equal(played(client, clip=name), first)
    assert not np.array_equal(played(client, clip=name, axis_1=3), first)


def test_what_is_picked_is_the_file(client, folder):
    assert heard(client, "deep/b.flac").status_code == 200
    assert not np.array_equal(played(client, clip="a.wav"), played(client, clip="deep/b.flac"))
    same = upload(client, (folder / "a.wav").read_bytes()).json()["clip"]
    np.testing.assert_array_equal(played(client, clip="a.wav"), played(client, clip=same))


def test_what_is_saved_holds_the_sound_and_is_made_again_to_the_last_bit(client, run, workdir, folder, tmp_path):
    name = upload(client, (folder / "a.wav").read_bytes()).json()["clip"]
    request = asked(clip=name, clip_to="deep/b.flac", mix=0.25, axis_1=1)
    exported = client.post("/api/wav", json=request).content
    saved = client.post("/api/settings", json=request)
    values = saved.json()["samples"][0]["settings"]
    assert all(values[knob].startswith("data:audio/wav;base64,") for knob in ("clip", "clip_to"))
    (tmp_path / "saved.json").write_bytes(saved.content)
    for source, out in (("saved.json", "out"), ("out/samples.json", "again")):
        status, said, err = run("sample", workdir, "--settings", tmp_path / source, "--out", tmp_path / out)
        assert status == 0, err
        assert len(said) < 500
        assert (tmp_path / out / "sample_000.wav").read_bytes() == exported


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "clip: no sound is named 'gone' for this run, or it is no longer kept; give it again"),
        ("../outside.wav", "clip: no sound is named '../outside.wav'"),
        ("deep/../a.wav", "clip: no sound is named"),
        ("/etc/passwd", "clip: no sound is named"),
        ("notes.txt", "clip: no sound is named"),
        ("data:audio/wav;base64,AAAA", "clip: no sound is named"),
        ("words.wav", "clip: words.wav: not a sound file"),
        (3, "clip: expected the name of a sound, got 3"),
        (["a.wav"], "clip: expected the name of a sound, got ['a.wav']"),
    ],
)
def test_only_what_has_a_name_is_played(client, name, message):
    assert message in refusal(client, clip=name)
    for what in ("wav", "settings"):
        assert client.post(f"/api/{what}", json=asked(clip=name)).status_code == 400
    if isinstance(name, str):
        assert heard(client, name).status_code == 400


@pytest.mark.parametrize("value", [None, 5, True, ["a.wav"]])
def test_a_clip_that_is_no_text_is_no_path(player, value):
    with pytest.raises(ValueError) as error:
        panel.settings_of(player.knobs, [{"clip": value}])
    assert str(error.value) == f"clip={value!r}: expected text, the path of a sound file, or '' for none"


def test_texts_that_are_all_empty_are_no_clip(workdir, player):
    loaded = load(workdir)
    settings = panel.settings_of(player.knobs, [{}, {}])
    empty = settings | {"clip": np.array(["", ""], object)}
    bare, same = (sampling.listened(loaded.experiment, loaded.spec, {}, some) for some in (settings, empty))
    assert set(bare) == set(same) == set(settings) and "clip" not in same


def test_what_is_no_sound_or_too_much_is_one_line(client, tmp_path, monkeypatch):
    assert upload(client, b"words").json()["error"].startswith("not a sound file")
    assert upload(client, b"").json()["error"] == "is empty (0 bytes)"
    m4a = upload(client, bytes(4) + b"ftypM4A " + bytes(20)).json()["error"]
    assert m4a == "AAC cannot be decoded; convert it to wav or flac"  # and no name that nobody gave it
    audio.write(tmp_path / "long.wav", np.zeros(1_000 * 1_201), sample_rate=1_000)
    answer = upload(client, (tmp_path / "long.wav").read_bytes())
    assert (answer.status_code, answer.json()) == (400, {"error": "is longer than 20 minutes; cut it"})
    assert upload(client, b"RIFF", run="other").json()["error"] == "no run is named 'other'; there are notes"
    monkeypatch.setattr(app, "LARGEST", 10_000)
    answer = upload(client, bytes(10_001))
    assert (answer.status_code, answer.json()) == (400, {"error": "expected at most 10000 bytes"})


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [
        (999, 1, "has 999 Hz, expected 1000 to 768000; resample it"),
        (768_001, 1, "has 768001 Hz, expected 1000 to 768000; resample it"),
        (RATE, 33, "has 33 channels, expected at most 32; mix it"),
        (1_000, 32, None),
        (768_000, 1, None),
    ],
)
def test_a_header_that_no_recorder_writes_is_one_line(client, rate, channels, message):
    file = io.BytesIO()
    soundfile.write(file, np.full((100, channels), 0.1), rate, format="WAV")
    answer = upload(client, file.getvalue())
    assert answer.json().get("error") == message and answer.status_code == (400 if message else 200)


def test_a_clip_is_known_to_runs_of_its_rate_and_length(player, folder):
    longer, twin = copy.copy(player), copy.copy(player)
    longer.name, twin.name, longer.samples = "longer", "twin", 2 * SAMPLES
    client = TestClient(app.build([player, twin, longer], clips=clips.ClipStore(folder)), base_url="http://127.0.0.1")
    sizes = {run["name"]: run["size"] for run in client.get("/api/runs").json()["runs"]}
    assert sizes["notes"] == sizes["twin"] != sizes["longer"]
    data = (folder / "a.wav").read_bytes()
    short = upload(client, data).json()

    def given(run, name):
        return client.get("/api/clip", params={"run": run, "clip": name})

    assert given("twin", short["clip"]).status_code == 200
    for answer in (
        given("longer", short["clip"]),
        client.post("/api/sound", json=asked(clip=short["clip"]) | {"run": "longer"}),
    ):
        assert answer.status_code == 400 and answer.json()["error"].endswith("no longer kept; give it again")
    long = upload(client, data, run="longer").json()
    assert long["seconds"] == 2 * short["seconds"] and given("longer", long["clip"]).status_code == 200


def test_two_uploads_are_in_memory_at_a_time_and_the_others_wait(player):
    application, reading, most, said = app.build([player]), [], [], []
    head = [(b"host", b"127.0.0.1"), (b"content-type", b"application/octet-stream")]
    scope = {"type": "http", "method": "POST", "path": "/api/clip", "query_string": b"run=notes", "headers": head}

    async def receive():
        reading.append(1)
        most.append(len(reading))
        await asyncio.sleep(0.02)
        reading.pop()
        return {"type": "http.request", "body": b"words", "more_body": False}

    async def send(message):
        said.append(message.get("status"))

    async def every():
        await asyncio.gather(*(application(dict(scope), receive, send) for _ in range(6)))

    asyncio.run(every())
    assert max(most) == 2 and said.count(400) == 6


def test_one_file_is_decoded_at_a_time(player, folder, monkeypatch):
    decoding, most, read = [], [], audio.read

    def slow(*given, **asked):
        decoding.append(1)
        most.append(len(decoding))
        time.sleep(0.02)
        decoding.pop()
        return read(*given, **asked)

    monkeypatch.setattr(audio, "read", slow)
    kept, data = clips.ClipStore(folder), (folder / "a.wav").read_bytes()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = [pool.submit(kept.add, data + bytes(extra), player) for extra in range(4)]
        done += [pool.submit(kept.wav, name, player) for name in ("a.wav", "deep/b.flac")]
    assert all(one.result() for one in done) and len(most) == 6 and max(most) == 1


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (MemoryError(), "MemoryError"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (RuntimeError("soxr: no\nmore"), "soxr: no"),
    ],
)
def test_what_fails_here_is_one_line_too(client, folder, monkeypatch, caplog, failure, words):
    def fail(*given, **asked):
        raise failure

    monkeypatch.setattr(audio, "read", fail)
    data = (folder / "a.wav").read_bytes()
    for what, answer in (("kept", upload(client, data)), ("given", heard(client, "a.wav"))):
        assert (answer.status_code, answer.json()) == (500, {"error": f"the sound cannot be {what}: {words}"})
    assert client.post("/api/sound", json=asked(clip="a.wav")).status_code == 500
    assert len([one for one in caplog.records if one.exc_info]) == 3


def test_links_that_lead_outside_are_passed_by(folder, tmp_path):
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    audio.write(inside / "deep" / "own.wav", wave(100), sample_rate=RATE)
    (inside / "alias.wav").symlink_to(inside / "deep" / "own.wav")
    (inside / "secret.wav").symlink_to(folder / "a.wav")
    (inside / "relative.wav").symlink_to(os.path.relpath(folder / "a.wav", inside))
    (inside / "all").symlink_to(folder, target_is_directory=True)
    (inside / "again").symlink_to(inside, target_is_directory=True)
    (inside / "round.wav").symlink_to(inside / "round.wav")
    (inside / "gone.wav").symlink_to(inside / "nothing.wav")
    assert clips.ClipStore(inside).names == ["alias.wav", "deep/own.wav"]
    (tmp_path / "link").symlink_to(inside, target_is_directory=True)
    assert clips.ClipStore(tmp_path / "link").names == ["alias.wav", "deep/own.wav"]


def test_a_folder_is_not_searched_without_end(tmp_path, monkeypatch):
    for index in range(9):
        audio.write(tmp_path / f"{index}" / "a.wav", wave(10), sample_rate=RATE)
    monkeypatch.setattr(clips, "_MOST_PICKED", 3)
    assert clips.ClipStore(tmp_path).names == ["0/a.wav", "1/a.wav", "2/a.wav"]
    monkeypatch.setattr(clips, "_MOST_LOOKED_AT", 5)  # the folder itself, and two with a file each
    assert clips.ClipStore(tmp_path).names == ["0/a.wav", "1/a.wav"]


def test_what_is_too_large_is_not_read_to_its_end():
    taken = []

    async def receive():
        taken.append(1)
        return {"type": "http.request", "body": bytes(1_000), "more_body": len(taken) < 1_000}

    request = Request({"type": "http", "headers": [(b"content-type", b"application/octet-stream")]}, receive)
    with pytest.raises(app._Refused, match="expected at most 10000 bytes"):
        asyncio.run(app._body(request, "application/octet-stream", 10_000))
    assert len(taken) == 11


def test_another_page_cannot_upload_nor_play(client):
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "audio/wav", ""):
        answer = upload(client, b"RIFF", kind=kind)
        assert answer.status_code == 400 and "expected Content-Type: application/octet-stream" in answer.json()["error"]
    assert heard(client, "a.wav").headers["Cross-Origin-Resource-Policy"] == "same-origin"
    asking = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options("/api/clip", headers=asking).headers


def test_nothing_stays_on_disk_and_the_oldest_goes_first(player, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(clips, "_MOST_KEPT", 3)
    kept = clips.ClipStore(folder)
    data = (folder / "a.wav").read_bytes()
    names = [kept.add(data + bytes(extra), player)[0] for extra in range(3)]
    kept.wav(names[0], player)
    kept.wav("a.wav", player)  # one that is picked counts too, and can be picked again
    with pytest.raises(ValueError, match="or it is no longer kept; give it again"):
        kept.wav(names[1], player)
    assert kept.wav(names[0], player) and kept.wav(names[2], player) and kept.wav("a.wav", player)
    with pytest.raises(ValueError, match="not a sound file"):
        kept.add(b"words", player)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "message"), [("gone", "no such folder"), ("empty", "holds no sound file (.wav .fl")])
def test_a_folder_without_sounds_is_one_line(run, workdir, tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    status, _, err = run("studio", workdir, "--clips", tmp_path / name)
    assert status == 1 and f"--clips {tmp_path / name}: {message}" in err and err.count("\n") == 1
