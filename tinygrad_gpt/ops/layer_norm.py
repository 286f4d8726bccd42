"""Layer normalisation over the last axis (Ba, Kiros and Hinton, "Layer Normalization", 2016, equations 3 and 4).

    x       (..., C)  float
    weight  (C,)      the gain g, same dtype
    bias    (C,)      or None
    y       (..., C)

Each row of C numbers is shifted to mean 0 and scaled to variance 1, then given a learned scale and shift:

    μ = mean(x),   r = 1 / sqrt(mean((x - μ)²) + ε),   x̂ = (x - μ) r,   y = weight · x̂ + bias

μ is rounded like any number. Where a row's numbers have much in common, x - μ is small and exact, and half a unit in
the last place of μ is no longer small beside it: a row of 768 times 100000.1 would be off by 0.004 and, that times
r = 316, y by 1.2. But what was rounded away, ρ, is simply the mean of x - μ, so that x - μ is centred once more:

    ρ = mean(x - μ),   r = 1 / sqrt(mean((x - μ - ρ)²) + ε),   x̂ = ((x - μ) - ρ) r

Backward. The last line is elementwise, summed over rows for the parameters:

    dbias = Σ_rows dy,    dweight = Σ_rows dy · x̂,    dx̂ = dy · weight

x moves x̂ in three ways: directly, through μ and through r. With C numbers in a row, ∂μ/∂x_j = 1/C and
∂r/∂x_j = -r³ (x_j - μ)/C = -r² x̂_j / C, so that

    ∂x̂_i/∂x_j = r (δ_ij - 1/C) + (x_i - μ) ∂r/∂x_j = r (δ_ij - 1/C - x̂_i x̂_j / C)

    dx_j = Σ_i dx̂_i ∂x̂_i/∂x_j = r (dx̂_j - mean(dx̂) - x̂_j mean(dx̂ · x̂))

In words: take dx̂, remove its mean and its component along x̂ (the two directions that normalising erased), scale by r.

Saved are x̂ and r. A kernel may save μ, ρ and r instead and recompute x̂ from x, which is alive anyway as the input of
this op: one array of x's size less.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x_hat: Array  # (..., C)
    rstd: Array  # (..., 1)
    weight: Array  # (C,)
    has_bias: bool


def check(x, weight, bias=None, *, eps=1e-5):
    """Raises TypeError for integers, ValueError unless weight and bias are (C,) for x of shape (..., C)."""
    check_floats("layer_norm", x, weight, bias)
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"layer_norm: expected x of shape (..., C) with C >= 1, got {x.shape}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != x.shape[-1:]:
            raise ValueError(
                f"layer_norm: expected {name} of shape {x.shape[-1:]} for x of shape {x.shape}, got {parameter.shape}"
            )


def forward(x, weight, bias=None, *, eps=1e-5):
    mean = np.mean(x, axis=-1, keepdims=True)  # (..., C) -> (..., 1)
    centred = x - mean
    centred = centred - np.mean(centred, axis=-1, keepdims=True)  # less what the mean lost in rounding
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    rstd = 1 / np.sqrt(variance + eps)
    x_hat = centred * rstd
    y = weight * x_hat
    if bias is not None:
        y = y + bias
    return y, Saved(x_hat, rstd, weight, bias is not None)


def backward(dy, saved):
    x_hat, rstd, weight, has_bias = saved
    rows = tuple(range(dy.ndim - 1))
    # y = weight * x_hat + bias
    dbias = np.sum(dy, axis=rows) if has_bias else None  # (..., C) -> (C,)
    dweight = np.sum(dy * x_hat, axis=rows)
    dx_hat = dy * weight
    # x_hat = (x - mean(x)) * rstd(x)
    dx_hat_mean = np.mean(dx_hat, axis=-1, keepdims=True)  # (..., C) -> (..., 1)
    along_x_hat = np.mean(dx_hat * x_hat, axis=-1, keepdims=True)
    dx = rstd * (dx_hat - dx_hat_mean - x_hat * along_x_hat)
    return dx, dweight, dbias
