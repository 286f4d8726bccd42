"""Layer norm, backwards.

    μ = mean(x),   r = 1 / √(mean((x - μ)²) + ε)    of each row
    x̂ = (x - μ) r
    y = weight x̂ + bias

    x             (..., C)   the leading axes are a list of rows, whatever their number
    weight, bias  (C,)       bias may be None
    y             (..., C)

Given dy = ∂L/∂y, return ∂L/∂x, ∂L/∂weight and ∂L/∂bias, each shaped as its array; None for a bias of None.

Go through forward line by line, from the last to the first. The way from x̂ to x is the hard part: x stands in that
line, and μ and r are made of x too.

`forward` saves x̂, r (with a last axis of size 1), weight, and whether there is a bias. You may save other things.
"""

import numpy as np


def forward(x, weight, bias=None, *, eps=1e-5):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + eps)
    x_hat = centred * r
    y = weight * x_hat
    if bias is not None:
        y = y + bias
    return y, (x_hat, r, weight, bias is not None)


def backward(dy, saved):
    x_hat, r, weight, has_bias = saved
    # BEGIN SOLUTION
    # y = weight x̂ + bias
    rows = tuple(range(dy.ndim - 1))
    dbias = np.sum(dy, axis=rows) if has_bias else None
    dweight = np.sum(dy * x_hat, axis=rows)
    dx_hat = dy * weight
    # x̂ = (x - μ) r: directly, through μ, through r
    through_mean = np.mean(dx_hat, axis=-1, keepdims=True)
    through_r = x_hat * np.mean(dx_hat * x_hat, axis=-1, keepdims=True)
    dx = r * (dx_hat - through_mean - through_r)
    return dx, dweight, dbias
    # END SOLUTION
