"""Looking up and scattering rows of a table on the CPU (ops/embedding.py).

Forward is a copy of rows, which NumPy does well. Backward adds rows of dy into those of dweight, or into the gradient
that the table already has (sparse_rows.SparseRows; a GPT's table is its output layer too). Two threads must not add to
one row, and the order of the additions decides the rounding. So the threads share out the channels: each goes through
all ids, in order, for its strip of channels.

An id decides where in memory a kernel writes. So it is the copy of the ids that is checked.
"""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import STRIP, check_dy, not_ours, rows
from tinygrad_gpt.ops._shapes import check_ids
from tinygrad_gpt.sparse_rows import SparseRows, scatter_add


def why_not(ids, weight):
    if not isinstance(ids, np.ndarray):
        return f"{type(ids).__name__} is not a NumPy array"
    return not_ours(weight)


def forward(ids, weight):
    ids = ids.astype(np.int64)
    check_ids("embedding", "ids", ids, len(weight))
    return weight[ids], (ids, weight.shape)  # (...) -> (..., C)


def backward(dy, saved):
    ids, (v, c) = saved
    check_dy("embedding", dy, (*ids.shape, c))
    # y = weight[ids]
    return None, SparseRows(ids.reshape(-1), rows(dy, c), v, _scatter_add)


def _scatter_add(dweight, ids, dy):
    if isinstance(dweight, np.ndarray) and dweight.flags.carray:
        _add_rows(dy, ids, dweight)
    else:
        scatter_add(dweight, ids, dy)


@kernel(lambda f: (read(f, "R C"), read(numba.int64, "R"), write(f, "V C")))
def _add_rows(share, dy, ids, dweight):
    """dweight[ids[r]] += dy[r] for every r."""
    c = dy.shape[1]
    for strip in my_part(share, (c + STRIP - 1) // STRIP):
        left, right = strip * STRIP, min((strip + 1) * STRIP, c)
        for r in range(ids.size):
            source, target = dy[r, left:right], dweight[ids[r], left:right]
            for j in range(right - left):
                target[j] += source[j]
