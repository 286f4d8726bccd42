"""The sum of squares on the CPU (ops/sum_squares.py): each piece's in float64, then those added in order."""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import not_ours
from tinygrad_gpt.kernels.numba.machine.many import addresses, check_alike, pieces, vector_at


def why_not(*arrays):
    if len({a.dtype for a in arrays}) != 1:
        return "no array, or arrays of several dtypes"
    return not_ours(*arrays)


def run(*arrays) -> float:
    """Σ x² over all of them, as a Python float."""
    check_alike("sum_squares", arrays=arrays)
    arrays = [np.ascontiguousarray(a) for a in arrays]
    parts = pieces(tuple([a.size for a in arrays]))
    totals = np.empty(len(parts))
    _sum_squares(np.empty(0, arrays[0].dtype), addresses(arrays)[:, 0].copy(), parts, totals)
    return float(totals.sum())


@kernel(lambda f: (read(f, "0"), read(numba.int64, "P"), read(numba.int64, "N 3"), write(numba.float64, "N")))
def _sum_squares(share, like, arrays, parts, totals):
    """The sum of each of the `parts` (N, 3), in float64, of arrays whose dtype is that of `like`."""
    for i in my_part(share, len(parts)):
        a, first, n = parts[i]
        x = vector_at(arrays[a], first, n, like)
        total = 0.0
        for j in range(n):
            total += np.float64(x[j]) * np.float64(x[j])
        totals[i] = total
