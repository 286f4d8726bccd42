"""The sum as an einsum, with the axis moved to the end."""

import numpy as np


def forward(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y = e / np.sum(e, axis=axis, keepdims=True)
    return y, (y, axis)


def backward(dy, saved):
    y, axis = saved
    ys, dys = np.moveaxis(y, axis, -1), np.moveaxis(dy, axis, -1)
    inner = np.einsum("...i,...i->...", dys, ys)
    return (np.moveaxis(ys * (dys - inner[..., None]), -1, axis),)
