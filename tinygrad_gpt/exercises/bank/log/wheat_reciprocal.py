"""It saves the slope, not x."""

import numpy as np


def forward(x):
    return np.log(x), 1 / x


def backward(dy, saved):
    return (dy * saved,)
