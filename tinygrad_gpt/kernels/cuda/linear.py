"""The linear layer on the GPU: three matrix products of cuBLAS (ops/linear.py derives them).

In tf32 and bfloat16 the products run on tensor cores. All arrays are float32: the weights, the results, the bias and
its gradient are not rounded. For bfloat16, what is saved is what was rounded: half as large as x, and not to be rounded
again.
"""

import math

from tinygrad_gpt.kernels.cuda.machine import cublas
from tinygrad_gpt.kernels.cuda.machine.cublas import operand, product
from tinygrad_gpt.kernels.cuda.machine.sum_rows import sum_rows


def why_not(x, weight, bias=None):
    return cublas.why_not(x, weight, bias)


def forward(x, weight, bias=None, *, precision="float32"):
    """precision: of the products, "tf32", "bfloat16", or "float32" for those of x's own dtype."""
    c_out, c_in = weight.shape
    x_rows = operand(x.reshape(math.prod(x.shape[:-1]), c_in), precision)  # (..., C_in) -> (R, C_in)
    weight = operand(weight, precision)
    y = product(x_rows, False, weight, True, bias, precision)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    return y.reshape((*x.shape[:-1], c_out)), (x_rows, weight, bias is not None, x.shape, precision)


def backward(dy, saved):
    x_rows, weight, has_bias, shape, precision = saved
    dy = dy.reshape(len(x_rows), len(weight))  # (..., C_out) -> (R, C_out)
    dy_rows = operand(dy, precision)
    # y = x @ weight.T + bias
    dx = product(dy_rows, False, weight, False, precision=precision)  # (R, C_out) @ (C_out, C_in) -> (R, C_in)
    dweight = product(dy_rows, True, x_rows, False, precision=precision)  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = sum_rows(dy) if has_bias else None  # (R, C_out) -> (C_out,)
    return dx.reshape(shape), dweight, dbias
