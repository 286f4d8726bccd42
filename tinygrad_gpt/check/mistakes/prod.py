"""Mistakes in the product over axes. Right is dx_j = dy times the product of all the others."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import kept_shape


def _parts(dy, saved):
    """dy and the product, in a shape that broadcasts against x."""
    x, axes = saved
    return dy.reshape(kept_shape(x.shape, axes)), np.prod(x, axis=axes, keepdims=True)


@wrong_backward(
    "E66",
    "the product is divided by x_j, which gives nan where x_j is 0",
    why="the product of the others is an ordinary number where x_j is 0, but y / x_j is 0/0 there",
    look="what is the slope of x · 7 at x = 0, and what is y / x?",
)
def divided_by_zero(dy, saved):
    dy, y = _parts(dy, saved)
    return (dy * y / saved.x,)


@wrong_backward(
    "E67",
    "where x_j is 0 the gradient is set to 0",
    why="an element that is the only zero is the only one that moves the product: its slope is the product of all the "
    "others, which is not 0",
    look="0 · 7 is 0: and 0.1 · 7?",
)
def zero_at_zero(dy, saved):
    dy, y = _parts(dy, saved)
    return (np.where(saved.x == 0, 0.0, dy * y / saved.x),)


@wrong_backward(
    "E68",
    "x_j itself is left in: dy times the whole product",
    why="y is linear in x_j, and its slope is what x_j is multiplied with: the others, without x_j",
    look="y = 2 · 5: by how much does it grow when the 2 becomes 3?",
)
def whole_product(dy, saved):
    dy, y = _parts(dy, saved)
    return (np.broadcast_to(dy * y, saved.x.shape),)
