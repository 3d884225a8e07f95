"""The studio's page in a browser: a slider is turned, a switch toggled, sound played and saved."""

import json
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import pytest

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
    import dataclasses

    import numpy as np

    from mgen import audio
    from mgen.data.mixtures import Mixtures

    folder = tmp_path_factory.mktemp("studio")
    smoke = runpy.run_path(str(ROOT / "configs" / "switches.py"))["smoke"]
    train(smoke, folder / "sliders")
    for index, hz in enumerate((220, 330)):
        wave = 0.3 * np.sin(2 * np.pi * hz * np.arange(32_000) / 8_000)
        audio.write(folder / "songs" / f"song_{index}.wav", wave, sample_rate=8_000)
    songs = dataclasses.replace(smoke, data=Mixtures(path=str(folder / "songs"), songs=2), validation_sounds=0)
    train(songs, folder / "switches")
    return folder / "sliders", folder / "switches"


@pytest.fixture
def studio(workdirs):
    """Address of a studio of both runs."""
    code = "import sys; from mgen.commands import main; sys.exit(main(['studio', *sys.argv[1:], '--port', '0']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, workdirs)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    line = process.stdout.readline()
    yield re.match(r"http://127\.0\.0\.1:\d+/", line)[0]
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.mark.browser
def test_a_person_turns_plays_and_saves(studio, workdirs, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    flags.append("--host-resolver-rules=MAP * 0.0.0.0, EXCLUDE 127.0.0.1")
    problems, asked = [], []
    with sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=browser, args=flags).new_page()
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
        for button, suffix in (("#export-wav", "wav"), ("#export-settings", "json")):
            with page.expect_download() as saving:
                page.click(button)
            saving.value.save_as(tmp_path / f"saved.{suffix}")
        page.click("#play")
        expect(page.locator("#play")).to_have_text("Play")
        page.context.browser.close()
    assert not problems
    assert all(url.startswith((studio, "blob:", "data:")) for url in asked)
    about = json.loads((tmp_path / "saved.json").read_text())
    assert about["seed"] == 7 and about["samples"][0]["settings"] == {"song_0": 1, "song_1": 1}
    command = [
        sys.executable,
        "sample.py",
        workdirs[1],
        "--settings",
        tmp_path / "saved.json",
        "--out",
        tmp_path / "out",
    ]
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT, capture_output=True)
    assert (tmp_path / "out" / "sample_000.wav").read_bytes() == (tmp_path / "saved.wav").read_bytes()
