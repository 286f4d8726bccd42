"""Mistakes in the maximum over axes. Right: dy goes to the largest element, and in equal shares to several of them."""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import kept_shape


@wrong_backward(
    "E17",
    "every element gets dy, not the largest alone",
    why="the maximum moves with the element that attains it; the others may move a little and nothing happens",
    look="in (1, 5, 2), what does the maximum do when the 1 becomes 1.1?",
)
def all_get_dy(dy, saved):
    shape = saved.is_largest.shape
    return (np.broadcast_to(dy.reshape(kept_shape(shape, saved.axes)), shape),)


@wrong_backward(
    "E18",
    "where several elements tie, each gets all of dy",
    why="the shares of one maximum then add up to more than dy: moved together, k tied elements move the maximum once, "
    "not k times",
    look="in (5, 5) both grow by 0.1: by how much does the maximum grow, and by how much do your gradients say?",
    source="seen in HIPS autograd, TensorFlow",
)
def ties_counted_each(dy, saved):
    is_largest, axes = saved
    return (np.where(is_largest, dy.reshape(kept_shape(is_largest.shape, axes)), 0.0),)


@wrong_backward(
    "E55",
    "where several elements tie, the first of them gets all of dy, as by argmax",
    why="that is one of the slopes at the kink, but it hangs on the order of equal elements; this op gives equal "
    "shares",
    look="what becomes of your gradient when two equal elements change places?",
)
def first_one_alone(dy, saved):
    is_largest, axes = saved
    last = range(-len(axes), 0)
    moved = np.moveaxis(is_largest, axes, last)  # the reduced axes last, then as one of N elements
    kept = moved.shape[: moved.ndim - len(axes)]
    flat = moved.reshape((*kept, math.prod(moved.shape[len(kept) :])))  # (..., N)
    first = flat & (np.cumsum(flat, axis=-1) == 1)
    first = np.moveaxis(first.reshape(moved.shape), last, axes)
    return (np.where(first, dy.reshape(kept_shape(is_largest.shape, axes)), 0.0),)
