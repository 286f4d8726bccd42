"""Softmax along the last axis on the CPU, row by row (ops/softmax.py derives it). A row stays in the cache while its
largest number is found, its exponentials are written and summed, and they are divided by their sum."""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import Kernel, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ON_DEMAND, check_dy, not_ours, rows
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, row_max
from tinygrad_gpt.ops.softmax import check


def why_not(x, *, axis=-1):
    if axis not in (-1, x.ndim - 1):
        return "along the last axis only"
    return not_ours(x)


def forward(x, *, axis=-1):
    check(x, axis=axis)  # of an empty row there is no largest number
    y = by_rows(_forward, x)
    return y, (y,)


def backward(dy, saved):
    (y,) = saved
    check_dy("softmax", dy, y.shape, y.dtype)
    return (by_rows(_backward, dy, y),)


def by_rows(kernel: Kernel, *arrays) -> np.ndarray:
    """What the kernel makes of the rows of arrays (..., C), shaped like them."""
    c = arrays[0].shape[-1]
    made = np.empty(arrays[0].shape, arrays[0].dtype)
    kernel(*[rows(a, c) for a in (*arrays, made)])  # (..., C) -> (R, C)
    return made


@kernel(lambda f: (read(f, "R C"), write(f, "R C")), **ON_DEMAND)
def _forward(share, x, y):
    r, c = x.shape
    for i in my_part(share, r):
        row, e = x[i], y[i]
        peak, total = row_max(row, c), x.dtype.type(0)
        for j in range(c):
            e[j] = exp(row[j] - peak)
            total += e[j]
        scale = x.dtype.type(1) / total
        for j in range(c):
            e[j] *= scale


@kernel(lambda f: (read(f, "R C"), read(f, "R C"), write(f, "R C")), **ON_DEMAND)
def _backward(share, dy, y, dx):
    r, c = y.shape
    for i in my_part(share, r):
        mean = y.dtype.type(0)
        for j in range(c):
            mean += dy[i, j] * y[i, j]
        # y = exp(x) / sum(exp(x))
        for j in range(c):
            dx[i, j] = y[i, j] * (dy[i, j] - mean)
