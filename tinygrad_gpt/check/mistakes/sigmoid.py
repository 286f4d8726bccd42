"""Mistakes in the logistic function. Right is dx = dy y (1 - y)."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E09",
    "the factor 1 - y is lost: dy y",
    why="y is flat at both ends, so the slope falls to 0 where y nears 1 as well as where it nears 0",
    look="what should the slope be where y is almost 1?",
)
def one_minus_y_lost(dy, saved):
    return (dy * saved.y,)


@wrong_backward(
    "E33",
    "the factor y is lost: dy (1 - y)",
    why="the derivative of 1 / (1 + e⁻ˣ) has the square of the denominator: e⁻ˣ / (1 + e⁻ˣ)² is y (1 - y), and with "
    "the denominator once it is 1 - y",
    look="what should the slope be where y is almost 0?",
)
def y_lost(dy, saved):
    return (dy * (1 - saved.y),)


@wrong_backward(
    "E34",
    "the slope of tanh: dy (1 - y²)",
    why="1 - y² is the slope of tanh, which goes from -1 to 1; the logistic function goes from 0 to 1",
    look="between which two values does y lie, and does 1 - y² become 0 at both of them?",
)
def as_tanh(dy, saved):
    y = saved.y
    return (dy * (1 - y * y),)


@wrong_backward(
    "E35",
    "the slope is taken at y, not at x: σ(y) (1 - σ(y))",
    why="σ' = σ (1 - σ), where σ is σ(x); that is y, which forward has saved, and σ of y is one function too many",
    look="what do you take the sigmoid of in backward, and what is σ(x) called there?",
)
def slope_at_y(dy, saved):
    s = 1 / (1 + np.exp(-saved.y))
    return (dy * s * (1 - s),)
