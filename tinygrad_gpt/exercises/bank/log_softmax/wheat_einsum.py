"""The sum as an einsum, with the axis moved to the end."""

import numpy as np


def forward(x, *, axis=-1):
    shifted = x - np.max(x, axis=axis, keepdims=True)
    y = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return y, (np.exp(np.moveaxis(y, axis, -1)), axis)


def backward(dy, saved):
    p, axis = saved
    dys = np.moveaxis(dy, axis, -1)
    return (np.moveaxis(dys - np.einsum("...i,...j->...i", p, dys), -1, axis),)
