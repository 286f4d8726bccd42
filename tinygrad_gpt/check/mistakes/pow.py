"""Mistakes in the power. Right is dx = dy n xⁿ⁻¹, and 0 for n = 0."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E04",
    "the exponent is not lowered: dy n xⁿ",
    why="the power rule takes one factor x away: xⁿ has the slope n xⁿ⁻¹",
    look="x² is the area of a square: how long is the edge along which it grows?",
)
def exponent_not_lowered(dy, saved):
    x, exponent = saved
    return (dy * exponent * x**exponent,)


@wrong_backward(
    "E05",
    "the exponent is not multiplied in: dy xⁿ⁻¹",
    why="xⁿ is n factors x, each of which may move while the others stay: the slope is n times xⁿ⁻¹",
    look="x³ = x · x · x: how many terms has the product rule here?",
)
def exponent_not_multiplied_in(dy, saved):
    x, exponent = saved
    return (dy * x ** (exponent - 1),)


@wrong_backward(
    "E26",
    "differentiated as an exponential, in n: dy xⁿ ln x",
    why="that is how xⁿ moves with its exponent; here the exponent is fixed and the base moves",
    look="which of the two is the variable here, x or n?",
)
def as_an_exponential(dy, saved):
    x, exponent = saved
    return (dy * x**exponent * np.log(x),)


@wrong_backward(
    "E27",
    "the rule is taken for n = 0 too, where it gives nan at x = 0",
    why="x⁰ is 1 everywhere and its slope 0; but the rule multiplies the 0 by x⁻¹, and 0 · ∞ is nan",
    look="what is n xⁿ⁻¹ for n = 0 and x = 0, as the machine computes it?",
)
def power_zero_by_the_rule(dy, saved):
    x, exponent = saved
    return (dy * exponent * x ** (exponent - 1),)
