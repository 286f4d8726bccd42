"""Pick elements along an axis, each row its own: the probability of the right class, the values of the k best.

    x      float array
    index  integers, with as many axes as x and no larger than x but along `axis`; the elements 0 .. N-1 of that axis
    axis   the axis that index counts along
    y      shaped like index

    y[i, j, k] = x[i, index[i, j, k], k]        for axis 1 of three

Each element of y is a copy of one element of x, which gets its dy. The same element may be taken many times, and then
its gradient is the sum over its copies:

    dx[i, m, k] = Σ_j dy[i, j, k] where index[i, j, k] = m

What was not taken has gradient 0. The index is not differentiable. A copy of it is saved: dx belongs to the elements
that were taken.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import along, check_floats, check_ids, normalize_axis
from tinygrad_gpt.sparse_rows import scatter_add


class Saved(NamedTuple):
    shape: tuple[int, ...]
    places: tuple[Array, ...]  # for each axis of x the place of every element taken; they broadcast to y's shape


def check(x, index, *, axis):
    """Raises TypeError for dtypes, ValueError for an axis that x lacks and an index of another shape, IndexError for
    one out of range."""
    check_floats("gather", x)
    check_index("gather", x, index, axis)


def check_index(op: str, x: Array, index: Array, axis: int) -> None:
    axis = normalize_axis(op, axis, x.ndim)
    if index.ndim != x.ndim or any(n > x.shape[i] for i, n in enumerate(index.shape) if i != axis):
        raise ValueError(
            f"{op}: expected an index with the axes of x, none larger but axis {axis}, "
            f"got x of shape {tuple(x.shape)} and an index of shape {tuple(index.shape)}"
        )
    check_ids(op, "index", index, x.shape[axis])


def forward(x, index, *, axis):
    axis = normalize_axis("gather", axis, x.ndim)
    places = [along(i, n, index) for i, n in enumerate(index.shape)]
    places[axis] = index.astype(np.int64)
    return x[tuple(places)], Saved(x.shape, tuple(places))


def backward(dy, saved):
    shape, places = saved
    dx = np.zeros_like(dy, shape=shape)
    # y = x[places]
    scatter_add(dx, places, dy)
    return dx, None
