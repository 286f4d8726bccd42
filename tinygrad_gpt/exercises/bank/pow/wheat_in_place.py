"""The slope is worked out in forward, in place."""

import numpy as np


def forward(x, *, exponent):
    slope = np.array(x ** (exponent - 1) if exponent not in (0, 1) else np.ones_like(x))
    slope *= exponent
    return x**exponent, slope


def backward(dy, saved):
    return (saved * dy,)
