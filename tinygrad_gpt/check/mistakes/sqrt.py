"""Mistakes in the square root. Right is dx = dy / 2y."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E08",
    "multiplied by 2y where it should be divided: dy 2y",
    why="y² = x gives 2y dy/dx = 1, so the slope is 1 over 2y; 2y is that of the square, the way back",
    look="does the root get steeper or flatter as x grows?",
)
def multiplied(dy, saved):
    return (dy * 2 * saved.y,)


@wrong_backward(
    "E31",
    "the 2 is lost: dy / y",
    why="√x is x to the power of 1/2, and the power rule brings the 1/2 down as a factor",
    look="√100 is 10: what is √102, to two digits behind the point, and what does your slope say?",
)
def two_lost(dy, saved):
    return (dy / saved.y,)


@wrong_backward(
    "E32",
    "the root of y where y itself belongs: dy / 2√y",
    why="the slope is 1 / 2√x, and √x is what is saved: its root was taken in forward already",
    look="is the array that you take the root of in backward x, or y?",
)
def root_of_y(dy, saved):
    return (dy / (2 * np.sqrt(saved.y)),)
