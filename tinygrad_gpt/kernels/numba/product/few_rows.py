"""The product of a few rows with a weight: what a linear layer does when a model writes one token after another.

With one row, or a few sequences side by side, the time goes into reading the weight from memory, and each of its
numbers serves R products only. So the weight is read once, where it lies; a large matrix product copies it into another
order first. It is cut into quarters that are read side by side, each from its first row to its last. A core then waits
for four places in memory at once, and its prefetching follows each of them. (It loses track of four neighbouring rows.)
x is also loaded a quarter as often.

The same instructions compute every number of y whatever R is, so that a sequence gets the same bits alone and beside
others.
"""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ALONE

FEW = 8  # rows; with more, a matrix product that reorders the weight first is faster


def few_rows(x, weight, bias):
    """y = x weightᵀ + bias; x (R, C_in) and weight (C_out, C_in) contiguous, bias (C_out,) or None -> (R, C_out)."""
    y = np.empty((len(x), len(weight)), x.dtype)
    bias = np.zeros(len(weight), x.dtype) if bias is None else np.ascontiguousarray(bias)
    _few_rows(weight, x, bias, y)
    return y


@kernel(
    lambda f: (read(f, "C_out C_in"), read(f, "R C_in"), read(f, "C_out"), write(f, "R C_out")),
    alone_below=ALONE,
    on_demand=True,
)
def _few_rows(share, weight, x, bias, y):
    products(share, weight, x, bias, y, False)


@pasted
def products(share, weight, x, bias, y, adds):
    """What kernels of such products do: y = x weightᵀ + bias; with `adds`, y += that."""
    r, c_in = x.shape
    quarter = len(weight) // 4
    left = len(weight) - 4 * quarter  # up to three rows, which are pieces of work of their own
    for piece in my_part(share, quarter + left):
        if piece < quarter:
            a, b, c, d = piece, piece + quarter, piece + 2 * quarter, piece + 3 * quarter
            weight_a, weight_b, weight_c, weight_d = weight[a], weight[b], weight[c], weight[d]
            for i in range(r):
                x_row, y_row = x[i], y[i]
                sum_a, sum_b, sum_c, sum_d = bias[a], bias[b], bias[c], bias[d]
                for j in range(c_in):
                    sum_a += x_row[j] * weight_a[j]
                    sum_b += x_row[j] * weight_b[j]
                    sum_c += x_row[j] * weight_c[j]
                    sum_d += x_row[j] * weight_d[j]
                if adds:
                    sum_a, sum_b, sum_c, sum_d = y_row[a] + sum_a, y_row[b] + sum_b, y_row[c] + sum_c, y_row[d] + sum_d
                y_row[a], y_row[b], y_row[c], y_row[d] = sum_a, sum_b, sum_c, sum_d
        else:
            last = piece + 3 * quarter
            for i in range(r):
                x_row, weight_row, total = x[i], weight[last], bias[last]
                for j in range(c_in):
                    total += x_row[j] * weight_row[j]
                y[i, last] = y[i, last] + total if adds else total
