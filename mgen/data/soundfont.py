"""Labelled notes from a soundfont, played by fluidsynth: an NSynth of one's own.

FluidR3_GM (Debian's fluid-soundfont-gm, MIT) holds the 128 instruments of General MIDI; what is rendered of it may be
shared. One core renders over a hundred notes a second.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence

import numpy as np
import tqdm

from mgen import audio
from mgen.data import DataError
from mgen.data.notes import FAMILIES, LOUDEST, QUALITIES, SOURCES

#: NSynth's rate, and how long a note is held and then left to ring.
SAMPLE_RATE, HELD_S, RELEASED_S = 16_000, 3.0, 1.0

#: Families of General MIDI's programs, as (first, last, family).
PROGRAMS = (
    (0, 7, "keyboard"), (8, 15, "mallet"), (16, 23, "organ"), (24, 31, "guitar"), (32, 39, "bass"), (40, 51, "string"),
    (52, 54, "vocal"), (56, 63, "brass"), (64, 71, "reed"), (72, 79, "flute"), (80, 87, "synth_lead"),
)  # fmt: skip
_ELECTRONIC = {4, 5, 7, 16, 17, 18, *range(26, 32), *range(33, 38)}
_SYNTHETIC = {38, 39, 50, 51, 54, 62, 63, *range(80, 88)}
#: The church organ and the fifths lead sound an octave or a fifth beside their key.
TRANSPOSING = (19, 86)

_SLOT_S = 6.0  # what rings on after a note has fallen by 50 dB before the next
_MOST_SOUNDFONTS = 7  # NSynth's names have three digits for an instrument
_TEMPO, _TICKS = 1_000_000, 1000  # microseconds and ticks a beat: a tick is a millisecond
_INSTALL = "install it (Debian: apt install fluidsynth fluid-soundfont-gm; macOS: brew install fluid-synth)"


def family_of(program: int) -> str | None:
    """NSynth's family of a program of General MIDI, None for those (ensembles of effects) that are no instrument."""
    return next((family for first, last, family in PROGRAMS if first <= program <= last), None)


def source_of(program: int) -> str:
    """How the instrument of a program makes its sound, by NSynth's words."""
    return "synthetic" if program in _SYNTHETIC else "electronic" if program in _ELECTRONIC else "acoustic"


def render_notes(
    soundfonts: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    programs: Sequence[int],
    pitches: Sequence[int],
    velocities: Sequence[int],
    validation: Sequence[int] = (),
    jobs: int | None = None,
) -> dict[str, int]:
    """Plays every note of every program, and writes them in the layout of NSynth.

    Args:
      soundfonts: files that fluidsynth reads, .sf2 or .sf3; instrument 128 * i + p is program p of soundfont i. Several
        play the same instruments differently: from them a network learns what does not depend on the recording.
      out: folder of nsynth-train and nsynth-valid, made if need be.
      programs: of General MIDI, 0 to 127; those that are no instrument (`family_of`) are passed by.
      pitches: MIDI numbers.
      velocities: 1 to 127.
      validation: programs that go to nsynth-valid, of every soundfont.
      jobs: programs rendered at a time; as many as there are cores if None.

    Returns:
      Notes written, by split. Notes that the soundfont has no sound for are left out.

    Raises:
      DataError: fluidsynth is missing or fails, or a number is out of its range.
    """
    program = shutil.which("fluidsynth")
    if program is None:
        raise DataError(f"fluidsynth is missing, which plays the notes; {_INSTALL}")
    for soundfont in soundfonts:
        if not pathlib.Path(soundfont).is_file():
            raise DataError(f"{soundfont}: no such soundfont; Debian's lies in /usr/share/sounds/sf2/FluidR3_GM.sf2")
    if not 1 <= len(soundfonts) <= _MOST_SOUNDFONTS:
        raise DataError(f"--also: expected 1 to {_MOST_SOUNDFONTS} soundfonts in all, got {len(soundfonts)}")
    _check("programs", programs, 0, 127)
    _check("pitches", pitches, 0, 127)
    _check("velocities", velocities, 1, LOUDEST)
    instruments = [number for number in programs if family_of(number) is not None]
    if not instruments:
        raise DataError(f"programs={list(programs)[:8]}: these are effects and no instruments; use some of 0-54, 56-87")
    root = pathlib.Path(out)
    splits = {name: root / f"nsynth-{short}" for name, short in (("train", "train"), ("validation", "valid"))}
    entries: dict[str, dict[str, dict]] = {"train": {}, "validation": {}}
    for folder in splits.values():
        (folder / "audio").mkdir(parents=True, exist_ok=True)

    def render(which: tuple[int, int]) -> tuple[str, dict[str, dict]]:
        soundfont, number = which
        split = "validation" if number in validation else "train"
        keys = [(pitch, velocity) for velocity in velocities for pitch in pitches]
        waves = _play(program, soundfonts[soundfont], number, keys)
        return split, _write(splits[split], which, keys, waves)

    every = [(soundfont, number) for soundfont in range(len(soundfonts)) for number in instruments]
    with concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for split, found in tqdm.tqdm(pool.map(render, every), total=len(every), unit="program"):
            entries[split] |= found
    for split, folder in splits.items():
        (folder / "examples.json").write_text(json.dumps(entries[split], indent=1, sort_keys=True) + "\n")
    return {split: len(found) for split, found in entries.items()}


def _check(name: str, values: Iterable[int], low: int, high: int) -> None:
    values = list(values)
    if not values or any(not low <= value <= high for value in values):
        raise DataError(f"{name}={values[:8]}: expected numbers from {low} to {high}, at least one")


def _play(program: str, soundfont: str | os.PathLike[str], number: int, keys: Sequence[tuple[int, int]]) -> np.ndarray:
    """The notes of one instrument, one after another: float32 [notes, samples]."""
    held, slot = round(HELD_S * _TICKS), round(_SLOT_S * _TICKS)
    with tempfile.TemporaryDirectory() as folder:
        score, wave = pathlib.Path(folder) / "notes.mid", pathlib.Path(folder) / "notes.wav"
        score.write_bytes(_score(number, keys, held, slot))
        words = [program, "-ni", "-q", "-R", "0", "-C", "0", "-g", "1.0", "-r", str(SAMPLE_RATE), "-O", "s16"]
        words += ["-o", "synth.dynamic-sample-loading=1", "-T", "wav", "-F", str(wave), str(soundfont), str(score)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode or not wave.is_file():
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
            raise DataError(f"fluidsynth could not play program {number} of {soundfont}: {said[0]}")
        played = audio.read(wave, sample_rate=SAMPLE_RATE)
    size, step = round((HELD_S + RELEASED_S) * SAMPLE_RATE), round(_SLOT_S * SAMPLE_RATE)
    played = np.pad(played, (0, max(0, len(keys) * step - len(played))))
    return played[: len(keys) * step].reshape(len(keys), step)[:, :size]


def _score(number: int, keys: Sequence[tuple[int, int]], held: int, slot: int) -> bytes:
    """A standard MIDI file of one track: a program, then a note in each slot.

    Reference: "Standard MIDI files 1.0", MIDI Manufacturers Association, 1988.
    """
    track = b"\x00\xff\x51\x03" + _TEMPO.to_bytes(3, "big") + bytes([0, 0xC0, number])
    wait = 0
    for pitch, velocity in keys:
        track += _delta(wait) + bytes([0x90, pitch, velocity]) + _delta(held) + bytes([0x80, pitch, 0])
        wait = slot - held
    track += _delta(wait) + b"\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1]) + _TICKS.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def _delta(ticks: int) -> bytes:
    """A time as MIDI files write it: seven bits a byte, the last one without the eighth."""
    parts = [ticks & 0x7F]
    while ticks := ticks >> 7:
        parts.append(0x80 | ticks & 0x7F)
    return bytes(reversed(parts))


def _write(
    folder: pathlib.Path, which: tuple[int, int], keys: Sequence[tuple[int, int]], waves: np.ndarray
) -> dict[str, dict]:
    """Writes the notes that sound, and describes them."""
    soundfont, program = which
    family, source, number = family_of(program), source_of(program), 128 * soundfont + program
    instrument = f"{family}_{source}_{number:03d}"
    entries = {}
    for (pitch, velocity), wave in zip(keys, waves, strict=True):
        if abs(wave).max() < 2 / 32_768:  # the instrument does not reach this key
            continue
        name = f"{instrument}-{pitch:03d}-{velocity:03d}"
        audio.write(folder / "audio" / f"{name}.wav", wave, sample_rate=SAMPLE_RATE)
        entries[name] = {
            "note": (number * 128 + pitch) * 128 + velocity,
            "note_str": name,
            "instrument": number,
            "instrument_str": instrument,
            "pitch": pitch,
            "velocity": velocity,
            "sample_rate": SAMPLE_RATE,
            "qualities": [0] * len(QUALITIES),
            "qualities_str": [],
            "instrument_family": FAMILIES.index(family),
            "instrument_family_str": family,
            "instrument_source": SOURCES.index(source),
            "instrument_source_str": source,
        }
    return entries
