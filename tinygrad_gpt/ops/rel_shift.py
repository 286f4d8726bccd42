"""Scores by distance, moved to where their keys are (Dai et al., "Transformer-XL", 2019, appendix B).

    x      (..., T, R)     x[i, c]: what query i makes of the relative position that column c stands for
    first  integer         the column that query 0 reads for key 0
    keys   integer >= 0    K
    y      (..., T, K)     y[i, j]: what query i makes of the position of key j

    y[i, j] = x[i, first + j - i]       0 where x has no such column

How far a key is from a query depends on j - i alone. So the product of all queries with all R positions holds every
score that is needed, but each row begins one place further to the left: query 1 is one step nearer to all keys on its
right. Transformer-XL has first = T - 1 and R = K (what lies right of the diagonal finds no column, and is masked
anyway), XLNet first = T and R = T + K.

No number need move. Let a row be the columns first - T ... first + K - 1, of which some may be missing and are 0:

    wide[i, m] = x[i, first - T + m]    m < T + K,   so that    y[i, j] = wide[i, T + j - i]

In memory, row after row, that element has the number i (T + K) + T + j - i = T + i (T + K - 1) + j. Without the first T
numbers, and cut into rows that are one number shorter, it stands in row i, column j:

    T = 2, K = 3      a b c d e     without a b,      c d e f
                      f g h i j     cut anew:         g h i j       y: their first K columns

This takes no time: a view of the same memory with other strides.

Each element of x is in y once or not at all (x[i, c] at j = c + i - first). So its gradient is that of its place in y:

    dx[i, c] = dy[i, c + i - first]     0 where y has no such column

Backward takes the two lines in reverse: dy is written into a wide array of zeros through the same view, and of the wide
array's columns those are dx that x had.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    shape: tuple[int, ...]  # (..., T, R)
    first: int


def check(x, *, first, keys):
    """Raises TypeError for integers as x, ValueError for fewer than two axes and a negative number of keys."""
    check_floats("rel_shift", x)
    if x.ndim < 2:
        raise ValueError(f"rel_shift: expected x of shape (..., T, R), got {tuple(x.shape)}")
    if keys < 0:
        raise ValueError(f"rel_shift: expected keys >= 0, got {keys}")


def forward(x, *, first, keys):
    t = x.shape[-2]
    wide = _columns(x, first - t, t + keys)  # (..., T, R) -> (..., T, T + K)
    return _cut_anew(wide, keys), Saved(x.shape, first)  # (..., T, T + K) -> (..., T, K)


def backward(dy, saved):
    shape, first = saved
    t, keys = dy.shape[-2:]
    # y = _cut_anew(wide, keys)
    dwide = np.zeros((*shape[:-1], t + keys), dy.dtype, like=dy)
    _cut_anew(dwide, keys)[...] = dy
    # wide = _columns(x, first - t, t + keys): x[i, c] is wide[i, t - first + c]
    return (_columns(dwide, t - first, shape[-1]),)


def _columns(x: Array, start: int, n: int) -> Array:
    """Columns start ... start + n - 1 of x (..., R), 0 where x has none: (..., n). A view if x has them all."""
    low, high = max(start, 0), min(start + n, x.shape[-1])
    if low == start and high == start + n:
        return x[..., low:high]
    columns = np.zeros((*x.shape[:-1], n), x.dtype, like=x)
    if low < high:
        columns[..., low - start : high - start] = x[..., low:high]
    return columns


def _cut_anew(wide: Array, keys: int) -> Array:
    """y of the docstring: (..., T, T + K) -> (..., T, K). A view if `wide` lies row after row."""
    *batch, t, n = wide.shape
    if t == 0:
        return wide[..., :keys]
    rows = wide.reshape(*batch, t * n)[..., t:].reshape(*batch, t, n - 1)
    return rows[..., :keys]
