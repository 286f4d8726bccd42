"""The largest over the last axes on the CPU, row by row (ops/max.py derives it)."""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ON_DEMAND, check_dy
from tinygrad_gpt.kernels.numba.machine.vector_math import row_max
from tinygrad_gpt.kernels.numba.sum import reduced_shape, rows_of, why_not
from tinygrad_gpt.ops._shapes import normalize_axes
from tinygrad_gpt.ops.max import check

__all__ = ["backward", "forward", "why_not"]


def forward(x, *, axis=None, keepdims=False):
    check(x, axis=axis)  # of nothing there is no largest number
    axes = normalize_axes("max", axis, x.ndim)
    y = np.empty(reduced_shape(x.shape, axes, keepdims), x.dtype)
    x_rows = rows_of(x, axes)
    ties, is_largest = np.empty(len(x_rows), x.dtype), np.empty(x_rows.shape, bool)
    _forward(x_rows, y.reshape(-1), ties, is_largest)
    return y, (x.shape, y.shape, ties, is_largest)


def backward(dy, saved):
    shape, y_shape, ties, is_largest = saved
    check_dy("max", dy, y_shape, ties.dtype)
    dx = np.empty(shape, dy.dtype)
    _backward(np.ascontiguousarray(dy).reshape(-1), ties, is_largest, dx.reshape(is_largest.shape))
    return (dx,)


@kernel(lambda f: (read(f, "R C"), write(f, "R"), write(f, "R"), write(types.boolean, "R C")), **ON_DEMAND)
def _forward(share, x, y, ties, is_largest):
    r, c = x.shape
    for i in my_part(share, r):
        row, marks = x[i], is_largest[i]
        largest, count, nans = row_max(row, c), 0, 0
        for j in range(c):
            marks[j] = row[j] == largest
            count += row[j] == largest
            nans += row[j] != row[j]
        if nans:
            largest, count = x.dtype.type(np.nan), 0  # to which nothing is equal
            marks[:] = False
        y[i], ties[i] = largest, count


@kernel(
    lambda f: (read(f, "R"), read(f, "R"), read(types.boolean, "R C"), write(f, "R C")), alone_below=64, on_demand=True
)
def _backward(share, dy, ties, is_largest, dx):
    r, c = dx.shape
    for i in my_part(share, r):
        # y = max(x)
        dy_each, other = dy[i] / ties[i], dy.dtype.type(0) / ties[i]  # nan beside a nan
        for j in range(c):
            dx[i, j] = dy_each if is_largest[i, j] else other
