"""Bring arrays into the layout that kernels expect, and say why some are left to the reference."""

import math

import numpy as np
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels.numba.machine.compile import cannot_run, helper

CHUNK = 8192  # elements that an elementwise kernel hands to a thread at a time: they fit in the first-level cache
ALONE = 1 << 15  # elements: one thread has finished less work than this before others have begun
ON_DEMAND = {"alone_below": ALONE, "on_demand": True}  # how most kernels are made that no GPT's training needs,
BY_CHUNKS = ON_DEMAND | {"alone_below": CHUNK + 1}  # and those whose threads take chunks: one is the caller's
STRIP = 64  # columns that a kernel hands to a thread: whole cache lines, few enough that small layers have work for all


def not_ours(*arrays) -> str | None:
    """Why no kernel takes these arrays, or None if it may. A None among them stands for an array that is left out."""
    dtype = None
    for a in arrays:
        if a is None:
            continue
        if type(a) is not np.ndarray and not isinstance(a, np.ndarray):
            return f"{type(a).__name__} is not a NumPy array"
        if a.dtype not in FLOATS:
            return f"compiled for float32 and float64, not {a.dtype}"
        if not a.flags.aligned:
            return "the array is not aligned in memory"
        dtype = a.dtype
    return None if dtype is None else cannot_run(dtype)


def check_dy(op: str, dy: np.ndarray, shape: tuple[int, ...], dtype=None) -> None:
    """Raise ValueError unless dy has the shape of y, TypeError unless it has its dtype (None: either float dtype).

    Kernels compare sizes only, so an array of another shape with as many elements would pass. And the arrays that y was
    made from may have another shape by now.
    """
    if dy.shape != shape:
        raise ValueError(f"{op}: expected dy of shape {tuple(shape)}, got {tuple(dy.shape)}")
    if dy.dtype != dtype if dtype else dy.dtype not in FLOATS:
        raise TypeError(f"{op}: expected dy of {dtype or 'float32 or float64'}, got {dy.dtype}")


def for_product(a, a_transposed: bool, b, b_transposed: bool, bias=None, out=None) -> tuple:
    """(a, b, bias, c, K) for c = op(a) @ op(b) + bias, where op transposes if asked to: all contiguous, zeros in place
    of no bias, and c, which is `out` or empty. Raises ValueError for shapes that don't fit, or an `out` that is not
    contiguous, TypeError for dtypes: a product goes by addresses."""
    if a.ndim == b.ndim == 2:
        (m, k), (k_b, n) = a.shape[:: -1 if a_transposed else 1], b.shape[:: -1 if b_transposed else 1]
        if k == k_b and (bias is None or bias.shape == (n,)):
            if a.dtype == b.dtype and (bias is None or bias.dtype == a.dtype):
                bias = np.zeros(n, a.dtype) if bias is None else np.ascontiguousarray(bias)
                c = np.empty((m, n), a.dtype) if out is None else _to_write(out, (m, n), a.dtype)
                return np.ascontiguousarray(a), np.ascontiguousarray(b), bias, c, k
            raise TypeError(f"product: expected arrays of one dtype, got {a.dtype} and {b.dtype}")
    given = f"{a.shape}{'ᵀ' * a_transposed} and {b.shape}{'ᵀ' * b_transposed}"
    raise ValueError(
        f"product: expected shapes (M, K), (K, N) and (N,), got {given}{'' if bias is None else f' and {bias.shape}'}"
    )


def _to_write(out: np.ndarray, shape: tuple[int, int], dtype) -> np.ndarray:
    if out.shape != shape or out.dtype != dtype or not out.flags.carray:
        raise ValueError(
            f"product: expected a contiguous array {dtype}{shape} to write to, got {out.dtype}{out.shape} "
            f"by {out.strides}, {'writeable' if out.flags.writeable else 'read-only'}"
        )
    return out


def rows(x: np.ndarray, c: int) -> np.ndarray:
    """(..., c) -> (R, c), contiguous: a view where it can be, else a copy. Raises ValueError for another last axis."""
    if x.shape[-1:] != (c,):
        raise ValueError(f"expected an array of shape (..., {c}), got {x.shape}")
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]), c)


def flat(x: np.ndarray) -> np.ndarray:
    """(...) -> (N,), contiguous: a view where it can be, else a copy."""
    return np.ascontiguousarray(x).reshape(-1)


@intrinsic
def as_contiguous(typingctx, x):
    """Inside a kernel: a vector of any stride taken as one whose elements are adjacent, which the caller must know.

    It is for rows of views like q, k and v in one array (B, T, 3C). Numba sees only that their array has some strides,
    and would load the elements of a row one by one.
    """
    contiguous = x.copy(layout="C")

    def codegen(context, builder, signature, args):
        return impl_ret_borrowed(context, builder, contiguous, args[0])

    return contiguous(x), codegen


@helper()
def part(x, chunk):
    """Inside a kernel: chunk number `chunk` of the vector x.

    Counting from 0 in it, instead of from chunk * CHUNK in x, shows the compiler that no index is negative (which in
    Python would count from the end). Otherwise the loop would gather its elements one by one.
    """
    return x[chunk * CHUNK : min((chunk + 1) * CHUNK, x.size)]
