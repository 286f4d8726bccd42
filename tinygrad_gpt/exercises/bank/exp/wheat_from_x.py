"""It saves x and takes the exponential again."""

import numpy as np


def forward(x):
    return np.exp(x), x


def backward(dy, saved):
    return (np.exp(saved) * dy,)
