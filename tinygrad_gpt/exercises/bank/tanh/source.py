"""Tanh, backwards.

    y = tanh x = (e^x - e^-x) / (e^x + e^-x)        element by element

It goes from -1 on the far left to 1 on the far right. Given dy = ∂L/∂y, return ∂L/∂x.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(x):
    y = np.tanh(x)
    return y, y


def backward(dy, saved):
    y = saved
    # BEGIN SOLUTION
    # 1 - y², as a product: near y = ±1 it keeps digits that a rounded y² has lost
    return (dy * (1 - y) * (1 + y),)
    # END SOLUTION
