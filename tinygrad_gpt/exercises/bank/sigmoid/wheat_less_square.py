"""The slope as y less its square, in place."""

import numpy as np


def forward(x):
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, 1.0, e) / (1 + e)
    return y, [y]


def backward(dy, saved):
    (y,) = saved
    dx = np.array(y - y * y)
    dx *= dy
    return (dx,)
