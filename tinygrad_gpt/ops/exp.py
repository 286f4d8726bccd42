"""Elementwise exponential: y = e^x, for x a float array of any shape.

The exponential is its own derivative: dx = dy · e^x = dy · y. So y is saved, which is alive anyway as the output.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    y: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("exp", x)


def forward(x):
    y = np.exp(x)
    return y, Saved(y)


def backward(dy, saved):
    y = saved.y
    # y = exp(x)
    return (dy * y,)
