"""Mean over axes.

    x         float array of any shape
    axis      None (all axes), an integer, or a tuple of them; together they must hold at least one element
    keepdims  whether the averaged axes stay, with size 1
    y         x's shape without the averaged axes

The mean of n elements moves by 1/n with each of them: dx = dy / n, stretched back over the averaged axes.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats, count, kept_shape, normalize_axes, sum_over


class Saved(NamedTuple):
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def check(x, *, axis=None, keepdims=False):
    """Raises TypeError for integers, ValueError for an axis that x lacks and for the mean of nothing."""
    check_floats("mean", x)
    if count(x.shape, normalize_axes("mean", axis, x.ndim)) == 0:
        raise ValueError(f"mean: expected at least one element along axis {axis}, got x of shape {x.shape}")


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("mean", axis, x.ndim)
    return sum_over(x, axes, keepdims) / count(x.shape, axes), Saved(x.shape, axes)


def backward(dy, saved):
    shape, axes = saved
    # y = sum(x, axes) / n
    dy_each = dy.reshape(kept_shape(shape, axes)) / count(shape, axes)
    return (np.broadcast_to(dy_each, shape),)
