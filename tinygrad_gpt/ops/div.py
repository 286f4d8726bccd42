"""Elementwise quotient with broadcasting: y = a / b.

    a, b  float arrays whose shapes broadcast
    y     their broadcast shape

With b held fixed y is linear in a: da = dy / b. With a held fixed, dy/db = -a/b² = -y/b, so db = -(dy / b) · y, which
needs the quotient and not a: y is saved, being alive anyway as the output. Where a side was broadcast, its gradient is
summed back to its shape. A zero in b gives what NumPy gives, inf or nan, in the gradients too.
"""

from typing import NamedTuple

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_broadcast, check_floats, sum_to_shape


class Saved(NamedTuple):
    a_shape: tuple[int, ...]
    b: Array
    y: Array


def check(a, b):
    """Raises TypeError for integers, ValueError for shapes that don't broadcast."""
    check_floats("div", a, b)
    check_broadcast("div", a, b)


def forward(a, b):
    y = a / b
    return y, Saved(a.shape, b, y)


def backward(dy, saved):
    a_shape, b, y = saved
    # y = a / b
    da = dy / b
    db = -da * y
    return sum_to_shape(da, a_shape), sum_to_shape(db, b.shape)
