"""Mistakes in the logarithm. Right is dx = dy / x."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E07",
    "multiplied by x where it should be divided: dy x",
    why="the slope of ln x is 1 / x: the logarithm gets flatter, the larger x is",
    look="where is ln x steeper, at 1 or at 100?",
)
def multiplied(dy, saved):
    return (dy * saved.x,)


@wrong_backward(
    "E30",
    "divided by y where it should be divided by x: dy / ln x",
    why="the slope is 1 / x, a function of what went in; y = ln x is what came out",
    look="at x = 1 the logarithm is 0: is it infinitely steep there?",
)
def divided_by_y(dy, saved):
    return (dy / np.log(saved.x),)
