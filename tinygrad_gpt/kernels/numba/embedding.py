"""Looking up and scattering rows of a table on the CPU (ops/embedding.py).

Forward is a copy of rows, which NumPy does well. Backward adds rows of dy into those of dweight: into the gradient that
the table has already, where it has one (array.Rows; a GPT's table is its output layer too). Two threads must not
add to one row, and the order of the additions decides the rounding, so the threads share out the channels: each goes
through all ids, in order, for its strip of channels.
"""

from typing import NamedTuple

import numba
import numpy as np

from tinygrad_gpt.array import Array, Rows, scatter_add
from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import STRIP, not_ours, rows

_threads.start()


class Saved(NamedTuple):
    ids: Array  # (...)
    weight_shape: tuple[int, int]


def why_not(ids, weight):
    if not isinstance(ids, np.ndarray):
        return f"{type(ids).__name__} is not a NumPy array"
    return not_ours(weight)


def forward(ids, weight):
    return weight[ids], Saved(ids, weight.shape)  # (...) -> (..., C)


def backward(dy, saved):
    ids, (v, c) = saved
    # y = weight[ids]
    return None, Rows(np.ascontiguousarray(ids.reshape(-1), dtype=np.int64), rows(dy, c), v, _scatter_add)


def _scatter_add(dweight, ids, dy):
    if isinstance(dweight, np.ndarray) and dweight.flags.c_contiguous and dweight.dtype == dy.dtype:
        _add_rows(dy, ids, dweight)
    else:
        scatter_add(dweight, ids, dy)


@kernel(lambda f: (read(f, "R C"), read(numba.int64, "R"), write(f, "V C")))
def _add_rows(share, dy, ids, dweight):
    """dweight[ids[r]] += dy[r] for every r."""
    c = dy.shape[1]
    for strip in of(share, (c + STRIP - 1) // STRIP):
        left, right = strip * STRIP, min((strip + 1) * STRIP, c)
        for r in range(ids.size):
            source, target = dy[r, left:right], dweight[ids[r], left:right]
            for j in range(right - left):
                target[j] += source[j]
