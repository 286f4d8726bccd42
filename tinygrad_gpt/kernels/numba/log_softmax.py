"""The logarithm of softmax along the last axis on the CPU, row by row (ops/log_softmax.py derives it). A row stays in
the cache while its largest number is found, its exponentials are summed, and the logarithm of the sum is subtracted."""

import math

from tinygrad_gpt.kernels.numba.machine.compile import EXACT_ORDER, helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ON_DEMAND, check_dy
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, row_max
from tinygrad_gpt.kernels.numba.softmax import by_rows, why_not
from tinygrad_gpt.ops.log_softmax import check

__all__ = ["backward", "forward", "why_not"]


def forward(x, *, axis=-1):
    check(x, axis=axis)  # of an empty row there is no largest number
    y = by_rows(_forward, x)
    return y, (y,)


def backward(dy, saved):
    (y,) = saved
    check_dy("log_softmax", dy, y.shape, y.dtype)
    return (by_rows(_backward, dy, y),)


@kernel(lambda f: (read(f, "R C"), write(f, "R C")), **ON_DEMAND)
def _forward(share, x, y):
    r, c = x.shape
    for i in my_part(share, r):
        row = x[i]
        peak, total = row_max(row, c), x.dtype.type(0)
        for j in range(c):
            total += exp(row[j] - peak)
        log_total = math.log(total)
        for j in range(c):
            y[i, j] = _below(row[j], peak, log_total)


@helper(fastmath=EXACT_ORDER)
def _below(x, peak, log_total):
    """In this order: x - peak is exact where it matters, and peak + log_total would be rounded."""
    return x - peak - log_total


@kernel(lambda f: (read(f, "R C"), read(f, "R C"), write(f, "R C")), **ON_DEMAND)
def _backward(share, dy, y, dx):
    r, c = y.shape
    for i in my_part(share, r):
        total = y.dtype.type(0)
        for j in range(c):
            total += dy[i, j]
        # y = x - log(sum(exp(x)))
        for j in range(c):
            dx[i, j] = dy[i, j] - exp(y[i, j]) * total
