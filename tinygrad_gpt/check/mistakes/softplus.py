"""Mistakes in softplus. Right is dx = dy σ(x)."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import sigmoid


@wrong_backward(
    "E42",
    "as if it were relu: dy passes where x > 0, and stops elsewhere",
    why="softplus is relu with its corner rounded off: its slope goes from 0 to 1 smoothly, as σ(x) does",
    look="what is ln(1 + eˣ) at x = 0, and is it flat just left of it?",
)
def as_relu(dy, saved):
    return (np.where(saved.x > 0, dy, 0.0),)


@wrong_backward(
    "E43",
    "the inner derivative is lost: dy / (1 + eˣ)",
    why="the logarithm's slope is 1 over what stands in it; what stands in it, 1 + eˣ, has the slope eˣ by the chain "
    "rule",
    look="what is the derivative of 1 + eˣ, and where is it in your backward?",
)
def inner_derivative_lost(dy, saved):
    share, _ = sigmoid.forward(-saved.x)  # 1 / (1 + eˣ)
    return (dy * share,)


@wrong_backward(
    "E44",
    "differentiated twice: dy σ (1 - σ)",
    why="the derivative of softplus is σ itself; σ (1 - σ) is the derivative of that",
    look="for large x softplus is x: what is the slope there, and what is yours?",
)
def differentiated_twice(dy, saved):
    s, _ = sigmoid.forward(saved.x)
    return (dy * s * (1 - s),)
