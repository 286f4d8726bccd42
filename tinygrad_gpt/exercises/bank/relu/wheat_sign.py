"""The slope as the sign of y."""

import numpy as np


def forward(x):
    y = np.maximum(x, 0)
    return y, y


def backward(dy, saved):
    return (np.sign(saved) * dy,)
