"""The slope as 1 less the square of y."""

import numpy as np


def forward(x):
    y = np.tanh(x)
    return y, y


def backward(dy, saved):
    return (dy - dy * saved**2,)
