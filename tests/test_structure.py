"""Where a song repeats."""

import numpy as np
import pytest

from mgen.data.structure import repetition
from mgen.data.tones import render

RATE = 10_000


def music(seconds, **factors):
    return render({"tempo": 120, **factors}, sample_rate=RATE, samples=round(seconds * RATE))


def noise(seconds, seed):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def starts(*pieces):
    """A song of pieces, and the seconds at which each starts."""
    return np.concatenate(pieces), np.cumsum([0.0, *(len(piece) / RATE for piece in pieces)])


def test_the_piece_that_comes_again_is_found():
    """A B A C A and others; the unrepeated are noise, and music of another pattern and key. To half a second."""
    a, b, c = music(8, pattern="house", key="A"), noise(6.1, 0), music(7.7, pattern="lofi", key="D#")
    d = noise(5.0, 1)
    for pieces, first in (((a, b, a, c, a), 0), ((b, a, c, a, d), 1), ((c, b, a, d, a), 2), ((d, a, c, b, a), 1)):
        song, at = starts(*pieces)
        assert abs(repetition(song, sample_rate=RATE, length_s=8.0) - at[first]) <= 0.5


def test_level_and_silence_do_not_matter():
    """What is repeated softly is repeated, and two silences are not alike: there is nothing in them."""
    a, silence = music(6, pattern="breakbeat", key="E"), np.zeros(7 * RATE, np.float32)
    song, at = starts(silence, noise(6, 2), a, silence, 0.5 * a, noise(3, 3))
    assert abs(repetition(song, sample_rate=RATE, length_s=6.0) - at[2]) <= 0.5
    assert repetition(np.zeros(20 * RATE, np.float32), sample_rate=RATE, length_s=5.0) == 0


def test_too_short_to_repeat():
    wave = music(9.9)
    assert repetition(wave, sample_rate=RATE, length_s=5.0) == 0
    assert repetition(wave[:100], sample_rate=RATE, length_s=5.0) == 0
    assert repetition(noise(0.3, 0), sample_rate=RATE, length_s=0.15) == 0


def test_no_length():
    with pytest.raises(ValueError, match=r"length_s=0: expected seconds above 0"):
        repetition(noise(1, 0), sample_rate=RATE, length_s=0)
