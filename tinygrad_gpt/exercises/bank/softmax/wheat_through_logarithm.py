"""Through log-softmax: first the gradient of log y, then of x; it saves the exponents and their sum."""

import numpy as np


def forward(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    total = np.sum(e, axis=axis, keepdims=True)
    return e / total, (e, total, axis)


def backward(dy, saved):
    e, total, axis = saved
    dlog = dy * e / total
    return (dlog - e * (np.sum(dlog, axis=axis, keepdims=True) / total),)
