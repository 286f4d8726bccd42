"""The whole Jacobian, row by row: slow, and the definition to the letter."""

import numpy as np


def forward(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y = e / np.sum(e, axis=axis, keepdims=True)
    return y, (y, axis)


def backward(dy, saved):
    y, axis = saved
    rows, dys = (np.moveaxis(a, axis, -1).reshape(-1, a.shape[axis]) for a in (y, dy))
    dx = np.empty_like(rows)
    for i, row in enumerate(rows):
        dx[i] = dys[i] @ (np.diag(row) - np.outer(row, row))
    moved = np.moveaxis(y, axis, -1).shape
    return (np.moveaxis(dx.reshape(moved), -1, axis),)
