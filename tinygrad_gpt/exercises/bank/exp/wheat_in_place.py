"""In place, on a buffer of its own."""

import numpy as np


def forward(x):
    y = np.exp(x)
    return y, {"y": y}


def backward(dy, saved):
    dx = np.array(dy)
    dx *= saved["y"]
    return (dx,)
