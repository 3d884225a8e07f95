"""How long after a slider is moved the new sound plays, through the studio's page in headless Chromium.

    python train.py configs/switches.py --data.path SONGS --features.frames 256 --workdir runs/switches_6s
    python benchmarks/studio_latency.py runs/switches_6s

From the slider's event to the start of the new sound in the page's audio graph, over 300 movements at random places and
random times, as a person's: some while a sound is being made already, some after a rest. What the sound card adds is
not in it.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.record import ROOT, markdown, record

_MOVES = 300
_MOVE = """([index, part]) => {
  const sliders = document.querySelectorAll('#controls [type=range]'), slider = sliders[index % sliders.length];
  slider.value = Number(slider.min) + part * (slider.max - slider.min);
  slider.dispatchEvent(new Event('input', {bubbles: true}));
}"""


def main() -> None:
    """Prints the table and writes benchmarks/results/studio_latency.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--screenshot", type=pathlib.Path, help="where to save a picture of the page")
    asked = parser.parse_args()
    import numpy as np
    from playwright.sync_api import expect, sync_playwright

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium here: apt-get install chromium")
    code = "import sys; from mgen.commands import main; sys.exit(main(['studio', sys.argv[1], '--port', '0']))"
    server = subprocess.Popen([sys.executable, "-c", code, asked.workdir], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        address = re.match(r"http://\S+/", server.stdout.readline())[0]
        with sync_playwright() as driver:
            flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
            page = driver.chromium.launch(executable_path=browser, args=flags).new_page(
                viewport={"width": 1280, "height": 800}
            )
            page.goto(address)
            expect(page.locator("#status")).to_have_text("Ready", timeout=120_000)
            page.click("#play")
            rng = np.random.default_rng(0)
            for _ in range(_MOVES):
                page.evaluate(_MOVE, [int(rng.integers(100)), float(rng.random())])
                page.wait_for_timeout(float(rng.choice([60, 250, 900], p=[0.5, 0.3, 0.2])))
            expect(page.locator("#status")).to_have_text("Ready", timeout=20_000)
            found, about = page.evaluate("studio.latencies"), page.locator("#about").text_content()
            if asked.screenshot:
                page.screenshot(path=asked.screenshot)
            version = page.context.browser.version
            page.context.browser.close()
    finally:
        server.terminate()
        server.wait()
    row = {"run": about, "movements": _MOVES, "sounds": len(found)}
    row |= {f"p{share}, ms": round(float(np.percentile(found, share))) for share in (50, 90, 99)}
    print(markdown([row]))
    words = (
        f"{_MOVES} movements; those that came while a sound was being made are heard with the next; Chromium {version}"
    )
    print(record("studio_latency", table=[row], seed=0, about=words))


if __name__ == "__main__":
    main()
