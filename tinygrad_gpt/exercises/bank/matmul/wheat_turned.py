"""The turned products, turned back: daᵀ = b dyᵀ and dbᵀ = dyᵀ a."""

import numpy as np


def forward(a, b):
    return a @ b, {"a": a, "b": b}


def backward(dy, saved):
    a, b = saved["a"], saved["b"]
    rows, columns = np.atleast_2d(a), b if b.ndim > 1 else b[:, None]
    dy = dy if b.ndim > 1 else dy[..., None]
    dy_turned = np.swapaxes(dy if a.ndim > 1 else dy[..., None, :], -1, -2)
    da, db = np.swapaxes(columns @ dy_turned, -1, -2), np.swapaxes(dy_turned @ rows, -1, -2)
    return back(da, rows.shape).reshape(a.shape), back(db, columns.shape).reshape(b.shape)


def back(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
