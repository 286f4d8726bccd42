"""Elementwise product with broadcasting: y = a * b.

    a, b  float arrays whose shapes broadcast
    y     their broadcast shape

dy reaches a through y = a * b with b held fixed, so da = dy * b, and likewise db = dy * a; where a side was broadcast,
its gradient is summed back to its shape.
"""

from typing import NamedTuple

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_broadcast, check_floats, sum_to_shape


class Saved(NamedTuple):
    a: Array
    b: Array


def check(a, b):
    """Raises TypeError for integers, ValueError for shapes that don't broadcast."""
    check_floats("mul", a, b)
    check_broadcast("mul", a, b)


def forward(a, b):
    return a * b, Saved(a, b)


def backward(dy, saved):
    a, b = saved
    # y = a * b
    return sum_to_shape(dy * b, a.shape), sum_to_shape(dy * a, b.shape)
