"""The tanh form as a sigmoid of 2u; x alone is saved."""

import math

import numpy as np

C = 2 * math.sqrt(2 / math.pi)


def forward(x, *, approximate="none"):
    phi, _ = phi_and_slope(x, approximate)
    return x * phi, (x, approximate)


def backward(dy, saved):
    x, approximate = saved
    phi, slope = phi_and_slope(x, approximate)
    return (dy * phi + dy * x * slope,)


def phi_and_slope(x, approximate):
    if approximate == "none":
        phi = np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)), otypes=[x.dtype])(x)
        return phi, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    phi = 1 / (1 + np.exp(-C * (x + 0.044715 * x**3)))
    return phi, phi * (1 - phi) * C * (1 + 0.134145 * x**2)
