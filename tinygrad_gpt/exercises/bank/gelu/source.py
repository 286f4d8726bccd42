"""GELU, backwards: the bend in the feed-forward of GPT and BERT.

    y = x Φ(x)                      element by element

Φ goes from 0 on the far left to 1 on the far right, like a sigmoid. There are two of it:

    approximate="none":  Φ(x) = (1 + erf(x/√2)) / 2     the normal distribution. Its slope is e^(-x²/2) / √(2π)
    approximate="tanh":  Φ(x) = (1 + tanh u) / 2,       u = √(2/π) (x + 0.044715 x³)

Given dy = ∂L/∂y, return ∂L/∂x, for the form that `forward` took.

`forward` saves x, Φ(x) and the form. You may save other things.
"""

import math

import numpy as np

SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def forward(x, *, approximate="none"):
    if approximate == "tanh":
        phi = 0.5 * (1 + np.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x**3)))
    else:
        erfc = np.vectorize(math.erfc, otypes=[x.dtype])  # 1 - erf, without losing digits on the left
        phi = 0.5 * erfc(-x / math.sqrt(2))
    return x * phi, (x, phi, approximate)


def backward(dy, saved):
    x, phi, approximate = saved
    # BEGIN SOLUTION
    if approximate == "none":
        slope = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    else:
        t = 2 * phi - 1  # tanh u
        du = SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x**2)
        slope = 0.5 * (1 - t * t) * du
    # y = x Φ(x) is a product, and both factors move
    return (dy * (phi + x * slope),)
    # END SOLUTION
