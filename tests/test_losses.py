import numpy as np
import pytest

from mgen import losses


def test_known_answers():
    a, b = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 1.0], [2.0, 5.0]])
    assert float(losses.l1(a, b)) == pytest.approx(0.75)


def test_shapes_do_not_broadcast():
    with pytest.raises(ValueError, match="expected two equal shapes"):
        losses.l1(np.zeros((2, 3)), np.zeros((1, 3)))
