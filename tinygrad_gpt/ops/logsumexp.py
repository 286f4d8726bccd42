"""Logarithm of a sum of exponentials: a smooth maximum, and what log_softmax subtracts.

    x         float array of any shape
    axis      None (all axes), an integer, or a tuple of them; together they must hold at least one element
    keepdims  whether the summed axes stay, with size 1
    y         x's shape without the summed axes

    y = ln Σ_j e^x_j

Adding c to all x adds c to y. So the largest, m, is taken out first: no exponent is above 0 then, and one is 0, so that
S lies between 1 and the number of terms.

    S = Σ_j e^(x_j - m),   y = m + ln S

Where m is infinite, nothing is taken out (inf - inf would be nan): y = -inf where all x are -inf, the logarithm of 0.

Backward. The logarithm's slope is 1/S, the exponential's is itself:

    dx_j = dy e^(x_j - m) / S = dy e^((x_j - m) - ln S)

which is the softmax: shares of dy that sum to dy. (e^(x_j - y) would be the same, but y is rounded: ln S has few digits
left beside a large m.) Where y is infinite there is no softmax (inf - inf), and dx is nan, as in PyTorch.

Saved are x, m and ln S.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, count, kept_shape, normalize_axes


class Saved(NamedTuple):
    x: Array
    largest: Array  # with keepdims
    log_sum: Array  # with keepdims
    axes: tuple[int, ...]


def check(x, *, axis=None, keepdims=False):
    """Raises TypeError for integers, ValueError for an axis that x lacks and for a sum of nothing."""
    check_floats("logsumexp", x)
    if count(x.shape, normalize_axes("logsumexp", axis, x.ndim)) == 0:
        raise ValueError(f"logsumexp: expected at least one element along axis {axis}, got x of shape {x.shape}")


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("logsumexp", axis, x.ndim)
    largest = np.max(x, axis=axes, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    log_sum = np.log(np.sum(np.exp(x - largest), axis=axes, keepdims=True))
    y = largest + log_sum
    if not keepdims:
        y = y.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
    return y, Saved(x, largest, log_sum, axes)


def backward(dy, saved):
    x, largest, log_sum, axes = saved
    # y = log(sum(exp(x)))
    return (dy.reshape(kept_shape(x.shape, axes)) * np.exp((x - largest) - log_sum),)
