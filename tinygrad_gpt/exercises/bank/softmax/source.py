"""Softmax, backwards.

    y_i = e^x_i / Σ_j e^x_j         along `axis`

The loss L depends on y. Given dy = ∂L/∂y, an array shaped like y, return ∂L/∂x. Every y_i depends on every x_j of its
row, through the sum.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y = e / np.sum(e, axis=axis, keepdims=True)
    return y, (y, axis)


def backward(dy, saved):
    y, axis = saved
    # BEGIN SOLUTION
    # Σ_i dy_i ∂y_i/∂x_j, with ∂y_i/∂x_j = y_i (δ_ij - y_j)
    return (y * (dy - np.sum(dy * y, axis=axis, keepdims=True)),)
    # END SOLUTION
