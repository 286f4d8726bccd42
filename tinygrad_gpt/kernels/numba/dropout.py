"""Dropout on the CPU in one pass: each element's random bits are computed where they are needed (ops/dropout.py)."""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, flat, not_ours, part
from tinygrad_gpt.kernels.numba.machine.random import random_bits
from tinygrad_gpt.random_stream import drop_threshold


def why_not(x, *, p, seed):
    return not_ours(x)


def forward(x, *, p, seed):
    return _apply(x, p, seed), (p, seed)


def backward(dy, saved):
    # y = keep * x / (1 - p)
    return (_apply(dy, *saved),)


def _apply(x, p: float, seed: int):
    y = np.empty(x.shape, x.dtype)
    _keep_or_drop(flat(x), np.uint64(seed), np.uint64(drop_threshold(p)), 1 / (1 - p), flat(y))
    return y


@kernel(lambda f: (read(f, "N"), types.uint64, types.uint64, f, write(f, "N")))
def _keep_or_drop(share, x, seed, threshold, scale, y):
    zero = x.dtype.type(0)
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, ys, first = part(x, chunk), part(y, chunk), np.uint64(chunk * CHUNK)
        for i in range(xs.size):
            ys[i] = xs[i] * scale if random_bits(seed, first + np.uint64(i)) >= threshold else zero
