"""Largest element over axes.

    x         float array of any shape
    axis      None (all axes), an integer, or a tuple of them; together they must hold at least one element
    keepdims  whether the reduced axes stay, with size 1
    y         x's shape without the reduced axes

The maximum moves with the element that attains it and with no other: dy goes there. Where k elements tie, the function
has a kink; each of them gets dy / k, so that the answer does not depend on their order.

Saved is which elements attain the maximum, one byte for each.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, count, kept_shape, normalize_axes


class Saved(NamedTuple):
    is_largest: Array  # bool, shaped like x
    axes: tuple[int, ...]


def check(x, *, axis=None, keepdims=False):
    """Raises TypeError for integers, ValueError for an axis that x lacks and for the largest of nothing."""
    check_floats("max", x)
    if count(x.shape, normalize_axes("max", axis, x.ndim)) == 0:
        raise ValueError(f"max: expected at least one element along axis {axis}, got x of shape {x.shape}")


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("max", axis, x.ndim)
    kept = np.max(x, axis=axes, keepdims=True)
    y = kept if keepdims else kept.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
    return y, Saved(x == kept, axes)


def backward(dy, saved):
    is_largest, axes = saved
    ties = np.sum(is_largest, axis=axes, keepdims=True, dtype=dy.dtype)
    # y = max(x, axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        dy_each = dy.reshape(kept_shape(is_largest.shape, axes)) / ties
        return (np.where(is_largest, dy_each, 0 / ties),)  # nan beside a nan, to which nothing is equal
