"""Mistakes in the exponential. Right is dx = dy y."""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E06",
    "y is left out: dy is passed on",
    why="the exponential is its own derivative: its slope is y, which is 1 only at x = 0",
    look="how steep is eˣ at x = 3, where it is about 20?",
)
def y_left_out(dy, saved):
    return (dy,)


@wrong_backward(
    "E28",
    "differentiated by the power rule: dy x eˣ⁻¹",
    why="the power rule is for a variable base and a fixed exponent; in eˣ it is the exponent that varies",
    look="what moves in eˣ, the base or the exponent?",
)
def by_the_power_rule(dy, saved):
    y = saved.y
    x = np.log(y)
    return (dy * x * y / math.e,)


@wrong_backward(
    "E29",
    "the exponential is taken once more: dy e^y",
    why="what is saved is y = eˣ, which is the slope already: e^y is the slope at another place, at y",
    look="is the array that you take the exponential of in backward x, or y?",
)
def exponential_of_y(dy, saved):
    return (dy * np.exp(saved.y),)
