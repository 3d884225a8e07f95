"""The glossary of arrays, and the checks that keep a wrong shape from travelling far.

Time comes before frequency and channels come last, everywhere. `...` is any number of leading axes, which every
function treats as independent items.

    name        dtype      shape                       range
    wave        float32    [..., samples]              [-1, 1], mono
    spectrum    complex64  [..., frames, bins]         bins = 1 + n_fft // 2
    magnitude   float32    [..., frames, bins]         >= 0, abs(spectrum)
    power       float32    [..., frames, bins]         >= 0, magnitude ** 2
    mel         float32    [..., frames, bands]        >= 0, power seen through `n_mels` filters
    features    float32    [batch, *item shape]        about [-1, 1], what a model sees
    labels      float32    [batch, labels]             one column a label, in the unit its control names
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: The one small number that keeps divisions and logarithms finite: -100 dB of power below full scale.
EPSILON = 1e-10


def check_same_shape(estimate: Any, target: Any) -> None:
    """Refuses two arrays whose shapes differ, before an operator broadcasts them into nonsense.

    Raises:
      ValueError: the shapes differ; the message holds both.
    """
    if np.shape(estimate) != np.shape(target):
        raise ValueError(f"expected two equal shapes, got {np.shape(estimate)} and {np.shape(target)}")


def check_shape(array: Any, expected: dict[str, int | None], name: str = "array") -> None:
    """Refuses an array whose shape is not the expected one.

    Args:
      array: anything with a shape.
      expected: axis name to its size, in order; None is any size. A first key `...` is any number of leading axes.
      name: what the array is called in the message.

    Raises:
      ValueError: for example `features: expected [batch, frames=128, bins=512], got (4, 512, 128)`.
    """
    shape, sizes = np.shape(array), list(expected.items())
    leading = bool(sizes) and sizes[0][0] == "..."
    sizes = sizes[1:] if leading else sizes
    tail = shape[len(shape) - len(sizes) :] if leading else shape
    if len(tail) == len(sizes) and all(want in (None, got) for got, (_, want) in zip(tail, sizes, strict=True)):
        return
    words = ["..."] * leading + [axis if size is None else f"{axis}={size}" for axis, size in sizes]
    raise ValueError(f"{name}: expected [{', '.join(words)}], got {shape}")
