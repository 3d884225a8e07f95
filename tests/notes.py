"""Small collections of notes in the layouts that are read."""

import json

import numpy as np

from mgen import audio
from mgen.data.notes import FAMILIES, QUALITIES, SOURCES

RATE = 16_000


def tone(pitch, *, seconds=0.5, level=0.3, lead_s=0.0):
    """A note with three partials, after `lead_s` of silence."""
    t = np.arange(round(seconds * RATE)) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    wave = level * sum(np.sin(2 * np.pi * n * hertz * t) / n for n in (1, 2, 3)) / 1.8
    return np.concatenate([np.zeros(round(lead_s * RATE)), wave]).astype(np.float32)


def entry(instrument, family, source, pitch, velocity, qualities=()):
    """One value of examples.json, with every field that NSynth's has."""
    name = f"{family}_{source}_{instrument:03d}"
    return f"{name}-{pitch:03d}-{velocity:03d}", {
        "note": 278_915,
        "note_str": f"{name}-{pitch:03d}-{velocity:03d}",
        "instrument": instrument,
        "instrument_str": name,
        "pitch": pitch,
        "velocity": velocity,
        "sample_rate": RATE,
        "qualities": [int(quality in qualities) for quality in QUALITIES],
        "qualities_str": list(qualities),
        "instrument_family": FAMILIES.index(family),
        "instrument_family_str": family,
        "instrument_source": SOURCES.index(source),
        "instrument_source_str": source,
    }


def nsynth(folder, entries, *, table=True):
    """Writes FOLDER/examples.json and FOLDER/audio."""
    for name, value in entries:
        level = 0.3 * value["velocity"] / 127
        audio.write(folder / "audio" / f"{name}.wav", tone(value["pitch"], level=level), sample_rate=RATE)
    if table:
        (folder / "examples.json").write_text(json.dumps(dict(entries)))


ENTRIES = [
    entry(0, "keyboard", "acoustic", 60, 50, ["dark", "reverb"]),
    entry(0, "keyboard", "acoustic", 64, 100, ["reverb"]),
    entry(1, "organ", "electronic", 60, 100, ["bright"]),
    entry(2, "synth_lead", "synthetic", 72, 127, ["percussive"]),
    entry(3, "keyboard", "electronic", 48, 100),
]
