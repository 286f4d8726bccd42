"""The product of a few rows with a weight: what a linear layer does when a model writes one token after another.

    y = few_rows(x (R, C_in), weight (C_out, C_in), bias (C_out,))      y = x weightᵀ + bias (R, C_out)

With one row, or a few sequences side by side, the time goes into reading the weight from memory, and each of its
numbers serves R products only. So it is read as it lies, once, and never copied into another order as a large matrix
product does. Four rows of the weight are taken at a time: an element of x that is loaded serves four products, and
four sums run side by side instead of one, in which each addition waits for the last.

Every number of y is computed by the same instructions whatever R is, so that a sequence gets the same bits alone and
beside others.
"""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba._compile import helper, kernel, read, write
from tinygrad_gpt.kernels.numba._layout import ALONE, STRIP

FEW = 8  # rows; with more, a matrix product that reorders the weight first is faster
_AT_A_TIME = 4  # rows of the weight; divides STRIP


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
    by_fours = start + (stop - start) // _AT_A_TIME * _AT_A_TIME
    for o in range(start, by_fours, _AT_A_TIME):
        w0, w1, w2, w3 = weight[o], weight[o + 1], weight[o + 2], weight[o + 3]
        for r in range(x.shape[0]):
            y[r, o], y[r, o + 1], y[r, o + 2], y[r, o + 3] = _four_dots(x[r], w0, w1, w2, w3)
    for o in range(by_fours, stop):
        for r in range(x.shape[0]):
            y[r, o] = _dot(x[r], weight[o])
    if bias.size > 0:
        for r in range(x.shape[0]):
            for o in range(start, stop):
                y[r, o] += bias[o]


@helper()
def _four_dots(x, w0, w1, w2, w3):
    t0 = t1 = t2 = t3 = x.dtype.type(0)
    for i in range(x.size):
        t0 += x[i] * w0[i]
        t1 += x[i] * w1[i]
        t2 += x[i] * w2[i]
        t3 += x[i] * w3[i]
    return t0, t1, t2, t3


@helper()
def _dot(x, w):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * w[i]
    return total
