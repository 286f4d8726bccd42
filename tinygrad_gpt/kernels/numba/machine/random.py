"""The bits of random_stream.random_bits, one element at a time, for kernels that drop without storing a mask."""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.machine.vector_math import either
from tinygrad_gpt.random_stream import GAMMA, MIX1, MIX2

GAMMA, MIX1, MIX2 = np.uint64(GAMMA), np.uint64(MIX1), np.uint64(MIX2)
ONE, S30, S27, S31, S40 = np.uint64(1), np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(40)


@helper()
def random_bits(seed, n):
    """The 24 bits of element n; seed and n are uint64 (with a signed integer, Numba would compute in float64)."""
    z = seed + (n + ONE) * GAMMA
    z = (z ^ (z >> S30)) * MIX1
    z = (z ^ (z >> S27)) * MIX2
    return (z ^ (z >> S31)) >> S40


@helper()
def drop(row, n, seed, first, step, threshold, scale):
    """Drop some of row[:n] and scale the others, in place. Its elements have the numbers first, first + step, ..."""
    zero = row.dtype.type(0)
    for j in range(n):
        keep = random_bits(seed, np.uint64(first) + np.uint64(j) * np.uint64(step)) >= threshold
        row[j] = either(keep, row[j] * scale, zero)
