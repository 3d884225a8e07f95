import json

import numpy as np

from mgen import audio
from mgen.training.log import Log


def test_scalars_and_sounds_reach_every_place(tmp_path):
    log = Log(tmp_path, steps=10, start=0)
    wave = (0.1 * np.sin(np.arange(4_000) * 0.3)).astype(np.float32)
    log.advance()
    log.scalars(1, {"a/loss": 0.123456789, "b": 2.0})
    log.sound(1, "preview", wave, sample_rate=8_000, title="a sine")
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "a/loss": 0.123457, "b": 2.0}
    np.testing.assert_allclose(
        audio.read(tmp_path / "previews" / "0000001_preview.wav", sample_rate=8_000), wave, atol=2e-5
    )
    assert (tmp_path / "previews" / "0000001_preview.png").exists()
    (events,) = (tmp_path / "tensorboard").glob("events*")
    recorded = events.read_bytes()
    assert all(tag in recorded for tag in (b"a/loss", b"preview", b"PNG", b"RIFF"))


def test_other_processes_are_silent(tmp_path):
    log = Log(tmp_path, steps=10, start=0, active=False)
    log.advance()
    log.say("nothing")
    log.scalars(1, {"loss": 1.0})
    log.sound(1, "x", np.zeros(10, np.float32), sample_rate=8_000)
    log.close()
    assert not list(tmp_path.iterdir())
