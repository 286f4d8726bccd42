"""Elementwise cosine: y = cos x, for x a float array of any shape, an angle in radians.

cos x = sin(x + π/2), the sine a quarter turn ahead, and so is its slope: dy/dx = cos(x + π/2) = -sin x.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("cos", x)


def forward(x):
    return np.cos(x), Saved(x)


def backward(dy, saved):
    # y = cos(x)
    return (-dy * np.sin(saved.x),)
