"""Broadcasting, backwards.

    y = x, repeated                 to `shape`: along axes where x has size 1, and along new axes on the left

Given dy = ∂L/∂y, an array shaped like y, return ∂L/∂x, an array shaped like x.

You need this wherever shapes are broadcast: in products, in a bias, in a matrix that serves a batch.

`forward` saves x's shape. You may save other things.
"""

import numpy as np


def forward(x, *, shape):
    return np.broadcast_to(x, shape), x.shape


def backward(dy, saved):
    shape = saved  # x's
    # BEGIN SOLUTION
    added = dy.ndim - len(shape)
    dy = np.sum(dy, axis=tuple(range(added)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return (np.sum(dy, axis=stretched, keepdims=True),)
    # END SOLUTION
