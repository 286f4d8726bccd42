"""Each row moved by a number of its own: scores by distance, of queries that stand at places of their own.

    x      (..., T, R)         x[i, c]: what query i makes of the relative position that column c stands for
    first  integers, (..., T)  the column that each query reads for key 0; it broadcasts to the rows of x
    keys   integer >= 0        K
    y      (..., T, K)         y[i, j]: what query i makes of the position of key j

    y[i, j] = x[i, first[i] + j]       0 where x has no such column

rel_shift is the case first[i] = first[0] - i, of queries that follow each other, for which no number need move. XLNet's
targets stand anywhere, in each text elsewhere.

A row of y is a window of the row of x, and so an element of x is in y once or not at all (x[i, c] at j = c - first[i]).
Its gradient is that of its place in y, which is a window again:

    dx[i, c] = dy[i, c - first[i]]     0 where y has no such column

`first` is not differentiable. A copy of it is saved: dx belongs to the elements that were read.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    first: Array  # (..., T) int64
    columns: int  # R


def check(x, first, *, keys):
    """Raises TypeError for dtypes, ValueError for a `first` that does not fit the rows, and for keys below 0."""
    check_floats("shift_rows", x)
    if first.dtype.kind not in "iu":
        raise TypeError(f"shift_rows: expected integers as first, got {first.dtype}: convert with .astype(np.int64)")
    if (
        x.ndim < 2
        or first.ndim != x.ndim - 1
        or any(n not in (1, m) for n, m in zip(first.shape, x.shape, strict=False))
    ):
        raise ValueError(
            "shift_rows: expected x of shape (..., T, R) and first of shape (..., T) or with axes of size 1, got "
            f"{tuple(x.shape)} and {tuple(first.shape)}"
        )
    if keys < 0:
        raise ValueError(f"shift_rows: expected keys >= 0, got {keys}")


def forward(x, first, *, keys):
    first = first.astype(np.int64)
    return _windows(x, first, keys), Saved(first, x.shape[-1])


def backward(dy, saved):
    first, columns = saved
    # y[i, j] = x[i, first[i] + j]
    return _windows(dy, -first, columns), None


def _windows(x: Array, first: Array, n: int) -> Array:
    """Of each row i of x (..., R), the columns first[i] ... first[i] + n - 1, 0 where x has none: (..., n)."""
    r = x.shape[-1]
    columns = first[..., np.newaxis] + np.arange(n, like=first)  # (..., T, n)
    if r == 0:
        return np.zeros((*x.shape[:-1], n), x.dtype, like=x)
    there = (columns >= 0) & (columns < r)
    return np.where(there, np.take_along_axis(x, np.where(there, columns, 0), axis=-1), 0.0)
