"""n from the sizes of x and y; the lost axes by expand_dims."""

import numpy as np


def forward(x, *, axis=None, keepdims=False):
    y = np.mean(x, axis=axis, keepdims=keepdims)
    axes = tuple(range(x.ndim)) if axis is None else axis
    return y, (x.shape, x.size / max(y.size, 1), axes, keepdims)


def backward(dy, saved):
    shape, n, axes, keepdims = saved
    dx = np.empty(shape, dy.dtype)
    dx[...] = dy if keepdims else np.expand_dims(dy, axes)
    dx /= n
    return (dx,)
