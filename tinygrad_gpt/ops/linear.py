"""The linear layer's product: y = x weightᵀ + bias, on the last axis.

    x       (..., C_in)  float
    weight  (C_out, C_in), as PyTorch keeps it: one row per output
    bias    (C_out,) or None
    y       (..., C_out)

The leading axes are only a list of R rows, and are flattened so that each direction is one large matrix product
(R, C_in) @ (C_in, C_out) instead of many small ones. With y_ro = Σ_i x_ri w_oi + bias_o:

    dx_ri = Σ_o dy_ro w_oi      dx      = dy @ weight    (R, C_out) @ (C_out, C_in)
    dw_oi = Σ_r dy_ro x_ri      dweight = dyᵀ @ x        (C_out, R) @ (R, C_in)
    dbias_o = Σ_r dy_ro

The weight serves every row, so its gradient sums over rows; the matrix product does that sum.
"""

import math
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats

PARTS = ("matmul", "add")  # whose work it does: where a user chose a version of one, they run instead


class Saved(NamedTuple):
    x: Array  # (..., C_in)
    weight: Array  # (C_out, C_in)
    has_bias: bool


def check(x, weight, bias=None):
    """Raises TypeError for integers, ValueError for shapes that don't fit."""
    check_floats("linear", x, weight, bias)
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            "linear: expected x of shape (..., C_in) and weight of shape (C_out, C_in), "
            f"got {x.shape} and {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"linear: expected bias of shape {weight.shape[:1]} for weight of shape {weight.shape}, got {bias.shape}"
        )


def forward(x, weight, bias=None):
    c_out, c_in = weight.shape
    y = _rows(x, c_in) @ weight.T  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    if bias is not None:
        y = y + bias
    return y.reshape((*x.shape[:-1], c_out)), Saved(x, weight, bias is not None)


def backward(dy, saved):
    x, weight, has_bias = saved
    c_out, c_in = weight.shape
    dy_rows = _rows(dy, c_out)  # (..., C_out) -> (R, C_out)
    # y = x @ weight.T + bias
    dx = (dy_rows @ weight).reshape(x.shape)  # (R, C_out) @ (C_out, C_in) -> (R, C_in) -> (..., C_in)
    dweight = dy_rows.T @ _rows(x, c_in)  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = np.sum(dy_rows, axis=0) if has_bias else None  # (R, C_out) -> (C_out,)
    return dx, dweight, dbias


def _rows(x: Array, c: int) -> Array:
    """(..., c) -> (R, c). The size is worked out, since -1 cannot be where an axis is empty."""
    return x.reshape(math.prod(x.shape[:-1]), c)
