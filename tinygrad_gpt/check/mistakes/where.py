"""Mistakes in where. Right: dy goes to the side that was chosen, and 0 to the other."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


@wrong_backward(
    "E76",
    "the condition is inverted: dy goes to the side that was not chosen",
    why="where the condition holds y is a, and moves with a alone",
    look="where the condition holds, which of a and b is y?",
)
def condition_inverted(dy, saved):
    condition, a_shape, b_shape = saved
    da, db = np.where(condition, 0.0, dy), np.where(condition, dy, 0.0)
    return None, sum_to_shape(da, a_shape), sum_to_shape(db, b_shape)


@wrong_backward(
    "E77",
    "both sides get dy everywhere",
    why="an element that was not chosen is not in y: it may move and nothing happens",
    look="where the condition holds, what does y do when b grows?",
)
def both_get_dy(dy, saved):
    _, a_shape, b_shape = saved
    return None, sum_to_shape(dy, a_shape), sum_to_shape(dy, b_shape)
