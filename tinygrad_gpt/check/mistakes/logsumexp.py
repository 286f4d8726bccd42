"""Logsumexp's mistakes. Right is dx = dy softmax(x), the softmax over the axes that were summed."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops._shapes import kept_shape, normalize_axes
from tinygrad_gpt.ops.logsumexp import Saved


@wrong_backward(
    "S23",
    "every element gets all of dy, as in a sum",
    why="raising all x by 1 raises y by 1, so that what the elements get adds up to dy: a share each, by its e^x",
    look="what should dx add up to along the axes that were summed?",
)
def as_a_sum(dy, saved):
    x, _, _, axes = saved
    return (np.broadcast_to(dy.reshape(kept_shape(x.shape, axes)), x.shape).copy(),)


@wrong_backward(
    "S24",
    "not divided by the sum: dy e^x, less the largest x",
    why="the logarithm's derivative is 1 over what it is taken of, and that is the sum",
    look="what is the derivative of log S with respect to S?",
)
def not_divided_by_the_sum(dy, saved):
    x, largest, _, axes = saved
    return (dy.reshape(kept_shape(x.shape, axes)) * np.exp(x - largest),)


@wrong_backward(
    "S25",
    "the largest element gets all of dy, as in max",
    why="it is a smooth maximum: the others have their part in the sum, and their share of dy",
    look="does y change at all when the second largest x does?",
)
def as_max(dy, saved):
    x, largest, _, axes = saved
    return (np.where(x == largest, dy.reshape(kept_shape(x.shape, axes)), 0.0),)


@wrong_backward(
    "S26",
    "the softmax over all elements, not over the axes that were summed",
    why="each y has a sum of its own, and only the elements in it share its dy",
    look="which elements does one element of y depend on, if axis is 1?",
)
def softmax_over_everything(dy, saved):
    x, _, _, axes = saved
    e = np.exp(x - np.max(x, initial=-np.inf))
    return (dy.reshape(kept_shape(x.shape, axes)) * e / np.sum(e),)


@wrong_forward(
    "S27",
    "the largest x is not subtracted before exp",
    why="e^x overflows for x > 709 (x > 88 in float32), and where all of it underflows to 0 the logarithm is -inf",
    look="what is np.log(np.exp(1000.0)), and what should it be?",
)
def nothing_taken_out_first(x, *, axis=None, keepdims=False):
    axes = normalize_axes("logsumexp", axis, x.ndim)
    log_sum = np.log(np.sum(np.exp(x), axis=axes, keepdims=True))
    y = log_sum if keepdims else log_sum.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
    return y, Saved(x, np.zeros_like(log_sum), log_sum, axes)


@wrong_backward(
    "S32",
    "x - y, the softmax's logarithm, where the softmax belongs",
    why="the shares of dy are e^(x - y), which are positive and add up to 1. Their logarithms are neither",
    look="what should dx add up to along the axes that were summed, and what sign should it have?",
)
def logarithm_of_the_share(dy, saved):
    x, largest, log_sum, axes = saved
    return (dy.reshape(kept_shape(x.shape, axes)) * ((x - largest) - log_sum),)
