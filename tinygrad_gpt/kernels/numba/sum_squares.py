"""The sum of squares on the CPU (ops/sum_squares.py): each chunk's in float64, then those added in order."""

import numba
import numpy as np

from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import CHUNK, flat, not_ours, part

_threads.start()


def why_not(x):
    return not_ours(x)


def run(x) -> float:
    """Σ x², as a Python float."""
    parts = np.empty(-(-x.size // CHUNK))
    _sum_squares(flat(x), parts)
    return float(parts.sum())


@kernel(lambda f: (read(f, 1), write(numba.float64, 1)))
def _sum_squares(share, x, parts):
    for chunk in of(share, parts.size):
        total = 0.0
        xs = part(x, chunk)
        for i in range(xs.size):
            total += np.float64(xs[i]) * np.float64(xs[i])
        parts[chunk] = total
