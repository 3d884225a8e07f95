"""Blocks of Fourier transforms: exact both ways, in the original's layout and in two of half the size."""

import dataclasses

import jax
import numpy as np
import pytest

from mgen import audio
from mgen.contracts import Lasting
from mgen.features import FftBlocks, LogMel

ORIGINAL = FftBlocks(44_100, 40, 11_025, "full", scale=105.0, tilt=0.0)
KEY = jax.random.key(0)


def wave_of(features, *batch, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (*batch, features.samples)).astype(np.float32)


@pytest.mark.parametrize("layout", ["lapped", "half", "full"])
@pytest.mark.parametrize("block", [6, 7, 512])
@pytest.mark.parametrize("tilt", [0.0, 0.75])
def test_inverse_is_exact(layout, block, tilt):
    block += layout == "lapped" and block % 2
    features = FftBlocks(22_050, 9, block, layout, tilt=tilt)
    wave = wave_of(features, 2, 3)
    encoded = features.encode(wave)
    assert encoded.shape == (2, 3, *features.shape)
    np.testing.assert_allclose(features.decode(encoded, KEY), wave, atol=1e-5)


def test_the_originals_blocks():
    """Real and imaginary part of an unnormalised FFT of 11,025 samples: 40 x 22,050 numbers of ten seconds."""
    assert ORIGINAL.shape == (40, 22_050) and ORIGINAL.samples == 441_000
    wave = wave_of(ORIGINAL)
    expected = np.fft.fft(wave.reshape(40, 11_025))
    np.testing.assert_allclose(
        ORIGINAL.encode(wave),
        np.concatenate([expected.real, expected.imag], axis=1),
        atol=1e-5 * np.abs(expected).max(),
    )
    np.testing.assert_allclose(ORIGINAL.decode(ORIGINAL.encode(wave), KEY), wave, atol=1e-5)


def test_half_the_size_says_the_same():
    full = FftBlocks(8_000, 4, 100, "full", tilt=0.0)
    half = dataclasses.replace(full, layout="half")
    wave = wave_of(full)
    whole, own = np.asarray(full.encode(wave)), np.asarray(half.encode(wave))
    assert half.values == full.values // 2 == 100
    np.testing.assert_allclose(own[:, 0], whole[:, 0], atol=1e-4)
    np.testing.assert_allclose(own[:, 1:50], np.sqrt(2) * whole[:, 1:50], atol=1e-4)
    np.testing.assert_allclose(own[:, 51:], np.sqrt(2) * whole[:, 101:150], atol=1e-4)


@pytest.mark.parametrize("layout", ["lapped", "half", "full"])
def test_frequencies_are_those_of_the_values(layout):
    features = FftBlocks(8_000, 12, 200, layout, tilt=0.0)
    tone = np.sin(2 * np.pi * 1_010 * np.arange(features.samples) / 8_000).astype(np.float32)
    power = np.square(features.encode(tone))[2:-2].sum(axis=0)
    assert abs(features.frequencies[np.argmax(power)] - 1_010) <= 20
    assert np.sum(power[np.abs(features.frequencies - 1_010) < 100]) > 0.9 * np.sum(power)


def test_white_noise_is_as_loud_in_all_values_but_for_the_fixed_gain():
    features = FftBlocks(22_050, 400, 64, tilt=0.75, scale=10.0)
    encoded = np.asarray(
        features.encode(0.1 * np.random.default_rng(0).normal(size=features.samples).astype(np.float32))
    )
    expected = (np.maximum(features.frequencies, 100) / 1000) ** 0.75
    np.testing.assert_allclose(encoded.std(axis=0), expected, rtol=0.2)


def test_music_is_of_about_one_size(real_audio):
    """So that a network sees the top of the spectrum as well as the bottom."""
    features = FftBlocks()
    wave = audio.read(real_audio / "music" / "vibe_ace.ogg", sample_rate=22_050)[: features.samples]
    wave = wave * 0.1 / np.sqrt(np.mean(wave**2))
    spread = np.asarray(features.encode(wave)).std(axis=0)
    low, high = spread[features.frequencies < 400].mean(), spread[features.frequencies > 4_000].mean()
    plain = np.asarray(dataclasses.replace(features, tilt=0.0).encode(wave)).std(axis=0)
    raw_low, raw_high = plain[features.frequencies < 400].mean(), plain[features.frequencies > 4_000].mean()
    assert 0.3 < np.sqrt(np.mean(spread**2)) < 3
    assert high / low > 10 * raw_high / raw_low


@pytest.mark.parametrize("features", [FftBlocks(), FftBlocks(layout="half"), LogMel()])
def test_can_be_of_any_length(features):
    assert isinstance(features, Lasting)
    for seconds in (0.5, 3.3, 60.0):
        longer = features.lasting(seconds)
        step = features.block if isinstance(features, FftBlocks) else features.hop_length
        assert 0 <= longer.samples - seconds * features.sample_rate < step
        assert longer.shape[1:] == features.shape[1:] and type(longer) is type(features)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blocks": 1}, "features.blocks: expected at least 2"),
        ({"block": 1}, "features.block: expected at least 2"),
        ({"block": 513}, "features.block: expected an even number for lapped blocks, got 513"),
        ({"layout": "quarter"}, "features.layout: expected lapped, half or full, got 'quarter'"),
        ({"scale": 0.0}, "features.scale: expected more than 0"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        FftBlocks(**fields)


def test_other_lengths_are_refused():
    features = FftBlocks(8_000, 4, 16)
    with pytest.raises(ValueError, match="wave"):
        features.encode(np.zeros(47, np.float32))
    with pytest.raises(ValueError, match="features"):
        features.decode(np.zeros((4, 17), np.float32), KEY)
