"""All axes in one sum, then the shape put right; y is a copy."""

import numpy as np


def forward(x, *, shape):
    padded = (1,) * (len(shape) - x.ndim) + x.shape
    repeated = tuple(i for i, (n, m) in enumerate(zip(padded, shape, strict=True)) if n != m)
    return np.array(np.broadcast_to(x, shape)), (x.shape, repeated)


def backward(dy, saved):
    shape, repeated = saved
    return (np.sum(dy, axis=repeated).reshape(shape),)
