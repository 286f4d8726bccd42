"""Sums over the last axes on the CPU (ops/sum.py; backward has nothing to compute).

A row is summed in pieces that the threads share out. Of a BLOCK of numbers float32 holds the sum, and float64 those of
all blocks, so that no sum is much longer than its rounding allows.
"""

import math

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, ON_DEMAND, not_ours, part
from tinygrad_gpt.ops._shapes import count, kept_shape, normalize_axes
from tinygrad_gpt.ops.sum import Saved, backward

__all__ = ["backward", "forward", "why_not"]

BLOCK = 256


def why_not(x, *, axis=None, keepdims=False):
    axes = normalize_axes("sum", axis, x.ndim)
    if axes != tuple(range(x.ndim - len(axes), x.ndim)):
        return "over the last axes only"
    return not_ours(x)


def forward(x, *, axis=None, keepdims=False):
    axes = normalize_axes("sum", axis, x.ndim)
    return sum_over_last(x, axes, keepdims), Saved(x.shape, axes)


def sum_over_last(x, axes: tuple[int, ...], keepdims: bool):
    x_rows = rows_of(x, axes)
    pieces = np.empty((len(x_rows), (x_rows.shape[1] + CHUNK - 1) // CHUNK))
    _sum_pieces(x_rows, pieces)
    return pieces.sum(axis=1).astype(x.dtype).reshape(reduced_shape(x.shape, axes, keepdims))


def rows_of(x, axes: tuple[int, ...]) -> np.ndarray:
    """x with the last axes, those that are reduced, as one: (..., a, b) -> (R, a b)."""
    c = count(x.shape, axes)
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[: x.ndim - len(axes)]), c)


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    return kept_shape(shape, axes) if keepdims else shape[: len(shape) - len(axes)]


@kernel(lambda f: (read(f, "R C"), write(types.float64, "R P")), **ON_DEMAND)
def _sum_pieces(share, x, pieces):
    r, chunks = pieces.shape
    for piece in my_part(share, r * chunks):
        i, chunk = piece // chunks, piece % chunks
        row, total = part(x[i], chunk), 0.0
        for first in range(0, row.size, BLOCK):
            block = row[first : first + BLOCK]
            subtotal = x.dtype.type(0)
            for j in range(block.size):
                subtotal += block[j]
            total += np.float64(subtotal)
        pieces[i, chunk] = total
