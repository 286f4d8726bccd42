"""Mistakes in the variance. Right is dx = dy 2 (x - μ) / (n - correction), with n elements in each variance."""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import count, kept_shape


def _parts(dy, saved):
    """dy in a shape that broadcasts against x, the deviations from the mean, and n."""
    x, mean, rest, axes, _ = saved
    return dy.reshape(kept_shape(x.shape, axes)), x - mean - rest, count(x.shape, axes)


@wrong_backward(
    "E22",
    "divided by n, whatever `correction` says",
    why="forward divided by n - correction, and a factor of forward is a factor of its derivative",
    look="by which number did forward divide the sum of squares?",
    source="seen in annotated-transformer #119",
)
def divided_by_n(dy, saved):
    dy, deviation, n = _parts(dy, saved)
    return (dy * 2 * deviation / n,)


@wrong_backward(
    "E60",
    "divided by n - 1, whatever `correction` says",
    why="forward divided by n - correction, and a factor of forward is a factor of its derivative",
    look="by which number did forward divide the sum of squares?",
    source="seen in annotated-transformer #119",
)
def divided_by_n_minus_1(dy, saved):
    dy, deviation, n = _parts(dy, saved)
    return (dy * 2 * deviation / (n - 1),)


@wrong_backward(
    "E61",
    "the 2 is lost: dy (x - μ) / (n - correction)",
    why="deviations enter squared, and the power rule brings the exponent down",
    look="what is the derivative of (x - μ)²?",
)
def two_lost(dy, saved):
    dy, deviation, _ = _parts(dy, saved)
    return (dy * deviation / saved.divisor,)


@wrong_backward(
    "E62",
    "the mean is not subtracted: dy 2x / (n - correction)",
    why="what is squared is the distance from the mean: an element that stands at the mean may move a little and the "
    "variance stays",
    look="all x grow by 1000: the variance stays, and what becomes of your gradient?",
)
def mean_not_subtracted(dy, saved):
    dy, _, _ = _parts(dy, saved)
    return (dy * 2 * saved.x / saved.divisor,)


@wrong_backward(
    "E63",
    "not divided: dy 2 (x - μ)",
    why="forward divided the sum of squares by n - correction, and a factor of forward is a factor of its derivative",
    look="one number moves: does the variance of a million notice it as much as the variance of three?",
)
def not_divided(dy, saved):
    dy, deviation, _ = _parts(dy, saved)
    return (dy * 2 * deviation,)


@wrong_backward(
    "E64",
    "the gradient of the standard deviation, which is the root of this",
    why="the root has a slope of its own, 1 / 2√y, and it is not part of this op",
    look="does forward take a root?",
)
def as_standard_deviation(dy, saved):
    dy, deviation, _ = _parts(dy, saved)
    y = np.sum(deviation**2, axis=saved.axes, keepdims=True) / saved.divisor
    return (dy * deviation / (saved.divisor * np.sqrt(y)),)


@wrong_backward(
    "E65",
    "of the mean's path the element's own share alone: a factor 1 - 1/n",
    why="when x_j moves, the mean moves, and with it the deviations of all the others; summed up, that path is "
    "nothing, since deviations add up to 0",
    look="x_j grows by 1 and the mean by 1/n: whose deviations change?",
)
def own_share_of_the_mean(dy, saved):
    dy, deviation, n = _parts(dy, saved)
    return (dy * 2 * deviation / saved.divisor * (1 - 1 / n),)


@wrong_backward(
    "E95",
    "divided by the number of all elements of x, whatever `axis` and `correction` say",
    why="each variance is of n elements, and forward divided by n - correction. How many variances there are is "
    "nothing to it",
    look="x is (2, 1000) and axis is 1: by which number did forward divide?",
)
def divided_by_all(dy, saved):
    dy, deviation, _ = _parts(dy, saved)
    return (dy * 2 * deviation / math.prod(saved.x.shape),)


@wrong_backward(
    "E96",
    "divided by the number of all elements of x less the correction, whatever `axis` says",
    why="each variance is of the n elements along its axis. How many variances there are is nothing to it",
    look="x is (2, 1000) and axis is 1: by which number did forward divide?",
)
def divided_by_all_less_the_correction(dy, saved):
    dy, deviation, n = _parts(dy, saved)
    return (dy * 2 * deviation / (math.prod(saved.x.shape) - (n - saved.divisor)),)
