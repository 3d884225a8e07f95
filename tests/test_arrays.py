import numpy as np
import pytest

from mgen.arrays import check_same_shape, check_shape


def test_equal_shapes_pass_and_others_are_both_named():
    check_same_shape(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"expected two equal shapes, got \(2, 3\) and \(3,\)"):
        check_same_shape(np.zeros((2, 3)), np.zeros(3))


@pytest.mark.parametrize("shape", [(4, 128, 512), (1, 128, 512)])
def test_any_size_where_none_is_asked(shape):
    check_shape(np.zeros(shape), {"batch": None, "frames": 128, "bins": 512})


@pytest.mark.parametrize("shape", [(128, 512), (2, 128, 512), (2, 2, 128, 512)])
def test_any_leading_axes(shape):
    check_shape(np.zeros(shape), {"...": None, "frames": 128, "bins": 512})


@pytest.mark.parametrize("shape", [(4, 512, 128), (128, 512), (4, 128, 512, 1), ()])
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"features: expected \[batch, frames=128, bins=512\], got"):
        check_shape(np.zeros(shape), {"batch": None, "frames": 128, "bins": 512}, "features")


def test_too_few_axes_are_refused():
    with pytest.raises(ValueError, match=r"wave: expected \[\.\.\., samples=4\], got \(3,\)"):
        check_shape(np.zeros(3), {"...": None, "samples": 4}, "wave")
