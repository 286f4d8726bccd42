"""Both sides are stretched in forward, and both gradients made in one go."""

import numpy as np


def forward(a, b):
    return a * b, (np.stack(np.broadcast_arrays(b, a)), a.shape, b.shape)


def backward(dy, saved):
    others, *shapes = saved
    return tuple(folded(g, shape) for g, shape in zip(others * dy, shapes, strict=True))


def folded(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + shape
    return np.sum(g, axis=tuple(i for i, n in enumerate(padded) if n == 1)).reshape(shape)
