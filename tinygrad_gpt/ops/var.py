"""Variance over axes.

    x           float array of any shape
    axis        None (all axes), an integer, or a tuple of them; together they hold n elements
    keepdims    whether the reduced axes stay, with size 1
    correction  what is taken off n in the divisor: 0 for the variance of these numbers, 1 for the unbiased estimate of
                the variance of what they were drawn from (PyTorch's default; NumPy's is 0)
    y           x's shape without the reduced axes

    μ = mean(x),   y = Σ (x_i - μ)² / (n - correction)

x_j moves y directly and through μ. The second path is nothing: ∂y/∂μ = -2 Σ (x_i - μ) / (n - correction), and
deviations from the mean sum to 0. What is left is the direct one:

    dx = dy · 2 (x - μ) / (n - correction)

μ is rounded, and where numbers have much in common that counts beside x_i - μ. What was rounded away, ρ, is the mean of
x - μ, and is taken out too (layer_norm.py tells more): a deviation is (x_i - μ) - ρ.

Saved are x, alive anyway as the input, and μ and ρ, which are small; the deviations are computed again.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, count, kept_shape, normalize_axes


class Saved(NamedTuple):
    x: Array
    mean: Array  # x's shape, with 1 for every reduced axis
    rest: Array  # of the same shape: what the mean lost in rounding
    axes: tuple[int, ...]
    divisor: int | float


def check(x, *, axis=None, keepdims=False, correction=1):
    """Raises TypeError for integers, ValueError for an axis that x lacks and for too few elements."""
    check_floats("var", x)
    if count(x.shape, normalize_axes("var", axis, x.ndim)) <= correction:
        raise ValueError(
            f"var: expected more than {correction} elements along axis {axis} (correction={correction}), "
            f"got x of shape {x.shape}"
        )


def forward(x, *, axis=None, keepdims=False, correction=1):
    axes = normalize_axes("var", axis, x.ndim)
    mean = np.mean(x, axis=axes, keepdims=True)
    rest = np.mean(x - mean, axis=axes, keepdims=True)
    divisor = count(x.shape, axes) - correction
    y = np.sum((x - mean - rest) ** 2, axis=axes, keepdims=keepdims) / divisor
    return y, Saved(x, mean, rest, axes, divisor)


def backward(dy, saved):
    x, mean, rest, axes, divisor = saved
    # y = sum((x - mean - rest)**2, axes) / divisor
    dy = dy.reshape(kept_shape(x.shape, axes))
    return (dy * (2 / divisor) * (x - mean - rest),)
