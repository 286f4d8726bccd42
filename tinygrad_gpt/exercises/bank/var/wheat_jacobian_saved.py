"""The whole slope is worked out in forward."""

import numpy as np


def forward(x, *, axis=None, keepdims=False, correction=1):
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    ones = np.sum(np.ones_like(x), axis=axis, keepdims=True)
    slope = 2 * deviation / (ones - correction)
    return np.sum(0.5 * slope * deviation, axis=axis, keepdims=keepdims), (slope, ones.shape)


def backward(dy, saved):
    slope, kept = saved
    return (dy.reshape(kept) * slope,)
