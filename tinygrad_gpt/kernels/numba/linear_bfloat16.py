"""The linear layer with products of bfloat16 numbers, added up in float32 (ops/linear.py derives them).

    y       = x @ weight.T + bias   (R, C_in) @ (C_in, C_out)
    dx      = dy @ weight           (R, C_out) @ (C_out, C_in)
    dweight = dy.T @ x              (C_out, R) @ (R, C_in)

It runs where `precision.set_matmul_precision("bfloat16")` asked for it and the processor can. All arrays are float32;
what goes into a product is rounded while it is packed. Neither weights nor results are, nor the bias and its gradient.
"""

import numpy as np

from tinygrad_gpt import precision
from tinygrad_gpt.kernels.numba import linear
from tinygrad_gpt.kernels.numba.machine.layout import not_ours, rows
from tinygrad_gpt.kernels.numba.product import bfloat16
from tinygrad_gpt.kernels.numba.product.bfloat16 import product


def missing() -> str | None:
    """Why there is no product of bfloat16 numbers here, or None where there is."""
    return bfloat16.missing()


def why_not(x, weight, bias=None):
    if precision.matmul_precision() != "bfloat16":
        return f"the precision of matrix products is {precision.matmul_precision()}"
    if missing():
        return missing()
    if x.dtype != np.float32:
        return f"rounds float32, not {x.dtype}"
    if x.size == x.shape[-1]:
        return "for one row the weight is read once, which packing it would do alone"
    return not_ours(x, weight, bias)


def forward(x, weight, bias=None):
    c_out, c_in = weight.shape
    y = product(rows(x, c_in), False, weight, True, bias)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    return y.reshape((*x.shape[:-1], c_out)), linear.Saved(x, weight, bias is not None)


def backward(dy, saved):
    return linear.backward_by(product, dy, saved)
