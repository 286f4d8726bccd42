"""Softmax: positive numbers that sum to 1 along an axis, from any numbers.

    x     float array
    axis  the axis along which y sums to 1
    y     shaped like x

    y_i = e^x_i / Σ_j e^x_j

Adding one number to all x changes nothing: it cancels. Subtracting the largest makes every exponent at most 0, so that
nothing overflows, and one term of the sum is 1, so that it is never 0.

Backward. x_j moves y_i through the numerator if i = j, and through the sum always:

    ∂y_i/∂x_j = y_i (δ_ij - y_j)

    dx_j = Σ_i dy_i y_i (δ_ij - y_j) = y_j (dy_j - Σ_i dy_i y_i)

Raising all x together must change nothing, so Σ_j dx_j = 0: the mean of dy, weighted by y, is taken out.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, normalize_axis


class Saved(NamedTuple):
    y: Array
    axis: int


def check(x, *, axis=-1):
    """Raises TypeError for integers, ValueError for an axis that x lacks or that is empty."""
    check_floats("softmax", x)
    a = normalize_axis("softmax", axis, x.ndim)
    if x.shape[a] == 0:
        raise ValueError(f"softmax: expected at least one element along axis {axis}, got x of shape {x.shape}")


def forward(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y = e / np.sum(e, axis=axis, keepdims=True)
    return y, Saved(y, axis)


def backward(dy, saved):
    y, axis = saved
    # y = exp(x) / sum(exp(x))
    return (y * (dy - np.sum(dy * y, axis=axis, keepdims=True)),)
