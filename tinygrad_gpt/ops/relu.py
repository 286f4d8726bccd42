"""Rectified linear unit: y = max(x, 0), for x a float array of any shape.

dy passes where x > 0 and stops where x < 0. At the kink x = 0, and at -0, the gradient is taken to be 0, as in PyTorch.
Where x is nan dy passes.
y > 0 just where x > 0, so that the output, which is alive anyway, is all there is to save.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    y: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("relu", x)


def forward(x):
    y = np.maximum(x, 0)
    return y, Saved(y)


def backward(dy, saved):
    y = saved.y
    # y = maximum(x, 0)
    return (np.where(y <= 0, 0.0, dy),)
