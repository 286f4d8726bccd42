"""The larger of two arrays, elementwise with broadcasting: y = max(a, b).

    a, b  float arrays whose shapes broadcast
    y     their broadcast shape

Where a is larger, y moves with a alone and dy goes to a; where b is, to b. At a tie the function has a kink and no
derivative; each side gets half of dy, the mean of the two one-sided answers, so that swapping a and b swaps the
gradients. Where one of them is nan, so is y, and dy goes to both, as in PyTorch.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_broadcast, check_floats, sum_to_shape


class Saved(NamedTuple):
    a: Array
    b: Array


def check(a, b):
    """Raises TypeError for integers, ValueError for shapes that don't broadcast."""
    check_floats("maximum", a, b)
    check_broadcast("maximum", a, b)


def forward(a, b):
    return np.maximum(a, b), Saved(a, b)


def backward(dy, saved):
    a, b = saved
    # y = maximum(a, b)
    share = np.where(a == b, 0.5 * dy, dy)
    da, db = np.where(a < b, 0.0, share), np.where(a > b, 0.0, share)
    return sum_to_shape(da, a.shape), sum_to_shape(db, b.shape)
