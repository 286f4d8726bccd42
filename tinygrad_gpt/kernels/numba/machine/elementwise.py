"""Kernels that apply a formula to each element: the loops, written once for all ops that need no other.

    def slope(dy, y):            # numbers of one float type
        return dy * y

    gradient = of_two(slope)
    dx = gradient(dy, y)         # arrays of one shape

A formula writes 1 as type(x)(1): an integer beside a float32 would make float64 of it.
"""

from collections.abc import Callable
from types import FunctionType

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import BY_CHUNKS, CHUNK, check_dy, flat, not_ours, part

FEW = 64  # elements that are added to each of several rows: with fewer, finding the rows would take longer than adding


def pair(op: str, value: Callable, gradient: Callable, *, keeps: str) -> tuple[Callable, Callable, Callable]:
    """(forward, backward, why_not) of an op on one array without settings: y = value(x) and dx = gradient(dy, kept),
    where forward keeps "x" or "y"."""
    values, gradients = of_one(value), of_two(gradient)

    def forward(x):
        y = values(x)
        return y, (x if keeps == "x" else y,)

    def backward(dy, saved):
        (kept,) = saved
        check_dy(op, dy, kept.shape, kept.dtype)
        return (gradients(dy, kept),)

    return forward, backward, not_ours


def of_one(formula: Callable) -> Callable:
    """A function of a float array that applies the formula to each element."""
    apply = kernel(lambda f: (read(f, "N"), write(f, "N")), **BY_CHUNKS)(_with(formula, _apply_to_one))

    def of_array(x):
        y = np.empty(x.shape, x.dtype)
        apply(flat(x), flat(y))
        return y

    return of_array


def of_two(formula: Callable, **options) -> Callable:
    """A function of float arrays a, and b of a's shape or that of its last axes, that applies the formula to each pair
    of elements. It raises ValueError for other shapes. `options` are those of `kernel`."""
    arguments = lambda f: (read(f, "R N"), read(f, "N"), write(f, "R N"))  # noqa: E731
    apply = kernel(arguments, **BY_CHUNKS | options)(_with(formula, _apply_to_two))

    def of_arrays(a, b):
        if not _repeats(b.shape, a.shape):
            raise ValueError(f"expected a second array of shape {a.shape} or its last axes, got {b.shape}")
        y = np.empty(a.shape, a.dtype)
        rows = (a.size // max(b.size, 1), b.size)
        apply(np.ascontiguousarray(a).reshape(rows), flat(b), y.reshape(rows))
        return y

    return of_arrays


def why_not_two(a, b) -> str | None:
    """Why what `of_two` gives leaves these arrays to the reference, or None."""
    if a.shape != b.shape and (b.size < FEW or not _repeats(b.shape, a.shape)):
        return f"takes one shape, or a second array of the last axes, with {FEW} elements or more"
    return not_ours(a, b)


def _repeats(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of this shape is repeated along the first axes of a whole one (or none)."""
    return shape == whole[max(0, len(whole) - len(shape)) :]


# --- kernels -----------------------------------------------------------------------------------------------------


def _with(formula: Callable, loop: Callable) -> Callable:
    """The loop with this formula in it, under a name of its own, by which Numba's cache tells it from the others."""
    own = FunctionType(loop.__code__, loop.__globals__ | {"formula": helper()(formula)}, formula.__name__)
    own.__module__, own.__qualname__ = formula.__module__, f"{formula.__module__}.{formula.__name__}"
    return own


def formula(*numbers):
    """What `_with` puts in its place."""
    raise NotImplementedError


def _apply_to_one(share, x, y):
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        xs, ys = part(x, chunk), part(y, chunk)
        for i in range(xs.size):
            ys[i] = formula(xs[i])


def _apply_to_two(share, a, b, y):
    r, n = a.shape
    chunks = (n + CHUNK - 1) // CHUNK
    for piece in my_part(share, r * chunks):
        row, chunk = piece // chunks, piece % chunks
        as_, bs, ys = part(a[row], chunk), part(b, chunk), part(y[row], chunk)
        for i in range(ys.size):
            ys[i] = formula(as_[i], bs[i])
