"""Elementwise logistic function: y = 1 / (1 + e^-x), for x a float array of any shape.

dy/dx = e^-x / (1 + e^-x)² = y · e^-x / (1 + e^-x) = y (1 - y), so that y is all there is to save.

e^-x overflows for large negative x. Multiplying numerator and denominator by e^x where x < 0 leaves only e^-|x|,
which is at most 1:

    x >= 0:  y = 1 / (1 + e^-|x|)        x < 0:  y = e^-|x| / (1 + e^-|x|)
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    y: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("sigmoid", x)


def forward(x):
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, 1.0, e) / (1 + e)
    return y, Saved(y)


def backward(dy, saved):
    y = saved.y
    # y = 1 / (1 + exp(-x))
    return (dy * y * (1 - y),)
