"""GELU and a linear layer on the GPU, without keeping what is between them (ops/gelu_linear.py derives it).

Backward makes h = gelu(x) again and dx = dh * gelu'(x) in one pass over memory, dx over dh. For products of bfloat16
numbers, forward and backward round h as they write it.
"""

import numpy as np

from tinygrad_gpt.kernels.cuda import linear
from tinygrad_gpt.kernels.cuda.machine.cublas import BFLOAT16, operand, product
from tinygrad_gpt.kernels.cuda.machine.layout import THREADS, blocks_for, pack, rows
from tinygrad_gpt.kernels.cuda.machine.source import load
from tinygrad_gpt.kernels.cuda.machine.sum_rows import sum_rows


def why_not(x, weight, bias=None, *, approximate):
    return linear.why_not(x, weight, bias)


def forward(x, weight, bias=None, *, approximate, precision="float32"):
    """precision: of the products, as in linear.py. The GELU is not rounded."""
    c_out, c_in = weight.shape
    x_rows, weight = rows(x, c_in), operand(weight, precision)  # (..., C_in) -> (R, C_in)
    h, blocks, kernels = _gelu(precision, x_rows)
    kernels.forward(blocks, THREADS, x_rows, h, h.size, approximate == "none")
    y = product(h, False, weight, True, bias, precision)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    saved = (x_rows, weight, bias is not None, approximate, x.shape, precision)
    return y.reshape((*x.shape[:-1], c_out)), saved


def backward(dy, saved):
    x_rows, weight, has_bias, approximate, shape, precision = saved
    dy = dy.reshape(len(x_rows), len(weight))  # (..., C_out) -> (R, C_out)
    dy_rows = operand(dy, precision)
    # y = h @ weight.T + bias
    dx = product(dy_rows, False, weight, False, precision=precision)  # dh for now: -> (R, C_in)
    # h = gelu(x)
    h, blocks, kernels = _gelu(precision, x_rows, dx)
    kernels.backward(blocks, THREADS, dx, x_rows, dx, h, h.size, approximate == "none")
    dweight = product(dy_rows, True, h, False, precision=precision)  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = sum_rows(dy) if has_bias else None  # (R, C_out) -> (C_out,)
    return dx.reshape(shape), dweight, dbias


def _gelu(precision, x, *more):
    """An empty h, how many blocks fill it, and the kernels that write it as products of this precision read it."""
    rounded = precision == "bfloat16"
    h = np.empty_like(x, dtype=BFLOAT16) if rounded else np.empty_like(x)
    at_once = pack(x.size, x, h, *more)
    kernels = load("gelu", x.dtype, PACK=at_once, **({"ROUNDED": 1} if rounded else {}))
    return h, blocks_for(x.size, THREADS * at_once), kernels
