"""The page of an evaluation: what it says, and that a browser opens it."""

import json
import re
import shutil
import subprocess

import pytest

from mgen import audio
from mgen.evaluation import sheet
from mgen.evaluation.sets import GENERATED, REAL
from tests.test_scorecard import RATE, chirps


def page_of(folder):
    waves = chirps(2, 0)
    return sheet.write(
        folder,
        title="A run <1>",
        notes=["Said & done."],
        tables={"Scorecard": [{"measure": "frechet", "real": "1 ± 0.1"}]},
        clips={REAL: waves, GENERATED: waves[:1]},
        captions={GENERATED: ["pitch=60"]},
        sample_rate=RATE,
    )


def test_the_page_escapes_and_leaves_gaps(tmp_path):
    text = page_of(tmp_path).read_text()
    assert "A run &lt;1&gt;" in text and "Said &amp; done." in text and "generated 0: pitch=60" in text
    assert text.count("<figure>") == 3 and text.count("<span></span>") == 1
    assert audio.read(tmp_path / "0_real_001.wav", sample_rate=RATE).shape == (24_000,)


@pytest.mark.browser
def test_the_page_opens_in_a_browser(tmp_path):
    """Every picture is decoded and every player knows its length and plays, where no name leads anywhere."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    page = page_of(tmp_path)
    probe = (
        "<script>onload=async()=>{const sounds=[...document.querySelectorAll('audio')];"
        "for(const a of sounds){a.muted=true;await a.play()}"
        "setTimeout(()=>{document.body.dataset.seen=JSON.stringify({"
        "pictures:[...document.images].map(i=>i.naturalWidth),"
        "sounds:sounds.map(a=>a.duration),played:sounds.map(a=>!a.paused)})},1500)}</script>"
    )
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</body>", probe + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-quic", "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'user'}"]
    flags += [
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1600,2400",
        "--host-resolver-rules=MAP * 0.0.0.0",
    ]
    command = [browser, *flags, "--virtual-time-budget=8000", "--dump-dom", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    seen = json.loads(re.search(r'data-seen="([^"]+)"', dom)[1].replace("&quot;", '"'))
    assert len(seen["pictures"]) == len(seen["sounds"]) == 3
    assert min(seen["pictures"]) > 100
    assert all(abs(duration - 3) < 0.1 for duration in seen["sounds"])
    assert all(seen["played"]), "play() is only over once the sound has begun; the clock of a dumped page stands still"
