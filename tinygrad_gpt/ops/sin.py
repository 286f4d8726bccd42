"""Elementwise sine: y = sin x, for x a float array of any shape, an angle in radians.

dy/dx = cos x: the slope is steepest at 0 and flat at the top, a quarter turn on.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("sin", x)


def forward(x):
    return np.sin(x), Saved(x)


def backward(dy, saved):
    # y = sin(x)
    return (dy * np.cos(saved.x),)
