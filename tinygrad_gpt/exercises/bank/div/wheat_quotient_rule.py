"""By the quotient rule: a is saved in place of y."""

import numpy as np


def forward(a, b):
    return a / b, (a, b)


def backward(dy, saved):
    a, b = saved
    return back(dy / b, a.shape), back(-(dy / b) * (a / b), b.shape)


def back(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + shape
    return np.sum(g, axis=tuple(i for i, n in enumerate(padded) if n == 1)).reshape(shape)
