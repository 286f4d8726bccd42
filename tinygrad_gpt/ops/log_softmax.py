"""The logarithm of softmax, computed in one go.

    x     float array
    axis  the axis along which e^y sums to 1
    y     shaped like x

    y_i = x_i - log Σ_j e^x_j

Taking the logarithm of a softmax instead would give -inf as soon as a probability underflows. As in softmax, the
largest x is subtracted first, which changes nothing but the range of the exponents.

Backward. ∂y_i/∂x_j = δ_ij - e^x_j / Σ e^x = δ_ij - e^y_j, so that

    dx_j = Σ_i dy_i (δ_ij - e^y_j) = dy_j - e^y_j Σ_i dy_i

Where x is -inf, e^y is 0 and what is left is dy.

Saved is y, alive anyway as the output; the probabilities e^y are computed again.
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
    check_floats("log_softmax", x)
    a = normalize_axis("log_softmax", axis, x.ndim)
    if x.shape[a] == 0:
        raise ValueError(f"log_softmax: expected at least one element along axis {axis}, got x of shape {x.shape}")


def forward(x, *, axis=-1):
    shifted = x - np.max(x, axis=axis, keepdims=True)
    y = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return y, Saved(y, axis)


def backward(dy, saved):
    y, axis = saved
    # y = x - log(sum(exp(x)))
    return (dy - np.exp(y) * np.sum(dy, axis=axis, keepdims=True),)
