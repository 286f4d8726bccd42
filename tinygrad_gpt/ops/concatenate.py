"""Join arrays along an axis.

    arrays  one or more, of one dtype, alike in every size but that of `axis`
    y       the same shape, with the sum of their sizes along `axis`

Every element of y is an element of one array, so each array's gradient is its own stretch of dy (a view of it).
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops._shapes import normalize_axis


class Saved(NamedTuple):
    sizes: tuple[int, ...]  # of each array along the axis
    axis: int


def check(*arrays, axis=0):
    """Raises ValueError for no arrays, for an axis that they lack, and for shapes that don't fit together."""
    if not arrays:
        raise ValueError("concatenate: expected at least one array, got none")
    axis = normalize_axis("concatenate", axis, arrays[0].ndim)
    shapes = [tuple(a.shape) for a in arrays]
    if len({(len(s), s[:axis], s[axis + 1 :]) for s in shapes}) > 1:
        given = ", ".join(map(str, shapes))
        raise ValueError(f"concatenate: expected shapes that are alike but for axis {axis}, got {given}")
    if len({a.dtype for a in arrays}) > 1:
        given = ", ".join(str(a.dtype) for a in arrays)
        raise TypeError(f"concatenate: expected arrays of one dtype, got {given}: convert with .astype()")


def forward(*arrays, axis=0):
    axis = axis % arrays[0].ndim
    return np.concatenate(arrays, axis=axis), Saved(tuple(a.shape[axis] for a in arrays), axis)


def backward(dy, saved):
    before = (slice(None),) * saved.axis
    grads, start = [], 0
    for size in saved.sizes:
        # y[start : start + size] = array, along the axis
        grads.append(dy[(*before, slice(start, start + size))])
        start += size
    return tuple(grads)
