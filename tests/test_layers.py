import flax.linen as nn
import jax
import numpy as np
import pytest

from mgen.layers import SubPixelConv, pixel_shuffle, shuffle_sizes, sub_pixel_init


@pytest.mark.parametrize(("upscale", "channels"), [(2, 1), (2, 3), (4, 2), (8, 1)])
def test_pixel_shuffle_matches_its_definition(upscale, channels):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, upscale**2 * channels)).astype(np.float32)
    out = np.asarray(pixel_shuffle(x, upscale))
    assert out.shape == (2, 3 * upscale, 5 * upscale, channels)
    for frame in range(3 * upscale):
        for bin in range(5 * upscale):
            cell = (frame % upscale) * upscale + bin % upscale
            expected = x[:, frame // upscale, bin // upscale, cell * channels : (cell + 1) * channels]
            np.testing.assert_array_equal(out[:, frame, bin], expected)


def test_channels_that_do_not_shuffle_are_refused():
    with pytest.raises(ValueError, match=r"channels: 6 is not a multiple of upscale\*\*2 = 4"):
        pixel_shuffle(np.zeros((1, 2, 2, 6)), 2)


def test_sub_pixel_convolution_starts_without_a_checkerboard():
    layer = SubPixelConv(features=2, upscale=4)
    x = np.random.default_rng(1).normal(size=(1, 5, 6, 8)).astype(np.float32)
    out = np.asarray(layer.apply(layer.init(jax.random.key(0), x), x))
    assert out.shape == (1, 20, 24, 2)
    cells = out.reshape(1, 5, 4, 6, 4, 2)
    np.testing.assert_allclose(cells, np.broadcast_to(cells[:, :, :1, :, :1], cells.shape), atol=1e-6)
    assert out.std() > 0.1


@pytest.mark.parametrize(("stride", "features"), [(2, 1), (4, 3), (8, 2)])
def test_a_sub_pixel_convolution_of_one_dimension_starts_without_steps(stride, features):
    layer = nn.Conv(features * stride, (3,), kernel_init=sub_pixel_init(stride, power=1))
    x = np.random.default_rng(1).normal(size=(2, 10, 8)).astype(np.float32)
    out = np.asarray(layer.apply(layer.init(jax.random.key(0), x), x)).reshape(2, 10 * stride, features)
    places = out.reshape(2, 10, stride, features)
    np.testing.assert_allclose(places, np.broadcast_to(places[:, :, :1], places.shape), atol=1e-6)
    assert np.all(np.std(out, axis=(0, 1)) > 0.1)
    assert features == 1 or np.max(abs(out[..., 0] - out[..., 1])) > 0.1, "channels are not one"


@pytest.mark.parametrize("power", [1, 2])
def test_a_sub_pixel_kernel_is_copies_of_one_of_its_base(power):
    drawn = sub_pixel_init(4, nn.initializers.normal(0.2), power=power)(jax.random.key(3), (5, 6, 3 * 4**power))
    kernel = nn.initializers.normal(0.2)(jax.random.key(3), (5, 6, 3))
    np.testing.assert_array_equal(drawn, np.concatenate([kernel] * 4**power, axis=-1))


@pytest.mark.parametrize(("upscale", "grid"), [(2, (256, 64)), (4, (128, 32)), (8, (64, 16)), (64, (8, 2))])
def test_grid_before_the_shuffle(upscale, grid):
    assert shuffle_sizes((512, 128), upscale) == grid


@pytest.mark.parametrize("upscale", [0, 3, 256])
def test_an_upscale_that_does_not_divide_lists_those_that_do(upscale):
    with pytest.raises(
        ValueError, match=f"model.upscale: {upscale} does not divide 512 frames and 128 bins; use one of 1, 2, 4"
    ):
        shuffle_sizes((512, 128), upscale)
