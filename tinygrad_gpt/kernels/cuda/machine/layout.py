"""Bring arrays into the layout that kernels expect, and say why some are left to the reference."""

import math

import cupy
import numpy as np

from tinygrad_gpt.array import FLOATS, Array

WARP = 32  # threads that run in step
THREADS = 256  # of a block, unless a kernel needs another number: enough to hide the latency of memory
MOST_BLOCKS = 65535  # in the second or third direction of a grid


def not_ours(*arrays) -> str | None:
    """Why no kernel takes these arrays, or None if it may. A None among them stands for an array that is left out."""
    for a in arrays:
        if a is None:
            continue
        if not isinstance(a, cupy.ndarray):
            return f"{type(a).__name__} is not a CuPy array"
        if a.dtype not in FLOATS:
            return f"compiled for float32 and float64, not {a.dtype}"
    return None


def contiguous(x: Array) -> Array:
    """x itself where its elements lie one after the other, else a copy in which they do."""
    return x if x.flags.c_contiguous else cupy.ascontiguousarray(x)  # which makes a 0-d array 1-d


def rows(x: Array, c: int) -> Array:
    """(..., c) -> (R, c), contiguous: a view where it can be, else a copy."""
    return contiguous(x).reshape(math.prod(x.shape[:-1]), c)


def ids(x: Array) -> Array:
    """Integers of any dtype, on the CPU or the GPU, as a contiguous int64 copy on the GPU. Writing into the integers
    between forward and backward changes nothing."""
    return cupy.asarray(x).astype(np.int64, order="C")


def blocks_for(n: int, threads: int = THREADS) -> int:
    """How many blocks it takes until each of n elements has a thread."""
    return (n + threads - 1) // threads


def pack(c: int, *arrays: Array) -> int:
    """How many numbers a kernel may load at once (PACK in rows.cuh) from rows of c in contiguous arrays: 16 bytes of
    them where every row begins at a multiple of 16 bytes, else 1."""
    wide = 16 // arrays[0].itemsize
    return wide if c % wide == 0 and all([a is None or a.data.ptr % 16 == 0 for a in arrays]) else 1


def over_rows(r: int, c: int) -> tuple[int, tuple[int, int]]:
    """(blocks, (threads for a row, rows for a block)) for kernels that go through each of r rows of c in a loop."""
    threads = (WARP, 8) if c <= 1024 else (256, 1)
    return blocks_for(r, threads[1]), threads
