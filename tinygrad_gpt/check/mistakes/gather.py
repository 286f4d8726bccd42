"""A mistake in gather. Right: an element that was taken k times gets the sum of its k dy."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E93",
    "an element that was taken more than once gets the last dy alone: = or += by an index",
    why="each copy is a path of its own to the loss, and paths add up; NumPy's dx[index] += dy reads all of dx first "
    "and writes once for each place",
    look="x[0] is taken three times, and dx[[0, 0, 0]] += 1: what is dx[0] then?",
)
def last_one_wins(dy, saved):
    dx = np.zeros(saved.shape, dy.dtype)
    dx[saved.places] = dy
    return dx, None
