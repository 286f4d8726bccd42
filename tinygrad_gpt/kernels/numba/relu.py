"""Rectified linear unit on the CPU, in one pass over memory (ops/relu.py derives it)."""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, check_dy, flat, not_ours, part


def why_not(x):
    return not_ours(x)


def forward(x):
    y = np.empty(x.shape, x.dtype)
    _forward(flat(x), flat(y))
    return y, (y,)


def backward(dy, saved):
    (y,) = saved
    check_dy("relu", dy, y.shape, y.dtype)
    dx = np.empty(y.shape, y.dtype)
    _backward(flat(dy), flat(y), flat(dx))
    return (dx,)


@kernel(lambda f: (read(f, "N"), write(f, "N")), alone_below=CHUNK + 1)  # one chunk is one thread's
def _forward(share, x, y):
    zero = x.dtype.type(0)
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, ys = part(x, chunk), part(y, chunk)
        for i in range(xs.size):
            ys[i] = zero if xs[i] <= zero else xs[i]  # nan stays nan


@kernel(lambda f: (read(f, "N"), read(f, "N"), write(f, "N")), alone_below=CHUNK + 1)
def _backward(share, dy, y, dx):
    zero = y.dtype.type(0)
    for chunk in my_part(share, (y.size + CHUNK - 1) // CHUNK):
        dys, ys, dxs = part(dy, chunk), part(y, chunk), part(dx, chunk)
        for i in range(ys.size):
            # y = maximum(x, 0)
            dxs[i] = zero if ys[i] <= zero else dys[i]
