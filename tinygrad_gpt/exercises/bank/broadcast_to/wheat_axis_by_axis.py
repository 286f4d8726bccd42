"""One axis at a time, from the left."""

import numpy as np


def forward(x, *, shape):
    return np.broadcast_to(x, shape), x.shape


def backward(dy, saved):
    while dy.ndim > len(saved):
        dy = dy.sum(axis=0)
    for axis, n in enumerate(saved):
        if n == 1:
            dy = dy.sum(axis=axis, keepdims=True)
    return (np.array(dy),)
