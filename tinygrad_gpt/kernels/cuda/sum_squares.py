"""The sum of squares on the GPU (ops/sum_squares.py): each piece's in float64, then those added in order.

The sum stays on the GPU. Making a Python number of it waits for the GPU: once a step, for the norm of the gradient.
"""

import cupy
import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.cuda.machine.layout import THREADS, blocks_for, contiguous, not_ours
from tinygrad_gpt.kernels.cuda.machine.many import PIECE, launches


def why_not(*arrays):
    if len({a.dtype for a in arrays}) != 1:
        return "no array, or arrays of several dtypes"
    return not_ours(*arrays)


def run(*arrays) -> Array:
    """Σ x² over all of them, as a 0-d array of float64."""
    arrays = [contiguous(a) for a in arrays if a.size > 0]
    sums = cupy.empty(sum([blocks_for(a.size, PIECE) for a in arrays]), np.float64)
    total, done = cupy.zeros((), np.float64), 0
    for kernels, blocks, table in launches("sum_squares", arrays) if arrays else ():
        kernels.pieces(blocks, THREADS, table, sums[done:])
        done += blocks
    if arrays:
        kernels.sum(1, 1024, sums, total, sums.size)
    return total
