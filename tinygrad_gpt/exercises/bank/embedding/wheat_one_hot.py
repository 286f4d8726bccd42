"""As a matrix product with one-hot rows, which it is."""

import numpy as np


def forward(ids, weight):
    onehot = (ids[..., None] == np.arange(len(weight))).astype(weight.dtype)
    return onehot @ weight, onehot


def backward(dy, saved):
    v, c = saved.shape[-1], dy.shape[-1]
    return None, saved.reshape(-1, v).T @ dy.reshape(-1, c)
