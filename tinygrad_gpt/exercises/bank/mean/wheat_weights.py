"""A weighted sum: the weights are saved, all 1/n."""

import numpy as np


def forward(x, *, axis=None, keepdims=False):
    ones = np.ones_like(x)
    weights = ones / np.sum(ones, axis=axis, keepdims=True)
    kept = np.sum(weights * x, axis=axis, keepdims=True)
    return np.mean(x, axis=axis, keepdims=keepdims), (weights, kept.shape)


def backward(dy, saved):
    weights, kept = saved
    return (weights * dy.reshape(kept),)
