"""It saves a mask, and multiplies."""

import numpy as np


def forward(x):
    mask = x > 0
    return np.where(mask, x, 0), mask


def backward(dy, saved):
    return (dy * saved,)
