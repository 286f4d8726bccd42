"""From the output: 1 / x is e^-y."""

import numpy as np


def forward(x):
    y = np.log(x)
    return y, y


def backward(dy, saved):
    return (dy * np.exp(-saved),)
