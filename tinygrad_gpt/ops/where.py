"""Choose between two arrays, elementwise with broadcasting: y = a where condition holds, else b.

    condition  boolean array
    a, b       arrays of one dtype
    y          the broadcast shape of all three

dy goes to the side that was chosen and 0 to the other, then back to that side's shape. The zeros are chosen too, not
multiplied in: 0 · inf would be nan. The condition is not differentiable and has no gradient. It is saved as a copy: y
was chosen by what it is now.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_broadcast, sum_to_shape


class Saved(NamedTuple):
    condition: Array
    a_shape: tuple[int, ...]
    b_shape: tuple[int, ...]


def check(condition, a, b):
    """Raises TypeError for a condition that is not boolean or sides of two dtypes, ValueError for shapes."""
    if condition.dtype != bool:
        raise TypeError(f"where: expected a boolean condition, got {condition.dtype}: write for example `x > 0`")
    if a.dtype != b.dtype:
        raise TypeError(f"where: expected two sides of one dtype, got {a.dtype} and {b.dtype}: convert with .astype()")
    check_broadcast("where", condition, a, b)


def forward(condition, a, b):
    return np.where(condition, a, b), Saved(condition.copy(), a.shape, b.shape)


def backward(dy, saved):
    condition, a_shape, b_shape = saved
    # y = where(condition, a, b)
    da = np.where(condition, dy, 0.0)
    db = np.where(condition, 0.0, dy)
    return None, sum_to_shape(da, a_shape), sum_to_shape(db, b_shape)
