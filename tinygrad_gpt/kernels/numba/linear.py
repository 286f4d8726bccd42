"""The linear layer on the CPU: three matrix products (ops/linear.py derives them).

    y       = x @ weight.T + bias   (R, C_in) @ (C_in, C_out)
    dx      = dy @ weight           (R, C_out) @ (C_out, C_in)
    dweight = dy.T @ x              (C_out, R) @ (R, C_in)

Each is one call of a product on all cores (_matmul.py), which reads operands transposed where they lie.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba import _matmul, _threads
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import STRIP, not_ours, rows
from tinygrad_gpt.kernels.numba._matmul import product

_threads.start()


class Saved(NamedTuple):
    x: Array  # (..., C_in)
    weight: Array  # (C_out, C_in)
    has_bias: bool


def why_not(x, weight, bias=None):
    if product is None:
        return f"products here are {_matmul.DESCRIPTION}"
    return not_ours(x, weight, bias)


def forward(x, weight, bias=None):
    c_out, c_in = weight.shape
    if x.size == c_in > 0:
        y = np.empty((1, c_out), x.dtype)
        shift = np.empty(0, x.dtype) if bias is None else np.ascontiguousarray(bias)
        _one_row(x.reshape(c_in), np.ascontiguousarray(weight), shift, y[0])
    else:
        y = product(rows(x, c_in), np.ascontiguousarray(weight).T, bias)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    return y.reshape((*x.shape[:-1], c_out)), Saved(x, weight, bias is not None)


def backward(dy, saved):
    x, weight, has_bias = saved
    c_out, c_in = weight.shape
    dy_rows = rows(dy, c_out)  # (..., C_out) -> (R, C_out)
    # y = x @ weight.T + bias
    dx = product(dy_rows, np.ascontiguousarray(weight))  # (R, C_out) @ (C_out, C_in) -> (R, C_in)
    dweight = product(dy_rows.T, rows(x, c_in))  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = None
    if has_bias:
        dbias = np.empty(c_out, dy.dtype)
        _sum_rows(dy_rows, dbias)  # (R, C_out) -> (C_out,)
    return dx.reshape(x.shape), dweight, dbias


@kernel(lambda f: (read(f, 1, "A"), read(f, 2), read(f, 1), write(f, 1)))
def _one_row(share, x, weight, bias, y):
    """One new token in generation: the time goes into reading the weight, so it is read as it lies, and once."""
    c_out, c_in = weight.shape
    x = x.copy()
    strips = (c_out + STRIP - 1) // STRIP
    for strip in of(share, strips):
        for o in range(strip * STRIP, min((strip + 1) * STRIP, c_out)):
            row = weight[o]
            total = bias[o] if bias.size > 0 else bias.dtype.type(0)
            for i in range(c_in):
                total += x[i] * row[i]
            y[o] = total


@kernel(lambda f: (read(f, 2), write(f, 1)))
def _sum_rows(share, x, total):
    """total = x.sum(axis=0), each thread for some of the columns, so that the order of a sum is always the same."""
    r, c = x.shape
    strips = (c + STRIP - 1) // STRIP
    for strip in of(share, strips):
        left, right = strip * STRIP, min((strip + 1) * STRIP, c)
        part = total[left:right]
        part[:] = 0
        for i in range(r):
            row = x[i, left:right]
            for j in range(right - left):
                part[j] += row[j]
