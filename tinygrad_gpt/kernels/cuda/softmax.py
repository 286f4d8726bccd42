"""Softmax along the last axis on the GPU, and its logarithm for log_softmax.py (ops/ derives them).

Forward finds a row's largest number and the sum of its exponentials in one pass, so that memory is read once; the
second pass, which writes y, finds the row in the cache.
"""

import numpy as np

from tinygrad_gpt.kernels.cuda.machine.layout import not_ours, over_rows, pack, rows
from tinygrad_gpt.kernels.cuda.machine.source import load


def why_not(x, *, axis=-1):
    if axis not in (-1, x.ndim - 1):
        return "along the last axis only"
    return not_ours(x)


def forward(x, *, axis=-1):
    y = along_rows(x, logarithm=False)
    return y, (y,)


def backward(dy, saved):
    return (backward_along_rows(dy, *saved, logarithm=False),)


def along_rows(x, logarithm: bool):
    c = x.shape[-1]
    x_rows = rows(x, c)  # (..., C) -> (R, C)
    y = np.empty_like(x_rows)
    kernels = load("softmax", x.dtype, PACK=pack(c, x_rows, y))
    kernels.forward(*over_rows(len(y), c), x_rows, y, len(y), c, logarithm)
    return y.reshape(x.shape)


def backward_along_rows(dy, y, logarithm: bool):
    c = y.shape[-1]
    dy_rows, y_rows = rows(dy, c), rows(y, c)
    dx = np.empty_like(y_rows)
    kernels = load("softmax", y.dtype, PACK=pack(c, dy_rows, y_rows, dx))
    kernels.backward(*over_rows(len(dx), c), dy_rows, y_rows, dx, len(dx), c, logarithm)
    return dx.reshape(y.shape)
