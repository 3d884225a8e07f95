"""The studio's page in a browser: a slider is turned, a switch toggled, sound played and saved.

Over 300 lines, because its tests drive one page from one set of helpers.
"""

import base64
import contextlib
import dataclasses
import json
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mgen import audio
from mgen.data.mixtures import Mixtures
from mgen.training.loop import train

ROOT = pathlib.Path(__file__).parents[1]
_TURN = """([id, value]) => {
  const slider = document.getElementById(id);
  slider.value = value;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
}"""


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path]:
    """A run with sliders, and one with switches, of two steps each."""
    folder = tmp_path_factory.mktemp("studio")
    smoke = runpy.run_path(str(ROOT / "configs" / "switches.py"))["smoke"]
    train(smoke, folder / "sliders")
    for index, hz in enumerate((220, 330)):
        wave = 0.3 * np.sin(2 * np.pi * hz * np.arange(32_000) / 8_000)
        audio.write(folder / "songs" / f"song_{index}.wav", wave, sample_rate=8_000)
    songs = dataclasses.replace(smoke, data=Mixtures(path=str(folder / "songs"), songs=2), validation_sounds=0)
    train(songs, folder / "switches")
    return folder / "sliders", folder / "switches"


@contextlib.contextmanager
def served(*arguments):
    """Address of a studio."""
    code = "import sys; from mgen.commands import main; sys.exit(main(['studio', *sys.argv[1:], '--port', '0']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    line = process.stdout.readline()
    try:
        yield re.match(r"http://127\.0\.0\.1:\d+/", line)[0]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def studio(workdirs):
    """A studio of both runs."""
    with served(*workdirs) as address:
        yield address


@contextlib.contextmanager
def browser_page(*flags, **context):
    """A page of a browser that knows no other machine."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    always = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    always.append("--host-resolver-rules=MAP * 0.0.0.0, EXCLUDE 127.0.0.1")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=[*always, *flags])
        yield opened.new_page(**context)
        opened.close()


def saved(page, folder):
    """What the page saves, as files saved.wav and saved.json."""
    for button, suffix in (("#export-wav", "wav"), ("#export-settings", "json")):
        with page.expect_download() as saving:
            page.click(button)
        saving.value.save_as(folder / f"saved.{suffix}")


def sampled(workdir, folder) -> bytes:
    """The wav that `sample.py` makes of saved.json."""
    command = [sys.executable, "sample.py", workdir, "--settings", folder / "saved.json", "--out", folder / "out"]
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT, capture_output=True)
    return (folder / "out" / "sample_000.wav").read_bytes()


@pytest.mark.browser
def test_a_person_turns_plays_and_saves(studio, workdirs, tmp_path):
    from playwright.sync_api import expect

    problems, asked = [], []
    with browser_page() as page:
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(studio)
        status = page.locator("#status")
        expect(status).to_have_text("Ready", timeout=60_000)
        page.click("#play")
        expect(page.locator("#play")).to_have_text("Stop")

        def sounds() -> int:
            return page.evaluate("studio.sounds")

        def new_sound(before: int) -> None:
            for _ in range(200):
                if sounds() > before and status.text_content() == "Ready":
                    return
                page.wait_for_timeout(50)
            raise AssertionError(f"no new sound: {status.text_content()}")

        # A slider: the sound and the picture change while it plays.
        picture = page.evaluate("document.getElementById('spectrogram').toDataURL()")
        before = sounds()
        page.evaluate(_TURN, ["control-1", "0.25"])
        new_sound(before)
        assert page.evaluate("document.getElementById('spectrogram').toDataURL()") != picture
        assert page.evaluate("studio.latencies.length") >= 1
        expect(page.locator("#play")).to_have_text("Stop")
        page.keyboard.press("z")
        expect(page.locator("#control-1")).to_have_value("0.8")
        before = sounds()
        page.keyboard.press("r")
        expect(page.locator("#undo")).to_be_enabled()
        new_sound(before)

        # A and B, and between them.
        page.click("#store-A")
        page.evaluate(_TURN, ["control-1", "1"])
        page.click("#store-B")
        page.fill("#morph-seconds", "0.5")
        page.evaluate("""() => {
          window.morphed = [];
          window.watching = setInterval(() => morphed.push(Number(document.getElementById('control-1').value)), 20);
        }""")
        page.click("#morph")
        expect(page.locator("#morph")).to_have_text("Morph A to B", timeout=10_000)
        expect(page.locator("#control-1")).to_have_value("1")

        low, *way, high = dict.fromkeys(page.evaluate("clearInterval(watching), morphed.slice(5)"))
        assert way and low < high == 1 and [low, *way, high] == sorted([low, *way, high])
        knobs = [{"name": "a", "kind": "slider", "low": 0, "high": 1}]
        knobs += [{"name": "b", "kind": "slider", "low": 0, "high": 1, "aside": True}]
        changed = page.evaluate(
            "async (knobs) => { const v = await import('/values.js'), at = {a: 0.5, b: 0.25};"
            "return [v.drawn(knobs, at), v.nudged(knobs, at), v.between(knobs, at, {a: 1, b: 0.75}, 0.5)]; }",
            knobs,
        )
        assert [values["b"] for values in changed] == [0.25, 0.25, 0.5]
        assert 0.4 <= changed[1]["a"] <= 0.6 and changed[2]["a"] == 0.75

        # Loop off in its second turn plays to the end, and not at once.
        page.wait_for_timeout(1500)  # the sound has one second
        page.uncheck("#loop")
        assert page.locator("#play").text_content() == "Stop"
        expect(page.locator("#play")).to_have_text("Play")
        page.check("#loop")
        page.click("#play")

        # The other run: a switch.
        page.select_option("#run", "switches")
        before = sounds()
        toggle = page.get_by_label("song 1, on or off")
        toggle.check()
        new_sound(before)
        expect(page.locator("#control-1")).to_have_value("1")
        page.fill("#seed", "7")
        saved(page, tmp_path)
        page.click("#play")
        expect(page.locator("#play")).to_have_text("Play")
    assert not problems
    assert all(url.startswith((studio, "blob:", "data:")) for url in asked)
    about = json.loads((tmp_path / "saved.json").read_text())
    assert about["seed"] == 7 and about["samples"][0]["settings"] == {"song_0": 1, "song_1": 1}
    assert sampled(workdirs[1], tmp_path) == (tmp_path / "saved.wav").read_bytes()


@pytest.fixture(scope="module")
def notes(tmp_path_factory) -> pathlib.Path:
    """A run that takes clips, of two steps, and beside it a folder of sounds and one to be uploaded."""
    folder = tmp_path_factory.mktemp("studio")
    train(runpy.run_path(str(ROOT / "configs" / "note_autoencoder.py"))["smoke"], folder / "notes")
    for name, hz in (("sounds/low.wav", 110), ("sounds/high.flac", 880), ("mine.wav", 440)):
        wave = 0.3 * np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)
        audio.write(folder / name, wave, sample_rate=16_000)
    (folder / "words.txt").write_text("no sound")
    return folder


_DROP = """([label, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], 'dropped.wav'));
  const row = document.querySelector(`select[id=${label}]`).parentElement;
  row.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""

# As soon as something is heard: half a second later it is enough.
_STOP = """() => {
  const stop = document.querySelector('[aria-label="Stop clip to"]');
  const heard = document.getElementById('status').textContent.startsWith('Recording');
  if (stop && heard) stop.click();
  return stop && heard;
}"""


@pytest.mark.browser
def test_a_person_gives_clips(notes, tmp_path):
    from playwright.sync_api import expect

    problems = []
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    microphone.append(f"--use-file-for-fake-audio-capture={notes / 'mine.wav'}")
    with served(notes / "notes", "--clips", notes / "sounds") as studio, browser_page(*microphone) as page:
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(studio)
        status, clip, other = (
            page.locator("#status"),
            page.get_by_label("clip", exact=True),
            page.get_by_label("clip to", exact=True),
        )
        hear, record = page.get_by_label("Hear clip", exact=True), page.get_by_label("Record clip", exact=True)
        expect(status).to_have_text("Ready", timeout=60_000)
        expect(clip).to_have_value("")
        expect(hear).to_be_disabled()

        def picture() -> str:
            return page.evaluate("document.getElementById('spectrogram').toDataURL()")

        def changed(before: str) -> str:
            for _ in range(400):
                if picture() != before and status.text_content() == "Ready":
                    return picture()
                page.wait_for_timeout(50)
            raise AssertionError(f"no new sound: {status.text_content()}")

        # Picked, heard, and undone.
        seen = picture()
        clip.select_option("low.wav")
        low = changed(seen)
        hear.click()
        expect(status).to_have_text("Playing low.wav, 0.5 s")
        page.click("#undo")
        assert changed(low) == seen
        expect(clip).to_have_value("")

        # Uploaded by the button, and by the keyboard.
        upload = page.get_by_label("Upload clip", exact=True)
        with page.expect_file_chooser() as choosing:
            upload.click()
        choosing.value.set_files(notes / "mine.wav")
        mine = changed(seen)
        expect(clip.locator("option:checked")).to_have_text("mine.wav")
        name = clip.input_value()
        hear.click()
        expect(status).to_have_text("Playing mine.wav, 0.5 s")
        page.wait_for_timeout(1_000)  # until the sound has been heard: Chromium at times opens nothing while it plays
        with page.expect_file_chooser() as choosing:
            upload.press("Enter")
        choosing.value.set_files(notes / "words.txt")
        expect(status).to_contain_text("words.txt: not a sound file")
        expect(clip).to_have_value(name)
        assert problems and all("400 (Bad Request)" in problem for problem in problems)
        problems.clear()

        # A and B and random leave it; reset does not.
        page.click("#store-A")
        page.click("#random")
        expect(clip).to_have_value(name)
        random = changed(mine)
        page.click("#reset")
        expect(clip).to_have_value("")
        assert changed(random) == seen
        page.click("#recall-A")
        expect(clip).to_have_value(name)
        assert changed(seen) == mine

        # Recorded, until it is enough and until it is stopped; dropped.
        record.click()
        expect(clip.locator("option:checked")).to_have_text("recording 1", timeout=10_000)
        recorded = changed(mine)
        page.get_by_label("Record clip to", exact=True).click()
        page.wait_for_function(_STOP)
        expect(other.locator("option:checked")).to_have_text("recording 2")
        page.evaluate(_DROP, [other.get_attribute("id"), list((notes / "sounds" / "high.flac").read_bytes())])
        expect(other.locator("option:checked")).to_have_text("dropped.wav")
        page.get_by_label("mix, exact value").fill("0.5")
        changed(recorded)
        saved(page, tmp_path)
        page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert not problems
    values = json.loads((tmp_path / "saved.json").read_text())["samples"][0]["settings"]
    heard = base64.b64decode(values["clip"].removeprefix("data:audio/wav;base64,"))
    (tmp_path / "clip.wav").write_bytes(heard)
    wave = audio.read(tmp_path / "clip.wav", sample_rate=8_000)
    loudest = np.argmax(abs(np.fft.rfft(wave))) * 8_000 / len(wave)
    assert len(wave) == 31 * 128 and abs(loudest - 440) < 3
    assert sampled(notes / "notes", tmp_path) == (tmp_path / "saved.wav").read_bytes()


@pytest.mark.browser
def test_a_microphone_that_is_refused_is_said(notes):
    from playwright.sync_api import expect

    with served(notes / "notes") as studio, browser_page("--use-fake-device-for-media-stream") as page:
        page.goto(studio)
        expect(page.locator("#status")).to_have_text("Ready", timeout=60_000)
        page.get_by_label("Record clip", exact=True).click()
        expect(page.locator("#status")).to_contain_text("The microphone was refused")  # nobody is there to allow it
        expect(page.locator("#status")).to_have_class("error")
        expect(page.get_by_label("Record clip", exact=True)).to_have_text("Record")


# A microphone that is handed out when the test says so, to a page whose audio never starts.
_STUCK = """() => {
  window.tracks = [];
  window.contexts = [];
  const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices), Real = AudioContext;
  window.allowed = Promise.resolve();
  window.ask = () => { window.allowed = new Promise((resolve) => { window.allow = resolve; }); };
  devices.getUserMedia = async (asked) => {
    await window.allowed;
    const stream = await real(asked);
    tracks.push(...stream.getTracks());
    return stream;
  };
  window.AudioContext = class extends Real {
    constructor() {
      super();
      this.suspend();
      contexts.push(this);
    }
    resume() { return new Promise(() => {}); }
  };
}"""
_CLOSED = """(count) => tracks.length === count && tracks.every((track) => track.readyState === 'ended')
  && contexts.every((context) => context.state === 'closed')"""


@pytest.mark.browser
def test_stop_always_closes_the_microphone(notes):
    from playwright.sync_api import expect

    problems = []
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with served(notes / "notes", notes / "notes") as studio, browser_page(*microphone) as page:
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(studio)
        status = page.locator("#status")
        record, stop = (page.get_by_label(f"{word} clip", exact=True) for word in ("Record", "Stop"))
        expect(status).to_have_text("Ready", timeout=60_000)
        page.evaluate(_STUCK)

        def closed(count: int) -> None:
            page.wait_for_function(_CLOSED, arg=count)
            assert page.evaluate("contexts.length") <= count

        # Nothing is ever heard: stopped, and unplugged.
        record.click()
        page.wait_for_function("() => contexts.length === 1")
        stop.click()
        expect(status).to_have_text("Nothing was recorded")
        expect(record).to_have_text("Record")
        closed(1)
        record.click()
        page.wait_for_function("() => contexts.length === 2")
        page.evaluate("tracks.at(-1).dispatchEvent(new Event('ended'))")
        expect(status).to_have_text("Nothing was recorded")
        closed(2)

        # Stopped while the person is still asked, who allows it later.
        page.evaluate("ask()")
        record.click()
        expect(status).to_have_text("Waiting for the microphone")
        stop.click()
        expect(record).to_have_text("Record")
        page.evaluate("allow()")
        closed(3)
        assert page.evaluate("contexts.length") == 2  # nor was anything opened

        # The other run is shown meanwhile, and has a button that records.
        record.click()
        page.wait_for_function("() => contexts.length === 3")
        page.select_option("#run", "notes 2")
        closed(4)
        record.click()
        page.wait_for_function("() => contexts.length === 4")
        stop.click()
        expect(status).to_have_text("Nothing was recorded")
        closed(5)
    assert not problems


@pytest.mark.browser
def test_a_clip_is_offered_to_runs_of_its_rate_and_length(notes):
    from playwright.sync_api import expect

    def other(route):
        answer = route.fetch()
        about = answer.json()
        about["runs"].append({**about["runs"][0], "name": "longer", "size": "8000 99999"})
        route.fulfill(response=answer, json=about)

    with served(notes / "notes", notes / "notes") as studio, browser_page() as page:
        page.route("**/api/runs", other)
        page.goto(studio)
        expect(page.locator("#status")).to_have_text("Ready", timeout=60_000)
        page.locator("input[type=file]").first.set_input_files(notes / "mine.wav")
        clip, other_clip = page.get_by_label("clip", exact=True), page.get_by_label("clip to", exact=True)
        expect(clip.locator("option:checked")).to_have_text("mine.wav")
        for run, options in (("notes 2", ["none", "mine.wav"]), ("longer", ["none"]), ("notes", ["none", "mine.wav"])):
            page.select_option("#run", run)
            for select in (clip, other_clip):
                expect(select.locator("option")).to_have_text(options)
