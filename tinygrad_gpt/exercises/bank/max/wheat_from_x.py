"""It saves x, and compares in backward."""

import numpy as np


def forward(x, *, axis=None, keepdims=False):
    return np.max(x, axis=axis, keepdims=keepdims), (x, axis)


def backward(dy, saved):
    x, axis = saved
    largest = np.max(x, axis=axis, keepdims=True)
    shares = (x == largest).astype(dy.dtype)
    shares /= np.sum(shares, axis=axis, keepdims=True)
    shares *= dy.reshape(largest.shape)
    return (shares,)
