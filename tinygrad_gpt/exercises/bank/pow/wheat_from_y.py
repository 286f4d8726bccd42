"""From the output, n y / x, where x is not 0."""

import numpy as np


def forward(x, *, exponent):
    y = np.power(x, exponent)
    return y, (x, y, exponent)


def backward(dy, saved):
    x, y, n = saved
    if n == 0:
        return (0.0 * dy,)
    at_zero = float(n == 1) if n >= 1 else n * np.inf
    slope = np.where((x == 0) | np.isinf(x), at_zero, n * y / np.where(x == 0, 1, x))
    return (dy * slope.astype(dy.dtype),)
