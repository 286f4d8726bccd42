"""The sum over the rows of an array on the GPU, added in the same order each time."""

import cupy

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.cuda.machine.layout import MOST_BLOCKS, blocks_for, contiguous
from tinygrad_gpt.kernels.cuda.machine.source import load

ROWS = 256  # that one block adds up: few enough that there are blocks for a whole GPU
COLUMNS = 32  # of a block: as many as a warp has threads
THREADS = 256


def sum_rows(x: Array) -> Array:
    """x.sum(axis=0): (R, C) -> (C,).

    Blocks cannot wait for each other, and if they added to one place in any order, the last bits would differ each
    time. So each block adds up some rows, and the sums of the blocks are added up in the same way.
    """
    x, (r, c) = contiguous(x), x.shape
    if r == 0:
        return cupy.zeros(c, x.dtype)
    while True:
        rows = max(ROWS, blocks_for(r, MOST_BLOCKS))
        sums = cupy.empty((blocks_for(r, rows), c), x.dtype)
        load("machine/sum_rows", x.dtype).part_sums((blocks_for(c, COLUMNS), len(sums)), THREADS, x, sums, r, c, rows)
        x, r = sums, len(sums)  # (R, C) -> (ceil(R / rows), C)
        if r == 1:
            return x[0]
