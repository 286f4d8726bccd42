"""Mistakes in the sum. Right is dy, stretched back over the summed axes."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import count, kept_shape


@wrong_backward(
    "E21",
    "dy is returned as it came, not stretched back to x's shape",
    why="every element of x has a gradient, so there are as many as x has elements: each gets the dy of its sum",
    look="which shape has x, and which has what you return?",
)
def not_stretched(dy, saved):
    return (dy,)


@wrong_backward(
    "E58",
    "divided by the number of summed elements, as if it were a mean",
    why="each element is in its sum with slope 1, however many others are in it",
    look="one of four numbers grows by 1: by how much does their sum grow?",
)
def as_a_mean(dy, saved):
    shape, axes = saved
    return (np.broadcast_to(dy.reshape(kept_shape(shape, axes)), shape) / count(shape, axes),)


@wrong_backward(
    "E59",
    "dy is broadcast as it is, without an axis of size 1 where one was summed",
    why="broadcasting counts axes from the last one: where the summed axis is missing, those before it line up with "
    "the wrong ones of x",
    look="x is (2, 3) and axis is 1, so dy is (2,): with which axis of (2, 3) does NumPy line it up?",
)
def lined_up_with_the_last_axes(dy, saved):
    return (np.broadcast_to(dy, saved.shape),)
