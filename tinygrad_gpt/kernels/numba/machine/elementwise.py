"""Kernels that apply a formula to each element: the loops, written once for all ops that need no other.

    def slope(dy, y):                  # numbers of one float type
        return dy * y

    _forward, _backward = of_one(exp), of_two(slope)
    _forward(flat(x), flat(y))         # y = exp(x)
    _backward(dy, y, dx)               # dx (R, N) = slope(dy, y) of dy (R, N) and y (N,), for each of R rows

A formula writes 1 as type(x)(1): an integer beside a float32 would make float64 of it.
"""

from collections.abc import Callable
from types import FunctionType

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import Kernel, helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, check_dy, flat, not_ours, part

FEW = 64  # elements that are added to each of several rows: with fewer, finding the rows would take longer than adding
OPTIONS = {"alone_below": CHUNK + 1, "on_demand": True}  # one chunk is one thread's


def pair(op: str, value: Callable, gradient: Callable, *, keeps: str) -> tuple[Callable, Callable]:
    """(forward, backward) of an op on one array without settings: y = value(x) and dx = gradient(dy, kept), where
    forward keeps "x" or "y"."""
    kernel_forward, kernel_backward = of_one(value), of_two(gradient)

    def forward(x):
        y = np.empty(x.shape, x.dtype)
        kernel_forward(flat(x), flat(y))
        return y, (x if keeps == "x" else y,)

    def backward(dy, saved):
        (kept,) = saved
        check_dy(op, dy, kept.shape, kept.dtype)
        return (of_broadcast(kernel_backward, dy, kept),)

    return forward, backward


def of_one(formula: Callable) -> Kernel:
    """The kernel y = formula(x), for x and y (N,)."""
    return kernel(lambda f: (read(f, "N"), write(f, "N")), **OPTIONS)(_with(formula, _apply_to_one))


def of_two(formula: Callable, **options) -> Kernel:
    """The kernel y = formula(a, b), for a and y (R, N) and b (N,). `options` are those of `kernel`."""
    arrays = lambda f: (read(f, "R N"), read(f, "N"), write(f, "R N"))  # noqa: E731
    return kernel(arrays, **OPTIONS | options)(_with(formula, _apply_to_two))


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


# --- arrays ------------------------------------------------------------------------------------------------------


def why_not_two(a, b) -> str | None:
    """Why `of_broadcast` leaves these two arrays to the reference, or None."""
    if a.shape != b.shape and (b.size < FEW or not _repeats(b.shape, a.shape)):
        return f"takes one shape, or a second array of the last axes, with {FEW} elements or more"
    return not_ours(a, b)


def of_broadcast(kernel_of_two: Kernel, a, b) -> np.ndarray:
    """formula(a, b), where b has a's shape or that of its last axes. Raises ValueError for other shapes."""
    if a.shape != b.shape and not _repeats(b.shape, a.shape):
        raise ValueError(f"expected a second array of shape {a.shape} or its last axes, got {b.shape}")
    y = np.empty(a.shape, a.dtype)
    rows = (a.size // max(b.size, 1), b.size)
    kernel_of_two(np.ascontiguousarray(a).reshape(rows), flat(b), y.reshape(rows))
    return y


def _repeats(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of this shape is repeated along the first axes of a whole one."""
    return shape == whole[max(0, len(whole) - len(shape)) :]
