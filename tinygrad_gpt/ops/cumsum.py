"""Running sum along an axis.

    x     float array
    axis  the axis along which the sum runs
    y     shaped like x

    y_i = Σ_{j <= i} x_j

x_j is in y_j and in every later sum, with slope 1, so that its gradient is the sum of their dy:

    dx_j = Σ_{i >= j} dy_i

This is a running sum too, from the end: turn dy round, sum, and turn the result back. (As a matrix the running sum is
a lower triangle of ones, and its transpose, the backward of every linear map, the upper one.)
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats, normalize_axis


class Saved(NamedTuple):
    axis: int


def check(x, *, axis):
    """Raises TypeError for integers, ValueError for an axis that x lacks."""
    check_floats("cumsum", x)
    normalize_axis("cumsum", axis, x.ndim)


def forward(x, *, axis):
    axis = normalize_axis("cumsum", axis, x.ndim)
    return np.cumsum(x, axis=axis), Saved(axis)


def backward(dy, saved):
    turned_round = (slice(None),) * saved.axis + (slice(None, None, -1),)
    # y = cumsum(x)
    return (np.cumsum(dy[turned_round], axis=saved.axis)[turned_round],)
