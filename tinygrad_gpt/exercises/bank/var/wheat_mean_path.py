"""By the way through the mean too, though nothing comes of it."""

import numpy as np


def forward(x, *, axis=None, keepdims=False, correction=1):
    y = np.var(x, axis=axis, keepdims=keepdims, ddof=correction)
    mean = np.mean(x, axis=axis, keepdims=True)
    n = np.sum(np.ones_like(x), axis=axis, keepdims=True)
    return y, (x, mean, axis, n - correction)


def backward(dy, saved):
    x, mean, axis, divisor = saved
    direct = dy.reshape(mean.shape) * (x - mean) * 2 / divisor
    return (direct - np.mean(direct, axis=axis, keepdims=True),)
