"""Log-softmax, backwards.

    y_i = x_i - log Σ_j e^x_j       along `axis`

It is the logarithm of softmax, in one go. e^y are probabilities, and add up to 1. Given dy = ∂L/∂y, an array shaped
like y, return ∂L/∂x. Every y_i depends on its own x_i, and on every x_j through the sum.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(x, *, axis=-1):
    shifted = x - np.max(x, axis=axis, keepdims=True)
    y = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return y, (y, axis)


def backward(dy, saved):
    y, axis = saved
    # BEGIN SOLUTION
    # Σ_i dy_i ∂y_i/∂x_j, with ∂y_i/∂x_j = δ_ij - e^y_j
    return (dy - np.exp(y) * np.sum(dy, axis=axis, keepdims=True),)
    # END SOLUTION
