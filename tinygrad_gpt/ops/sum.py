"""Sum over axes.

    x         float array of any shape
    axis      None (all axes), an integer, or a tuple of them
    keepdims  whether the summed axes stay, with size 1
    y         x's shape without the summed axes

Every x_i is in exactly one sum, with slope 1, so its gradient is the dy of that sum: dy, stretched back over the axes
that were summed (a view, nothing is copied). Sum and broadcast are each other's backward.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats, kept_shape, normalize_axes, sum_over


class Saved(NamedTuple):
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def check(x, *, axis=None, keepdims=False):
    """Raises TypeError for integers, ValueError for an axis that x lacks."""
    check_floats("sum", x)
    normalize_axes("sum", axis, x.ndim)


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("sum", axis, x.ndim)
    return sum_over(x, axes, keepdims), Saved(x.shape, axes)


def backward(dy, saved):
    shape, axes = saved
    # y = sum(x, axes)
    return (np.broadcast_to(dy.reshape(kept_shape(shape, axes)), shape),)
