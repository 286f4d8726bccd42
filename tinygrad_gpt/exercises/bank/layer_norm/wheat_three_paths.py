"""The three ways one by one, by the chain rule through μ and the variance; x is saved."""

import numpy as np


def forward(x, weight, bias=None, *, eps=1e-5):
    centred = x - x.mean(axis=-1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    y = weight * (centred / std)
    return y if bias is None else y + bias, (centred, std, weight, bias is None)


def backward(dy, saved):
    centred, std, weight, without_bias = saved
    c = centred.shape[-1]
    flat = dy.reshape(-1, c)
    dweight = np.einsum("rc,rc->c", flat, (centred / std).reshape(-1, c))
    dbias = None if without_bias else flat.sum(axis=0)
    dx_hat = dy * weight
    dvariance = -0.5 * np.sum(dx_hat * centred, axis=-1, keepdims=True) / std**3
    dcentred = dx_hat / std + dvariance * 2 * centred / c
    return dcentred - dcentred.sum(axis=-1, keepdims=True) / c, dweight, dbias
