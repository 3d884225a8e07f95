"""The instruments of `tones`, which play its `grooves`: labels in, stems out, every function pure and numpy only.

Nothing here aliases: a pitched sound is a sum of harmonics below Nyquist, either one cycle read as a table (bass, lead)
or a whole chord written into one spectrum and transformed back, which makes the number of partials free.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from mgen.data.grooves import Groove

_TABLE = 2048
#: The lead's phrase of two bars: beat, length in beats, semitones from the register before snapping to the scale.
_PHRASE = (
    *((0.0, 0.8, 0), (1.0, 0.4, 3), (1.5, 0.4, 5), (2.0, 1.5, 2)),
    *((4.0, 0.8, 0), (5.0, 0.4, -3), (5.5, 0.4, -5), (6.0, 1.5, 0)),
)


@dataclasses.dataclass(frozen=True)
class Clock:
    """Turns beats into samples, and is the one place where variation moves or accents a note."""

    sample_rate: int
    samples: int
    tempo: float
    swing: float = 0.5
    variation: float = 0.0
    rng: np.random.Generator | None = None  # only read where variation > 0

    def length(self, beats: float) -> int:
        """Samples in `beats`."""
        return round(beats * 60 / self.tempo * self.sample_rate)

    def hits(self, beats: list[float], period: float) -> Iterator[tuple[int, int, int, float]]:
        """Every onset in the clip of a figure repeated each `period` beats: (repeat, event, first sample, velocity)."""
        for repeat in range(1 + self.samples // self.length(period)):
            for event, beat in enumerate(beats):
                whole, part = divmod(beat, 1.0)
                swung = 2 * part * self.swing if part < 0.5 else 1 - 2 * (1 - part) * (1 - self.swing)
                start = self.length(repeat * period + whole + swung)
                velocity = 1.0
                if self.variation and self.rng is not None:
                    start += round(self.rng.normal(0, 0.008) * self.variation * self.sample_rate)
                    velocity = float(np.clip(1 + 0.3 * self.variation * self.rng.normal(), 0.2, 1.6))
                if start < self.samples:
                    yield repeat, event, max(start, 0), velocity


def _add(track: np.ndarray, sound: np.ndarray, start: int, gain: float) -> None:
    """Mixes `sound` into `track` from sample `start` on, cut at the end of the track."""
    part = track[start : start + len(sound)]
    part += np.float32(gain) * sound[: len(part)]


def frequency(midi: float) -> float:
    """Hz of a MIDI note number."""
    return 440.0 * 2 ** ((midi - 69) / 12)


def _low_pass(f: np.ndarray, cutoff_hz: float, fundamental: float) -> np.ndarray:
    """Second-order gain; it opens up to the fundamental, so that a dark high note loses overtones and not itself."""
    return 1 / np.sqrt(1 + (f / np.hypot(cutoff_hz, fundamental)) ** 4)


def _envelope(samples: int, sample_rate: int, attack_s: float, decay_s: float, release_s: float = 0.02) -> np.ndarray:
    """Linear attack, exponential decay and a linear release that ends at the last sample."""
    t = np.arange(samples, dtype=np.float32) / sample_rate
    gate = np.minimum(t / attack_s, (samples / sample_rate - t) / release_s)
    return np.exp(-t / np.float32(decay_s)) * np.minimum(gate, 1).astype(np.float32)


def _cycle(midi: float, slope: float, cutoff_hz: float, samples: int, sample_rate: int) -> np.ndarray:
    """A steady low-passed tone whose harmonics fall as n ** -slope, read from one band-limited cycle."""
    f = frequency(midi)
    n = np.arange(1, 1 + min(64, max(1, int(0.48 * sample_rate / f))))
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex64)
    spectrum[n] = -0.5j * _TABLE * n**-slope * _low_pass(n * f, cutoff_hz, f)
    table = np.fft.irfft(spectrum).astype(np.float32)
    phase = np.arange(samples) * (f * _TABLE / sample_rate)
    index = phase.astype(np.int64)
    fraction = (phase - index).astype(np.float32)
    low = table[index % _TABLE]
    return low + fraction * (table[(index + 1) % _TABLE] - low)


# --- Drums ------------------------------------------------------------------------------------------------------------


def _noise(duration_s: float, low_hz: float, high_hz: float, sample_rate: int) -> np.ndarray:
    """The same band of noise each time, RMS 1: a drum machine's sample, not a new draw for every hit."""
    size = 1 << int(np.ceil(np.log2(duration_s * sample_rate)))
    white = np.fft.rfft(np.random.default_rng(1).standard_normal(size, np.float32))
    f = np.fft.rfftfreq(size, 1 / sample_rate) + 1e-3
    low_hz = min(low_hz, 0.3 * sample_rate)  # at 8 kHz a hi-hat still has somewhere to be
    white *= 1 / np.sqrt((1 + (low_hz / f) ** 8) * (1 + (f / high_hz) ** 8))
    band = np.fft.irfft(white).astype(np.float32)
    return band / np.sqrt(np.mean(band**2))


def drum_sound(name: str, sample_rate: int) -> np.ndarray:
    """One hit of a drum, float32 [samples], peak about 1."""
    t = np.arange(int(0.4 * sample_rate), dtype=np.float32) / sample_rate
    if name in ("kick", "soft_kick"):
        end, sweep, fall = (50, 190, 0.028) if name == "kick" else (55, 70, 0.04)
        cycles = end * t + sweep * fall * (1 - np.exp(-t / fall))
        return np.sin(2 * np.pi * cycles) * np.exp(-t / 0.13) * np.minimum((t[-1] - t) / 0.05, 1)
    if name == "clap":  # three hands and the room
        late = [
            np.where(t >= at, np.exp(-np.maximum(t - at, 0) / fall), 0) for at, fall in ((0, 0.006), (0.011, 0.006))
        ]
        room = np.where(t >= 0.022, np.exp(-np.maximum(t - 0.022, 0) / 0.06), 0)
        return 0.33 * (_noise(0.4, 900, 5000, sample_rate)[: len(t)] * (late[0] + late[1] + room)).astype(np.float32)
    if name == "snare":
        body = np.sin(2 * np.pi * (185 * t + 1.2 * (1 - np.exp(-t / 0.01)))) * np.exp(-t / 0.07)
        return 0.5 * body + 0.3 * _noise(0.4, 1200, 9000, sample_rate)[: len(t)] * np.exp(-t / 0.09)
    if name == "rim":
        tick = _noise(0.4, 700, 3500, sample_rate)[: len(t)] * np.exp(-t / 0.05)
        return 0.25 * tick + 0.35 * np.sin(2 * np.pi * 210 * t) * np.exp(-t / 0.05)
    fall = 0.11 if name == "open_hat" else 0.025
    t = t[: int(min(0.4, 6 * fall) * sample_rate)]
    return 0.3 * _noise(0.4, 6500, 14_000, sample_rate)[: len(t)] * np.exp(-t / fall)


def drum_stem(groove: Groove, clock: Clock) -> np.ndarray:
    """The kit, and the record's hiss where the groove has one, float32 [samples]."""
    track = np.zeros(clock.samples, np.float32)
    loudness = {"kick": 0.62, "soft_kick": 0.55, "clap": 0.5, "snare": 0.5, "rim": 0.5, "hat": 0.3, "open_hat": 0.3}
    for name, events in groove.drums.items():
        sound = drum_sound(name, clock.sample_rate) * np.float32(loudness[name])
        for _, event, start, velocity in clock.hits([beat for beat, _ in events], 4):
            _add(track, sound, start, events[event][1] * velocity)
    if groove.hiss:
        dust = _noise(1.4, 1500, 7000, clock.sample_rate)
        track += np.float32(groove.hiss) * np.resize(dust, clock.samples)
    return track


# --- Pitched stems ----------------------------------------------------------------------------------------------------


def bass_stem(groove: Groove, clock: Clock, tonic: int, cutoff_hz: float) -> np.ndarray:
    """A mono synth on the roots of the chords, between 55 and 104 Hz, float32 [samples]."""
    track = np.zeros(clock.samples, np.float32)
    longest = clock.length(max(length for _, length in groove.bass))
    tones: dict[int, np.ndarray] = {}
    for bar, event, start, velocity in clock.hits([beat for beat, _ in groove.bass], 4):
        root = groove.progression[bar % len(groove.progression)][0]
        if root not in tones:
            midi = 33 + (tonic + root - 33) % 12
            tones[root] = _cycle(midi, groove.bass_slope, cutoff_hz, longest, clock.sample_rate)
        samples = clock.length(groove.bass[event][1])
        shape = _envelope(samples, clock.sample_rate, attack_s=0.005, decay_s=0.5)
        _add(track, tones[root][:samples] * shape, start, 0.21 * velocity)
    return track


def lead_stem(groove: Groove, clock: Clock, tonic: int, cutoff_hz: float, pitch: float) -> np.ndarray:
    """A phrase of two bars about MIDI note `pitch`, in the key's pentatonic, with an echo, float32 [samples]."""
    track = np.zeros(clock.samples, np.float32)
    tones: dict[tuple[int, float], np.ndarray] = {}
    notes = np.array([note for note in range(128) if (note - tonic) % 12 in groove.scale])
    for _, event, start, velocity in clock.hits([beat for beat, _, _ in _PHRASE], 8):
        _, length, offset = _PHRASE[event]
        if clock.variation and clock.rng is not None and clock.rng.random() < clock.variation:
            offset = int(clock.rng.integers(-7, 8))
        midi = int(notes[np.argmin(np.abs(notes - pitch - offset))])
        if (midi, length) not in tones:
            samples = clock.length(length)
            shape = _envelope(samples, clock.sample_rate, attack_s=0.008, decay_s=0.4)
            tones[midi, length] = shape * _cycle(midi, groove.lead_slope, cutoff_hz, samples, clock.sample_rate)
        _add(track, tones[midi, length], start, 0.22 * velocity)
    _add(track, track.copy(), clock.length(0.75), 0.25)
    return track


def _fm_harmonics(index: float) -> np.ndarray:
    """Complex amplitudes of harmonics 1.. of sin(p + index sin p), two-operator FM at 1:1."""
    p = np.arange(128) * (2 * np.pi / 128)
    return np.fft.rfft(np.sin(p + index * np.sin(p)))[1:40] / 64


def chord_loops(
    midi: list[int], cutoff_hz: float, sample_rate: int, *, electric_piano: bool, slope: float = 1.0
) -> np.ndarray:
    """A chord as two loops that repeat without a seam, float32 [2, loop]: the lasting body and the bright attack.

    Every partial is rounded to the nearest bin of the loop, at most a fifth of a hertz, less than the detuning.
    """
    size = 1 << int(np.ceil(np.log2(2.5 * sample_rate)))
    spectrum = np.zeros((2, size // 2 + 1), np.complex64)
    cents = (0.0,) if electric_piano else (-7.0, 0.0, 6.0)
    for layer, (fm, opening) in enumerate(((0.7, 0.8), (2.2, 1.6))):
        for number, note in enumerate(midi):
            for voice, detune in enumerate(cents):
                f = frequency(note + detune / 100)
                n = np.arange(1, 1 + min(39 if electric_piano else 80, int(0.48 * sample_rate / f)))
                level = _fm_harmonics(fm)[: len(n)] if electric_piano else 0.45 / n**slope
                # Oscillators that all start at phase 0 would meet in one tall peak at every onset.
                turn = np.exp(2j * np.pi * 0.381966 * (3 * number + voice) * n)
                level = level * turn * _low_pass(n * f, opening * cutoff_hz, f)
                np.add.at(spectrum[layer], np.rint(n * f * size / sample_rate).astype(int), level)
    return np.fft.irfft(spectrum * np.float32(size / 2), axis=-1).astype(np.float32)


def chord_stem(groove: Groove, clock: Clock, tonic: int, cutoff_hz: float) -> np.ndarray:
    """Four-note chords in close position about middle C, one a bar, float32 [samples]."""
    track = np.zeros(clock.samples, np.float32)
    loops: dict[int, np.ndarray] = {}
    sounds: dict[tuple[int, float], np.ndarray] = {}
    for bar, event, start, velocity in clock.hits([beat for beat, _ in groove.chords], 4):
        chord, length = bar % len(groove.progression), groove.chords[event][1]
        if chord not in loops:
            midi = [55 + (tonic + offset - 55) % 12 for offset in groove.progression[chord]]
            timbre = {"electric_piano": groove.electric_piano, "slope": groove.chord_slope}
            loops[chord] = chord_loops(midi, cutoff_hz, clock.sample_rate, **timbre)
        if (chord, length) not in sounds:
            samples = clock.length(length)
            times = {"attack_s": groove.attack_s, "release_s": 0.05}
            body = _envelope(samples, clock.sample_rate, decay_s=groove.decay_s, **times)
            attack = _envelope(samples, clock.sample_rate, decay_s=0.15 * groove.decay_s, **times)
            whole = np.take(loops[chord], np.arange(samples), axis=1, mode="wrap")
            sounds[chord, length] = whole[0] * body + 0.6 * whole[1] * attack
        _add(track, sounds[chord, length], start, 0.085 * groove.chord_gain * velocity)
    return track
