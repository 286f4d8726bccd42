"""Elementwise square root: y = √x, for x a float array of any shape.

From y² = x follows 2y dy/dx = 1, so dx = dy / 2y. At x = 0 the slope is infinite and so is the gradient, dy / 0,
unless dy is 0, which gives nan; x < 0 gives nan, as in NumPy.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    y: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("sqrt", x)


def forward(x):
    y = np.sqrt(x)
    return y, Saved(y)


def backward(dy, saved):
    y = saved.y
    # y = sqrt(x)
    return (dy / (2 * y),)
