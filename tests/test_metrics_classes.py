import numpy as np
import pytest

from mgen.metrics.classes import classified

LIKELY = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]])


def test_by_hand():
    """Track a is right on average though one of its segments is not; c is wrong."""
    found = classified(LIKELY, [0, 0, 1, 1, 1, 0], ["a", "a", "b", "b", "b", "c"])
    assert found.segment == pytest.approx(3 / 6)
    assert (found.track, found.tracks) == (pytest.approx(2 / 3), 3)
    np.testing.assert_array_equal(found.confusion, [[1, 2], [1, 2]])
    assert found.confusion.sum() == 6
    assert 0 < found.low < 2 / 3 < found.high < 1


def test_interval_is_wilsons():
    """Of 10 of 10 the interval is 72 to 100 %."""
    found = classified(np.tile([[1.0, 0.0]], (10, 1)), [0] * 10, [str(n) for n in range(10)])
    assert found.track == 1 and found.high == 1
    assert found.low == pytest.approx(0.7225, abs=1e-3)


def test_refuses():
    with pytest.raises(ValueError, match="as many of each, got 6, 5 and 6"):
        classified(LIKELY, [0] * 5, ["a"] * 6)
    with pytest.raises(ValueError, match="tracks: a is of two classes"):
        classified(LIKELY, [0, 1, 0, 0, 0, 0], ["a"] * 6)
