"""Mistakes in the hyperbolic tangent. Right is dx = dy (1 - y²)."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E10",
    "y is not squared: dy (1 - y)",
    why="the slope is 1 - y²; without the square it is 2 where y is -1, though tanh is flat there",
    look="tanh falls on the left as it rises on the right: is your slope the same for y and -y?",
)
def not_squared(dy, saved):
    return (dy * (1 - saved.y),)


@wrong_backward(
    "E36",
    "the slope of the logistic function: dy y (1 - y)",
    why="y (1 - y) is the slope of σ, whose y lies between 0 and 1; for tanh it is (1 + y) (1 - y)",
    look="what is your slope at x = 0, where tanh is steepest?",
)
def as_sigmoid(dy, saved):
    y = saved.y
    return (dy * y * (1 - y),)


@wrong_backward(
    "E37",
    "a plus for the minus: dy (1 + y²)",
    why="1 + y² is the slope of tan, since cos² + sin² = 1; for the hyperbolic ones it is cosh² - sinh² = 1",
    look="is tanh steeper or flatter where y is near 1 than where it is 0?",
)
def as_tan(dy, saved):
    y = saved.y
    return (dy * (1 + y * y),)


@wrong_backward(
    "E38",
    "the slope is taken at y, not at x: 1 - tanh²(y)",
    why="1 - tanh² is meant at x, and tanh(x) is y, which forward has saved: tanh of y is one function too many",
    look="what do you take tanh of in backward, and what is tanh(x) called there?",
)
def slope_at_y(dy, saved):
    return (dy * (1 - np.tanh(saved.y) ** 2),)
