"""Where a song repeats: the piece that comes again later, which is often its chorus."""

from __future__ import annotations

import numpy as np

from mgen.data.cache import Decoded, remembered
from mgen.data.host import on_host
from mgen.dsp import mel_filters, stft

#: Raise it when another place is found in the same sound.
VERSION = 1
_BLOCK_S = 0.25
_FRAMES = 2  # of a block
_FRAME_S = 0.2  # as long as neighbouring semitones of the low notes need to be told apart
_BANDS = 24
_FLOOR_DB = 60.0  # below the loudest block is silence, which is like nothing
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 2000.0  # of the chroma
_AS_GOOD = 0.02  # a start that is repeated nearly as well as the best comes before it


def repetition(wave: np.ndarray, *, sample_rate: int, length_s: float) -> float:
    """Where the piece of a song starts that comes again later, as like as any does.

    Every quarter of a second is described by its chroma and its mel spectrum. Each start is judged by the mean
    likeness of the `length_s` from there and the `length_s` from a later time on, at the best of all times that are at
    least `length_s` later.

    Args:
      wave: float32 [samples].
      sample_rate: Hz.
      length_s: seconds of the piece.

    Returns:
      Seconds; 0 where the wave is shorter than two pieces. The first of several starts that are about as good.

    Raises:
      ValueError: length_s is not above 0.

    Reference: Foote, "Visualizing music and audio using self-similarity", ACM Multimedia 1999; Bartsch & Wakefield,
      "Audio thumbnailing of popular music using chroma-based representations", IEEE Trans. Multimedia 7(1), 2005.
    """
    if not length_s > 0:
        raise ValueError(f"length_s={length_s}: expected seconds above 0")
    if len(wave) < 2 * length_s * sample_rate:
        return 0.0
    described = _described(wave, sample_rate)
    length = max(1, round(length_s / _BLOCK_S))
    starts = len(described) - 2 * length + 1
    if starts < 1:
        return 0.0
    best = np.full(starts, -1.0)
    for lag in range(length, len(described) - length + 1):
        likeness = np.einsum("td,td->t", described[:-lag], described[lag:])
        sums = np.cumsum(np.append(0.0, likeness))
        means = (sums[length:] - sums[:-length]) / length
        count = min(starts, len(means))
        best[:count] = np.maximum(best[:count], means[:count])
    return float(np.argmax(best >= best.max() - _AS_GOOD)) * _BLOCK_S


def repeated_start(sound: Decoded, *, length_s: float) -> float:
    """`repetition` of a decoded file, found once and then remembered."""
    question = f"repetition {VERSION} {length_s:.4f}"

    def find() -> float:
        return repetition(sound.read(0, sound.length), sample_rate=sound.sample_rate, length_s=length_s)

    return remembered(sound, question, find)


def _described(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Each block, float32 [blocks, 12 + bands]: the product of two is their likeness, at most 1."""
    n_fft = 2 ** round(np.log2(_FRAME_S * sample_rate))
    hop = round(_BLOCK_S / _FRAMES * sample_rate)
    blocks = len(wave) // (hop * _FRAMES)
    # Of a power of two, so that few lengths are compiled for.
    padded = np.pad(wave, (0, 2 ** int(np.ceil(np.log2(len(wave)))) - len(wave)))
    with on_host():
        spectrum = np.asarray(stft(padded, n_fft=n_fft, hop_length=hop))[: blocks * _FRAMES]
    power = np.square(np.abs(spectrum)).reshape(blocks, _FRAMES, -1).mean(axis=1)
    mel = power @ mel_filters(sample_rate=sample_rate, n_fft=n_fft, n_mels=_BANDS)
    chroma = np.sqrt(power) @ _chroma_filters(sample_rate, n_fft)
    total = mel.sum(axis=1)
    audible = (total > total.max() * 10 ** (-_FLOOR_DB / 10)).astype(np.float32)
    decibels = 10 * np.log10(np.maximum(mel, max(mel.max(), 1e-30) * 10 ** (-_FLOOR_DB / 10)))
    # Less what all blocks have in common, which says nothing of which of them are alike.
    bands = _unit(decibels - decibels[audible > 0].mean(axis=0) if audible.any() else decibels)
    classes = _unit(chroma - chroma.mean(axis=1, keepdims=True))
    return (np.hstack([classes, bands]) * (np.sqrt(0.5) * audible[:, None])).astype(np.float32)


def _chroma_filters(sample_rate: int, n_fft: int) -> np.ndarray:
    """How much each bin belongs to each of the twelve classes of pitch, float64 [bins, 12]; a class sums to 1."""
    hertz = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    heard = (hertz >= _LOWEST_HZ) & (hertz <= _HIGHEST_HZ)
    semitone = 12 * np.log2(np.where(heard, hertz, 440.0) / 440.0)
    away = (semitone[:, None] - np.arange(12) + 6) % 12 - 6
    filters = np.exp(-0.5 * np.square(away / 0.5)) * heard[:, None]
    return filters / filters.sum(axis=0)  # so that noise is of no class more than of another


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, 1e-9)
