"""Elementwise power with a fixed exponent: y = x^n.

    x         float array of any shape
    exponent  a Python number n; x must be positive where n is not an integer (nan otherwise, as in NumPy)

The power rule: dx = dy · n · x^(n-1). For n = 0 y is 1 everywhere and the gradient 0, also at x = 0 where x^(n-1) is
infinite; for n = 1 it is dy everywhere. At x = 0 a larger n has slope 0, and a smaller one, but for 0, an infinite
slope and so an infinite gradient.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    x: Array
    exponent: int | float


def check(x, *, exponent):
    """Raises TypeError for integer x, and for an exponent that is not a Python number."""
    check_floats("pow", x)
    if not isinstance(exponent, int | float):
        raise TypeError(
            f"pow: expected a Python number as exponent, got {type(exponent).__name__}; "
            "for an array of exponents write exp(exponent * log(x))"
        )


def forward(x, *, exponent):
    return x**exponent, Saved(x, exponent)


def backward(dy, saved):
    x, exponent = saved
    if exponent == 0:
        return (np.zeros_like(dy),)
    # y = x**exponent
    return (dy * exponent * x ** (exponent - 1),)
