"""Row by row: each adds the outer product of its dy and its x."""

import numpy as np


def forward(x, weight, bias=None):
    y = x @ weight.T
    return y if bias is None else y + bias, (x, weight, bias is None)


def backward(dy, saved):
    x, weight, without_bias = saved
    dweight, dbias = np.zeros_like(weight), np.zeros(len(weight), dy.dtype)
    for row in np.ndindex(dy.shape[:-1]):
        dweight += np.outer(dy[row], x[row])
        dbias += dy[row]
    return dy @ weight, dweight, None if without_bias else dbias
