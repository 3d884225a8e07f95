"""What every metric refuses, and that clips are measured one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgen.metrics import clips


def test_what_is_right_passes_as_float32():
    for wave in (np.ones((2, 3), np.float64), jnp.ones((2, 3)), np.ones((0, 3), np.float16)):
        ours = clips.check_clips(wave)
        assert ours.dtype == jnp.float32 and ours.shape == wave.shape


@pytest.mark.parametrize(
    "wave, message",
    [
        (np.float32(0), r"wave: expected \[\.\.\., samples\], got a scalar; give at least one axis"),
        (np.zeros(9, np.int16), r"wave: expected floats in \[-1, 1\], got int16; scale and convert it first"),
        (np.zeros((9, 4)), "wave: 4 samples are too few; give at least 5, or smaller frames"),
        (np.full(9, np.inf), "^wave: holds NaN or infinity; repair it or leave it out"),
        (jnp.full(9, -jnp.inf), "^wave: holds NaN or infinity; repair it or leave it out"),
        (
            np.where(np.eye(6).reshape(2, 3, 6)[..., :5] * [[[0], [0], [1]]], np.nan, 0),
            r"wave: holds NaN or infinity in 1 of 6 clips, first \(0, 2\); repair it or leave it out",
        ),
    ],
)
def test_refusals(wave, message):
    with pytest.raises(ValueError, match=message):
        clips.check_clips(wave, shortest=5)


def test_one_by_one_keeps_leading_axes():
    wave = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    total, doubled = clips.one_by_one(lambda a, b: (jnp.sum(a + b), 2 * a), wave, wave)
    np.testing.assert_allclose(total, 2 * wave.sum(-1), rtol=1e-6)
    np.testing.assert_array_equal(doubled, 2 * wave)
    assert clips.one_by_one(jnp.sum, wave[0, 0]).shape == ()
    assert clips.one_by_one(jnp.cumsum, wave[:, :0]).shape == (2, 0, 8)


def test_a_broken_clip_has_no_number_where_it_cannot_be_refused():
    wave = np.zeros((3, 8), np.float32)
    wave[1, 2] = np.nan
    never = jax.jit(lambda wave: clips.one_by_one(lambda clip: jnp.mean(clip > 1), clips.check_clips(wave)))
    np.testing.assert_array_equal(never(wave), [0, np.nan, 0])
