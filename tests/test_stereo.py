"""Stereo from mono: what left and right have in common, and what must stay in the middle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen import audio, dsp

RATE = 22_050


def widened(wave, seed=0, **options):
    return np.asarray(dsp.widen(wave, rng=jax.random.key(seed), sample_rate=RATE, **options))


def correlation(stereo):
    return np.corrcoef(stereo[..., 0].ravel(), stereo[..., 1].ravel())[0, 1]


@pytest.mark.parametrize("width", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_left_and_right_together_are_the_mono_wave(noise, seed, width):
    made = widened(noise, seed, width=width)
    assert made.shape == (3, 22_050, 2) and made.dtype == np.float32
    np.testing.assert_allclose(made.mean(axis=-1), noise, atol=1e-6)
    peak = np.abs(noise).max(axis=-1)
    assert (np.abs(made).max(axis=(1, 2)) <= (1 + width) * peak * (1 + 1e-6)).all()


@pytest.mark.parametrize("width", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_noise_is_as_wide_as_asked(noise, seed, width):
    made = widened(noise, seed, width=width)
    # Noise has some bass, and its side is made a little quieter where its peak would be the larger.
    assert -0.03 < correlation(made) - (1 - width**2) / (1 + width**2) < 0.1
    left, right = made.std(axis=(0, 1))
    assert left == pytest.approx(right, rel=0.03)


def test_music_is_wider_than_mono_and_not_apart(real_audio):
    for path in sorted((real_audio / "music").iterdir())[:12]:
        if path.suffix in audio.SUFFIXES:
            wave = audio.read(path, sample_rate=RATE, duration_s=6)
            made = widened(wave)
            np.testing.assert_allclose(made.mean(axis=-1), wave, atol=1e-6)
            assert 0.55 < correlation(made) < 0.995, path.name
            assert np.abs(made).max() <= 1.5001 * np.abs(wave).max()


@pytest.mark.parametrize("hz, most_db", [(60, -60), (100, -45), (150, -19), (400, 1)])
def test_bass_stays_in_the_middle(hz, most_db):
    wave = np.sin(2 * np.pi * hz / RATE * np.arange(2 * RATE)).astype(np.float32)
    inner = widened(wave, width=1)[RATE // 2 : -RATE // 2]
    side = (inner[:, 0] - inner[:, 1]) / 2
    level = 20 * np.log10(side.std() / inner.mean(axis=-1).std())
    assert level < most_db
    if hz == 400:
        assert level > -4, "where there is no bass the side is as loud as the middle, but for its held peak"


def test_a_click_comes_from_the_middle_first():
    wave = np.zeros(RATE, np.float32)
    wave[5_000] = 1
    made = widened(wave, width=1)
    side = np.abs(made[:, 0] - made[:, 1]) / 2
    assert (side**2)[: 5_000 + 60].sum() < 0.05 * (side**2).sum()  # but for what the high-pass without delay rings
    assert (side**2)[5_000 + RATE // 10 :].sum() < 1e-3 * (side**2).sum()


def test_silence_batches_tracing_and_gradients(noise):
    assert not widened(np.zeros((2, 5_000), np.float32)).any()
    wave = noise * np.float32([[10], [1], [0]])
    together = widened(wave)
    for item in range(3):
        np.testing.assert_allclose(together[item], widened(wave[item]), atol=1e-5 * max(1e-6, np.abs(wave[item]).max()))
    assert np.abs(together - widened(wave, seed=1)).max() > 0.1
    traced = jax.jit(lambda wave, rng: dsp.widen(wave, rng=rng, sample_rate=RATE))(wave, jax.random.key(0))
    np.testing.assert_allclose(traced, together, atol=1e-5)
    for sound in (wave[1], wave[2]):
        gradient = jax.grad(lambda wave: jnp.sum((dsp.widen(wave, rng=jax.random.key(0), sample_rate=RATE) - 1) ** 2))(
            sound
        )
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0.1


@pytest.mark.parametrize(
    ("wave", "width", "message"),
    [
        (np.zeros(9), 1.5, r"width=1.5: expected 0 \(mono\) to 1"),
        (np.zeros(9), -0.1, r"width=-0.1: expected 0 \(mono\) to 1"),
        (np.zeros(9, int), 0.5, r"wave: expected floats in \[-1, 1\], got int"),
        (np.zeros(0), 0.5, r"wave: expected at least 1 sample, got \(0,\)"),
        (np.float32(0), 0.5, r"wave: expected \[..., samples\], got \(\)"),
    ],
)
def test_refusals(wave, width, message):
    with pytest.raises(ValueError, match=message):
        widened(wave, width=width)
