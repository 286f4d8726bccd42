"""Absolute value: y = |x|, for x a float array of any shape.

y is x where x > 0 and -x where x < 0, so that its slope is the sign of x: dx = dy · sign(x). At the kink x = 0 the
gradient is taken to be 0, as in PyTorch, which is what sign(0) gives.

Saved is x, which is alive anyway as the input.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("abs", x)


def forward(x):
    return np.absolute(x), Saved(x)


def backward(dy, saved):
    # y = |x|
    return (dy * np.sign(saved.x),)
