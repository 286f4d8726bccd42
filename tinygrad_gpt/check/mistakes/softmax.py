"""Softmax's mistakes. Right is dx = y (dy - Σ dy y), the sum along `axis`."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "S01",
    "only the diagonal of the Jacobian: y (1 - y)",
    why="every output depends on every input of its row, through the sum that it is divided by",
    look="what does y_j do when x_i grows, for a j that is not i?",
)
def only_the_diagonal(dy, saved):
    y, _ = saved
    return (dy * y * (1 - y),)


@wrong_backward(
    "S02",
    "differentiated as if it were exp alone: dy y",
    why="the sum in the denominator depends on x too, and takes back what the numerator gives",
    look="if all x of a row grow by the same amount, y stays: what should the gradients of a row add up to?",
)
def as_exp_alone(dy, saved):
    y, _ = saved
    return (dy * y,)


@wrong_backward(
    "S03",
    "the sum of dy where the sum of dy y belongs",
    why="each dy_i reaches the denominator through its own y_i, so it is weighted with it",
    look="which factor does ∂y_i/∂x_j = -y_i y_j put before dy_i?",
)
def sum_without_y(dy, saved):
    y, axis = saved
    return (y * (dy - np.sum(dy, axis=axis, keepdims=True)),)
