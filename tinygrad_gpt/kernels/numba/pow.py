"""Small whole powers on the CPU, by multiplying a part of the array again while it is in the cache (ops/pow.py)."""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import BY_CHUNKS, check_dy, flat, not_ours

MOST = 8
BLOCK = 512  # elements that stay in the first-level cache, with their powers


def why_not(x, *, exponent):
    if exponent not in range(1, MOST + 1):
        return f"takes whole exponents from 1 to {MOST}"
    return not_ours(x)


def forward(x, *, exponent):
    if exponent not in range(1, MOST + 1):
        raise ValueError(f"pow: expected a whole exponent from 1 to {MOST}, got {exponent}")
    return _times_power(x, 1, x, int(exponent) - 1), (x, int(exponent))


def backward(dy, saved):
    x, exponent = saved
    check_dy("pow", dy, x.shape, x.dtype)
    # y = x**exponent
    return (_times_power(dy, exponent, x, exponent - 1),)


def _times_power(a, factor: int, x, n: int):
    y = np.empty(a.shape, a.dtype)
    _multiply(flat(a), factor, flat(x), n, flat(y))
    return y


@kernel(lambda f: (read(f, "N"), f, read(f, "N"), types.int64, write(f, "N")), **BY_CHUNKS)
def _multiply(share, a, factor, x, n, y):
    """y = a * factor * x**n."""
    for block in my_part(share, (x.size + BLOCK - 1) // BLOCK):
        first, last = block * BLOCK, min((block + 1) * BLOCK, x.size)
        as_, xs, ys = a[first:last], x[first:last], y[first:last]
        for i in range(ys.size):
            ys[i] = as_[i] * factor
        for _ in range(n):
            for i in range(ys.size):
                ys[i] *= xs[i]
