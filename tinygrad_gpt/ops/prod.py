"""Product over axes.

    x         float array of any shape
    axis      None (all axes), an integer, or a tuple of them
    keepdims  whether the multiplied axes stay, with size 1
    y         x's shape without the multiplied axes; 1 where there was nothing to multiply

y is linear in each x_j, and its slope is the product of all the others:

    dx_j = dy ∏_{i ≠ j} x_i

The short form dy · y / x_j is 0/0 where x_j = 0. But there the derivative is an ordinary number: the others' product,
if x_j is the only zero (and 0 for everybody if there are two). So nothing is divided. The others are those before j and
those after it, and the products of both are running ones:

    before_j = ∏_{i < j} x_i,   after_j = ∏_{i > j} x_i,   dx_j = dy · before_j · after_j

Saved is x. All products are made in float64: those of a few elements may overflow float32, or vanish in it, where dx_j
does not.
"""

import math
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, kept_shape, normalize_axes


class Saved(NamedTuple):
    x: Array
    axes: tuple[int, ...]


def check(x, *, axis=None, keepdims=False):
    """Raises TypeError for integers, ValueError for an axis that x lacks."""
    check_floats("prod", x)
    normalize_axes("prod", axis, x.ndim)


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("prod", axis, x.ndim)
    return np.prod(x, axis=axes, keepdims=keepdims), Saved(x, axes)


def backward(dy, saved):
    x, axes = saved
    others = tuple(i for i in range(x.ndim) if i not in axes)
    last = others + axes  # the multiplied axes go last, and become one of N elements
    moved = x.astype(np.float64, copy=False).transpose(last)
    rows = moved.reshape((*moved.shape[: len(others)], math.prod(moved.shape[len(others) :])))  # (..., N)
    # y = x_0 * x_1 * ... along each row
    product_of_others = _before(rows) * _before(rows[..., ::-1])[..., ::-1]  # (..., N)
    back = tuple(last.index(i) for i in range(x.ndim))
    dx = dy.reshape(kept_shape(x.shape, axes)) * product_of_others.reshape(moved.shape).transpose(back)
    return (dx.astype(x.dtype, copy=False),)


def _before(rows: Array) -> Array:
    """For each element of each row the product of those before it."""
    ones = np.ones_like(rows[..., :1])
    return np.concatenate([ones, np.cumprod(rows[..., :-1], axis=-1)], axis=-1)
