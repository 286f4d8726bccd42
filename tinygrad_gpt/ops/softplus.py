"""Softplus: y = ln(1 + e^x), a smooth relu, for x a float array of any shape.

It is also -ln σ(-x), with σ the logistic function: the loss of a yes-or-no question. That one's slope is

    dy/dx = e^x / (1 + e^x) = σ(x)

e^x overflows for large x, and 1 + e^x forgets a small e^x. So the larger of 1 and e^x is taken out of the logarithm,
which leaves a small number beside 1, for which log1p is exact:

    y = max(x, 0) + ln(1 + e^-|x|)

Saved is x; σ(x) is formed from e^-|x| as in ops/sigmoid.py.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops import sigmoid
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("softplus", x)


def forward(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), Saved(x)


def backward(dy, saved):
    slope, _ = sigmoid.forward(saved.x)
    # y = log(1 + exp(x))
    return (dy * slope,)
