"""The logarithm, backwards.

    y = ln x                        element by element, x > 0

Given dy = ∂L/∂y, an array shaped like y, return ∂L/∂x. At x = 0 the slope is infinite, and so is the gradient.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(x):
    return np.log(x), x


def backward(dy, saved):
    x = saved
    # BEGIN SOLUTION
    # ∂y/∂x = 1 / x
    return (dy / x,)
    # END SOLUTION
