"""Mistakes in the larger of two. Right: dy goes to the larger one, and half of it to each where they are equal."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


@wrong_backward(
    "E79",
    "dy goes to the smaller one",
    why="y is the larger one, and moves with that alone",
    look="a is 5 and b is 2: which of them does y move with?",
)
def smaller_gets_dy(dy, saved):
    a, b = saved
    share = np.where(a == b, 0.5 * dy, dy)
    return sum_to_shape(np.where(a > b, 0.0, share), a.shape), sum_to_shape(np.where(a < b, 0.0, share), b.shape)


@wrong_backward(
    "E80",
    "both get dy everywhere",
    why="the smaller one is not in y: it may move a little and nothing happens",
    look="a is 5 and b is 2: what does y do when b becomes 2.1?",
)
def both_get_dy(dy, saved):
    a, b = saved
    return sum_to_shape(dy, a.shape), sum_to_shape(dy, b.shape)


@wrong_backward(
    "E81",
    "where a and b are equal, each gets all of dy",
    why="the shares then add up to 2 dy: moved together, a and b move y once, not twice. This op gives half to each",
    look="a and b are both 5 and both grow by 0.1: by how much does y grow, and by how much do your gradients say?",
)
def ties_counted_twice(dy, saved):
    a, b = saved
    return sum_to_shape(np.where(a >= b, dy, 0.0), a.shape), sum_to_shape(np.where(b >= a, dy, 0.0), b.shape)


@wrong_backward(
    "E82",
    "where a and b are equal, a gets all of dy",
    why="that is one of the slopes at the kink, but swapping a and b then does not swap the gradients. This op gives "
    "half to each",
    look="what becomes of your gradients when equal a and b change places?",
)
def ties_go_to_a(dy, saved):
    a, b = saved
    return sum_to_shape(np.where(a >= b, dy, 0.0), a.shape), sum_to_shape(np.where(a >= b, 0.0, dy), b.shape)
