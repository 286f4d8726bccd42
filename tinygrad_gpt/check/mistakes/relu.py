"""Mistakes in relu. Right is dx = dy where x > 0 (which is where y > 0), else 0."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E11",
    "the sign of dy decides where dy passes, not that of x",
    why="whether the output moves with the input was decided in forward, by x; a negative dy passes as well as a "
    "positive one",
    look="x is 2 and dy is -1: should x not grow, since that lowers the loss?",
    source="Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014: on purpose, for pictures",
)
def masked_by_dy(dy, saved):
    return (np.where(dy > 0, dy, 0.0),)


@wrong_backward(
    "E45",
    "the mask is inverted: dy passes where x is negative",
    why="where x > 0 the output is x and moves with it; where x < 0 it stays 0 whatever x does",
    look="x is -2 and grows a little: what does relu(x) do?",
)
def mask_inverted(dy, saved):
    return (np.where(saved.y > 0, 0.0, dy),)


@wrong_backward(
    "E46",
    "multiplied by the output itself: dy y",
    why="the slope where x > 0 is 1, for every x: it tells whether y is positive, not how large it is",
    look="how steep is relu at x = 1, and at x = 100?",
)
def times_the_output(dy, saved):
    return (dy * saved.y,)
