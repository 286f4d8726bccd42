"""The product of a few rows with a weight: what a linear layer does when a model writes one token after another.

    y = few_rows(x (R, C_in), weight (C_out, C_in), bias (C_out,))      y = x weightᵀ + bias (R, C_out)

With one row, or a few sequences side by side, the time goes into reading the weight from memory, and each of its
numbers serves R products only. So it is read as it lies, once, from its first row to its last in each thread's part,
which is what the processor's prefetching is best at, and never copied into another order as a large matrix product
does. (Four rows of the weight side by side load x less often, but were a sixth slower to read.)

Every number of y is computed by the same instructions whatever R is, so that a sequence gets the same bits alone and
beside others.
"""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba._compile import helper, kernel, read, write
from tinygrad_gpt.kernels.numba._layout import ALONE, STRIP

FEW = 8  # rows; with more, a matrix product that reorders the weight first is faster


def few_rows(x, weight, bias):
    """See the top of this file; all three contiguous, a bias of size 0 is none."""
    y = np.empty((len(x), len(weight)), x.dtype)
    run = _few_rows if weight.size > ALONE else _few_rows_alone
    run(x, weight, bias, y)
    return y


def _arguments(f):
    return read(f, 2), read(f, 2), read(f, 1), write(f, 2)


@kernel(_arguments)
def _few_rows(x, weight, bias, y):
    c_out = weight.shape[0]
    for strip in numba.prange((c_out + STRIP - 1) // STRIP):
        _strip(x, weight, bias, y, strip * STRIP, min((strip + 1) * STRIP, c_out))


@kernel(_arguments, parallel=False)
def _few_rows_alone(x, weight, bias, y):
    """The same for a small weight, which other threads would come too late for."""
    _strip(x, weight, bias, y, 0, weight.shape[0])


@helper(inlined=False)
def _strip(x, weight, bias, y, start, stop):
    """y[:, start:stop]."""
    for o in range(start, stop):
        row = weight[o]
        for r in range(x.shape[0]):
            x_row = x[r]
            total = bias[o] if bias.size > 0 else bias.dtype.type(0)
            for i in range(row.size):
                total += x_row[i] * row[i]
            y[r, o] = total
