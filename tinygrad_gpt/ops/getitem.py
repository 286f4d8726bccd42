"""Indexing: y = x[index], with everything that NumPy's indexing takes.

    x      array of any dtype
    index  integers, slices, `...`, None, integer arrays, boolean arrays, or a tuple of these
    y      a view of x for integers and slices alone (basic indexing), else a new array

Each element of y is a copy of one element of x; dx is zero but for those, which get the dy of their copies. Basic
indexing takes every element at most once, so dy is written to its place. Integer arrays may take one element many
times, and then its gradient is the sum over its copies: writing would keep only the last of them.

The index is saved as a copy, lists and arrays in it too: dx belongs to the elements that were taken.
"""

import operator
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import is_array
from tinygrad_gpt.sparse_rows import scatter_add


class Saved(NamedTuple):
    shape: tuple[int, ...]
    index: object


def forward(x, *, index):
    """Raises IndexError for an index that does not fit x."""
    index = _copied(index)
    try:
        y = x[index]
    except IndexError as error:
        raise IndexError(f"getitem: {error}, for x of shape {x.shape}") from None
    return y, Saved(x.shape, index)


def backward(dy, saved):
    shape, index = saved
    dx = np.zeros(shape, dy.dtype, like=dy)  # not zeros_like: shape=() means nothing to CuPy's
    # y = x[index]
    if _may_repeat(index):
        scatter_add(dx, index, dy)
    else:
        dx[index] = dy
    return (dx,)


def _copied(index):
    """The same index, in which nobody else can change anything."""
    if isinstance(index, tuple | list):
        parts = map(_copied, index)
        return tuple(parts) if isinstance(index, tuple) else list(parts)
    if isinstance(index, slice):
        return slice(*map(_copied, (index.start, index.stop, index.step)))
    if index is None or index is ... or isinstance(index, int | np.generic):
        return index
    if is_array(index):
        return index.copy()
    return operator.index(index) if hasattr(index, "__index__") else np.array(index)  # as NumPy's indexing takes it


def _may_repeat(index) -> bool:
    """Whether `index` can name an element of x more than once: only integer arrays (and lists) can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list) or (is_array(part) and part.dtype != bool) for part in parts)
