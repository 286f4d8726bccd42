"""It saves x: the slope is 1 / cosh² x."""

import numpy as np


def forward(x):
    return np.tanh(x), x


def backward(dy, saved):
    return (dy / np.cosh(saved) ** 2,)
