"""As einsums, for vectors too."""

import numpy as np


def forward(a, b):
    return a @ b, (a, b)


def backward(dy, saved):
    a, b = saved
    row, column = a.reshape(-1, a.shape[-1]) if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    dy = dy[..., None] if b.ndim == 1 else dy
    dy = dy[..., None, :] if a.ndim == 1 else dy
    da, db = np.einsum("...mn,...kn->...mk", dy, column), np.einsum("...mk,...mn->...kn", row, dy)
    return back(da, row.shape).reshape(a.shape), back(db, column.shape).reshape(b.shape)


def back(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + shape
    return np.sum(g, axis=tuple(i for i, n in enumerate(padded) if n == 1)).reshape(shape)
