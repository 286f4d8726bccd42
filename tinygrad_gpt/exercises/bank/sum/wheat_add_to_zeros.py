"""dy is added to zeros, and saved is a dictionary."""

import numpy as np


def forward(x, *, axis=None, keepdims=False):
    kept = np.sum(x, axis=axis, keepdims=True)
    return np.sum(x, axis=axis, keepdims=keepdims), {"x": x.shape, "kept": kept.shape}


def backward(dy, saved):
    dx = np.zeros(saved["x"], dy.dtype)
    dx += dy.reshape(saved["kept"])
    return (dx,)
