"""Elementwise natural logarithm: y = ln x, for x a float array of any shape.

dy/dx = 1/x, so dx = dy / x. x = 0 gives -inf, as in NumPy, and the slope is infinite and so is the gradient,
dy / 0; x < 0 gives nan.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("log", x)


def forward(x):
    return np.log(x), Saved(x)


def backward(dy, saved):
    x = saved.x
    # y = log(x)
    return (dy / x,)
