"""Mistakes in the running sum. Right is a running sum of dy from the end: dx_j = Σ_{i >= j} dy_i."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E69",
    "dy is summed from the beginning: the running sum once more",
    why="x_j is in y_j and in all that come after it, so that dy comes to it from there, from the end",
    look="in which of y_0, y_1, y_2 is x_0, and in which is x_2?",
)
def from_the_beginning(dy, saved):
    return (np.cumsum(dy, axis=saved.axis),)


@wrong_backward(
    "E70",
    "the sum from the end is not turned back",
    why="dy was turned round to be summed from the end, so that the first result belongs to the last element",
    look="dy turned round begins with the dy of the last element: where does its sum stand in what you return?",
)
def not_turned_back(dy, saved):
    return (np.cumsum(np.flip(dy, saved.axis), axis=saved.axis),)


@wrong_backward(
    "E71",
    "the element's own dy is left out: Σ_{i > j} dy_i",
    why="x_j is in y_j too, with slope 1",
    look="y_0 is x_0 alone: which dy does x_0 get from there?",
)
def own_left_out(dy, saved):
    from_the_end = np.flip(np.cumsum(np.flip(dy, saved.axis), axis=saved.axis), saved.axis)
    return (from_the_end - dy,)


@wrong_backward(
    "E72",
    "summed along the last axis, whatever `axis` says",
    why="an element is in the sums along the axis that forward summed along, and in no others",
    look="along which axis did forward sum?",
)
def along_the_last_axis(dy, saved):
    return (np.flip(np.cumsum(np.flip(dy, -1), axis=-1), -1),)
