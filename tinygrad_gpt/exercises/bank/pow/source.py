"""Powers, backwards.

    y = x^n                         element by element

n, the exponent, is one number that stays as it is: 2, 0.5, -1. Given dy = ∂L/∂y, return ∂L/∂x.

Mind n = 0. Then y is 1 everywhere and the gradient 0, at x = 0 too. Elsewhere an infinite slope is an infinite
gradient, as NumPy has it.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(x, *, exponent):
    return np.power(x, exponent), (x, exponent)


def backward(dy, saved):
    x, exponent = saved
    # BEGIN SOLUTION
    if exponent == 0:
        return (np.zeros_like(dy),)
    return (dy * exponent * x ** (exponent - 1),)
    # END SOLUTION
