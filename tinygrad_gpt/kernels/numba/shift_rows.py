"""Windows of rows on the CPU: each is one copy, with zeros around it (ops/shift_rows.py)."""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import check_dy, flat, not_ours, rows
from tinygrad_gpt.ops.shift_rows import check


def why_not(x, first, *, keys):
    if not isinstance(first, np.ndarray):
        return f"{type(first).__name__} is not a NumPy array"
    return not_ours(x)


def forward(x, first, *, keys):
    check(x, first, keys=keys)  # a number decides where in memory a kernel reads
    first = np.broadcast_to(first, x.shape[:-1]).astype(np.int64)
    return _windows_of(x, first, keys), (first, x.shape[-1], keys)


def backward(dy, saved):
    first, columns, keys = saved
    check_dy("shift_rows", dy, (*first.shape, keys))
    # y[i, j] = x[i, first[i] + j]
    return _windows_of(dy, -first, columns), None


def _windows_of(x, first, n: int):
    y = np.empty((*first.shape, n), x.dtype)
    _windows(rows(x, x.shape[-1]), flat(first), rows(y, n))
    return y


@kernel(lambda f: (read(f, "N R"), read(numba.int64, "N"), write(f, "N K")), on_demand=True)
def _windows(share, x, first, y):
    """y[i, j] = x[i, first[i] + j], 0 where x has no such column."""
    r, n = x.shape[1], y.shape[1]
    for i in my_part(share, len(x)):
        low = min(max(-first[i], 0), n)
        high = max(min(r - first[i], n), low)
        y[i, :low] = 0
        y[i, low:high] = x[i, first[i] + low : first[i] + high]
        y[i, high:] = 0
