"""The product of a few rows with a weight: what a linear layer does when a model writes one token after another.

    y = few_rows(x (R, C_in), weight (C_out, C_in), bias (C_out,))      y = x weightᵀ + bias (R, C_out)

With one row, or a few sequences side by side, the time goes into reading the weight from memory, and each of its
numbers serves R products only. So it is read as it lies, once, from its first row to its last in each thread's part,
which is what the processor's prefetching is best at, and never copied into another order as a large matrix product
does. (Four rows of the weight side by side load x less often, but were a sixth slower to read.)

Every number of y is computed by the same instructions whatever R is, so that a sequence gets the same bits alone and
beside others.
"""

import numpy as np

from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import ALONE

FEW = 8  # rows; with more, a matrix product that reorders the weight first is faster


def few_rows(x, weight, bias):
    """See the top of this file; x and weight contiguous, bias may be None."""
    y = np.empty((len(x), len(weight)), x.dtype)
    bias = np.empty(0, x.dtype) if bias is None else np.ascontiguousarray(bias)
    run = _few_rows if weight.size > ALONE else _few_rows.alone
    run(x, weight, bias, y)
    return y


@kernel(lambda f: (read(f, 2), read(f, 2), read(f, 1), write(f, 2)))
def _few_rows(share, x, weight, bias, y):
    for o in of(share, len(weight)):
        row = weight[o]
        for r in range(x.shape[0]):
            x_row = x[r]
            total = bias[o] if bias.size > 0 else bias.dtype.type(0)
            for i in range(row.size):
                total += x_row[i] * row[i]
            y[r, o] = total
