"""The slope is worked out in forward, with erf in place of erfc."""

import math

import numpy as np


def forward(x, *, approximate="none"):
    if approximate == "none":
        t = np.asarray(np.vectorize(math.erf, otypes=[x.dtype])(x * math.sqrt(0.5)))
        dt = math.sqrt(2 / math.pi) * np.exp(-x * x / 2)
    else:
        c = math.sqrt(2 / math.pi)
        t = np.tanh(c * x * (1 + 0.044715 * x * x))
        dt = (1 - t) * (1 + t) * c * (1 + 0.134145 * x * x)
    return 0.5 * x * (1 + t), 0.5 * (1 + t + x * dt)


def backward(dy, saved):
    return (saved * dy,)
