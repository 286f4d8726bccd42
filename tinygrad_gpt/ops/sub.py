"""Elementwise difference with broadcasting: y = a - b.

    a, b  float arrays whose shapes broadcast
    y     their broadcast shape

dy/da = 1 and dy/db = -1: dy goes to a as it is and to b negated, summed back to a side's shape where that was
broadcast. Only the shapes are saved.
"""

from typing import NamedTuple

from tinygrad_gpt.ops._shapes import check_broadcast, check_floats, sum_to_shape


class Saved(NamedTuple):
    a_shape: tuple[int, ...]
    b_shape: tuple[int, ...]


def check(a, b):
    """Raises TypeError for integers, ValueError for shapes that don't broadcast."""
    check_floats("sub", a, b)
    check_broadcast("sub", a, b)


def forward(a, b):
    return a - b, Saved(a.shape, b.shape)


def backward(dy, saved):
    # y = a - b
    return sum_to_shape(dy, saved.a_shape), -sum_to_shape(dy, saved.b_shape)
