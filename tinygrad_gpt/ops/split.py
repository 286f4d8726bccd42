"""Cut an array into pieces along an axis. An op with several outputs: forward returns a tuple, backward gets one.

    x      array of any dtype
    sizes  a tuple with the size of each piece
    axis   the axis to cut
    ys     the pieces, views of x

Every element of x is in one piece, so dx is the pieces' gradients joined again. Where they lie in memory side by side
already, as attention leaves the gradients of q, k and v, that takes no copy.
"""

from typing import NamedTuple

from tinygrad_gpt.memory import concatenate_views
from tinygrad_gpt.ops._shapes import normalize_axis


class Saved(NamedTuple):
    axis: int


def check(x, *, sizes, axis=0):
    """Raises ValueError for an axis that x lacks and for sizes that don't add up to its size."""
    axis = normalize_axis("split", axis, x.ndim)
    size = x.shape[axis]
    if not sizes or sum(sizes) != size or min(sizes) < 0:
        raise ValueError(
            f"split: expected sizes that add up to the {size} elements of axis {axis} (x has shape {x.shape}), "
            f"got {sizes}"
        )


def forward(x, *, sizes, axis=0):
    axis = axis % x.ndim
    before = (slice(None),) * axis
    pieces, start = [], 0
    for size in sizes:
        pieces.append(x[(*before, slice(start, start + size))])
        start += size
    return tuple(pieces), Saved(axis)


def backward(dys, saved):
    # y_0, y_1, ... = the pieces of x along the axis
    return (concatenate_views(dys, saved.axis),)
