"""Bringing arrays into the layout that kernels expect, and the reasons to leave some to the reference."""

import math

import numpy as np
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels.numba._compile import cannot_run, helper

CHUNK = 8192  # elements that an elementwise kernel hands to a thread at a time: they fit in the first-level cache
ALONE = 1 << 15  # multiplications or so: less work than this one thread has done before others have begun
STRIP = 64  # columns that a kernel hands to a thread: whole cache lines, few enough that small layers have work for all


def not_ours(*arrays) -> str | None:
    """Why no kernel takes these arrays (None among them is passed over), or None if it may."""
    for a in arrays:
        if a is None:
            continue
        if type(a) is not np.ndarray and not isinstance(a, np.ndarray):
            return f"{type(a).__name__} is not a NumPy array"
        if a.dtype not in FLOATS:
            return f"compiled for float32 and float64, not {a.dtype}"
        if not a.flags.aligned:
            return "the array is not aligned in memory"
    first = next((a for a in arrays if a is not None), None)
    return None if first is None else cannot_run(first.dtype)


def rows(x: np.ndarray, c: int) -> np.ndarray:
    """(..., c) -> (R, c), contiguous: a view where it can be, else a copy."""
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]), c)


def flat(x: np.ndarray) -> np.ndarray:
    """(...) -> (N,), contiguous: a view where it can be, else a copy."""
    return np.ascontiguousarray(x).reshape(-1)


@intrinsic
def as_contiguous(typingctx, x):
    """Inside a kernel: a vector of any stride taken as one whose elements are adjacent, which the caller must know.

    For rows of views like q, k and v in one array (B, T, 3C): Numba sees only that such an array has some strides, and
    would load the elements of a row one by one.
    """
    contiguous = x.copy(layout="C")

    def codegen(context, builder, signature, args):
        return impl_ret_borrowed(context, builder, contiguous, args[0])

    return contiguous(x), codegen


@helper()
def part(x, chunk):
    """Inside a kernel: chunk number `chunk` of the vector x.

    Counting from 0 in it, instead of from chunk * CHUNK in x, shows the compiler that no index is negative (which in
    Python would count from the end); otherwise the loop gathers its elements one by one, six times slower.
    """
    return x[chunk * CHUNK : min((chunk + 1) * CHUNK, x.size)]
