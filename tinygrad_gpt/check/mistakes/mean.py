"""Mistakes in the mean. Right is dy / n, stretched back over the averaged axes, with n elements in each mean."""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import count, kept_shape


def _stretched(dy, saved):
    shape, axes = saved
    return np.broadcast_to(dy.reshape(kept_shape(shape, axes)), shape)


@wrong_backward(
    "E19",
    "not divided by n: the gradient of a sum",
    why="each element is only the n-th part of its mean: when it grows by 1 the mean grows by 1/n",
    look="one of four numbers grows by 1: by how much does their mean grow?",
)
def not_divided(dy, saved):
    return (_stretched(dy, saved),)


@wrong_backward(
    "E20",
    "divided by the size of the last axis, whatever `axis` says",
    why="n is how many elements were put together: the sizes of the averaged axes, multiplied",
    look="x is (2, 3) and axis is 0: how many numbers are in each mean?",
)
def divided_by_the_last_axis(dy, saved):
    return (_stretched(dy, saved) / saved.shape[-1],)


@wrong_backward(
    "E56",
    "divided by the number of all elements of x, whatever `axis` says",
    why="n is how many elements are in one mean; along an axis there are many means, each of its own few",
    look="x is (2, 3) and axis is 0: how many numbers are in each mean?",
)
def divided_by_all(dy, saved):
    return (_stretched(dy, saved) / math.prod(saved.shape),)


@wrong_backward(
    "E57",
    "divided by the number of means, not by how many elements are in each",
    why="every mean is of n elements, and passes the n-th part of its dy to each; how many means there are is nothing "
    "to it",
    look="x is (2, 1000) and axis is 1: one element grows by 1, by how much does its mean grow?",
)
def divided_by_the_number_of_means(dy, saved):
    shape, axes = saved
    others = tuple(i for i in range(len(shape)) if i not in axes)
    return (_stretched(dy, saved) / count(shape, others),)


@wrong_backward(
    "E97",
    "divided by the size of the first of the averaged axes alone",
    why="n is how many elements were put together: the sizes of the averaged axes, multiplied",
    look="x is (2, 3, 4) and axis is (0, 2): how many numbers are in each mean?",
)
def divided_by_the_first_axis(dy, saved):
    return (_stretched(dy, saved) / saved.shape[saved.axes[0]] if saved.axes else _stretched(dy, saved),)
