"""The share is saved, and chosen by where."""

import numpy as np


def forward(x, *, axis=None, keepdims=False):
    kept = np.max(x, axis=axis, keepdims=True)
    ties = np.count_nonzero(x == kept, axis=axis, keepdims=True)
    return np.max(x, axis=axis, keepdims=keepdims), (x == kept, (1 / ties).astype(x.dtype))


def backward(dy, saved):
    is_largest, share = saved
    return (np.where(is_largest, dy.reshape(share.shape) * share, 0.0),)
