"""As einsums, summed axis by axis."""

import numpy as np


def forward(a, b):
    return a * b, (a, b)


def backward(dy, saved):
    a, b = saved
    da, db = np.einsum("...,...->...", dy, b), np.einsum("...,...->...", dy, a)
    return back(da, a.shape), back(db, b.shape)


def back(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis, n in enumerate(shape):
        if n == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g
