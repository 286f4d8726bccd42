"""The sum of two arrays of one shape on the CPU (ops/add.py): a residual sum, shared out among the threads."""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import kernel, read, write
from tinygrad_gpt.kernels.numba._layout import CHUNK, flat, not_ours, part
from tinygrad_gpt.ops.add import Saved

_threads.start()


def why_not(a, b):
    if a.shape != b.shape:
        return "the shapes broadcast"
    return not_ours(a, b)


def forward(a, b):
    y = np.empty(a.shape, a.dtype)
    _add(flat(a), flat(b), flat(y))
    return y, Saved(a.shape, b.shape)


def backward(dy, saved):
    # y = a + b
    return dy, dy


@kernel(lambda f: (read(f, 1), read(f, 1), write(f, 1)))
def _add(a, b, y):
    for chunk in numba.prange((a.size + CHUNK - 1) // CHUNK):
        left, right, out = part(a, chunk), part(b, chunk), part(y, chunk)
        for i in range(out.size):
            out[i] = left[i] + right[i]
