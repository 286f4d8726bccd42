"""Quotients, backwards.

    y = a / b                       element by element, a and b broadcast

Given dy = ∂L/∂y, an array shaped like y, return ∂L/∂a and ∂L/∂b, each shaped as its array. `summed_to` does what the
exercise broadcast_to was about. A zero in b gives what NumPy gives.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(a, b):
    y = a / b
    return y, (a.shape, b, y)


def backward(dy, saved):
    a_shape, b, y = saved
    # BEGIN SOLUTION
    da = dy / b
    # y = a / b once more
    db = -da * y
    return summed_to(da, a_shape), summed_to(db, b.shape)
    # END SOLUTION


def summed_to(g, shape):
    """g, summed over what broadcasting has repeated, as in the exercise broadcast_to: an array of this shape."""
    g = np.sum(g, axis=tuple(range(g.ndim - len(shape))))
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
