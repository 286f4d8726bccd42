"""In place: the targets are subtracted from p at their places, as in most textbooks."""

import math

import numpy as np


def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    v = logits.shape[-1]
    t = targets.astype(np.int64).ravel()
    rows = np.flatnonzero(t != ignore_index)
    z, t = logits.reshape(-1, v)[rows], t[rows]
    z = z - np.max(z, axis=-1, keepdims=True)
    total = np.sum(np.exp(z), axis=-1)
    each = np.log(total) - (1 - label_smoothing) * z[np.arange(len(t)), t] - label_smoothing * np.mean(z, axis=-1)
    if reduction == "none":
        y = np.zeros(math.prod(targets.shape), logits.dtype)
        y[rows] = each
        y = y.reshape(targets.shape)
    else:
        y = each.sum() / (len(t) if reduction == "mean" else 1)
    return y, (z, total, t, rows, logits.shape, label_smoothing, reduction)


def backward(dy, saved):
    z, total, t, rows, shape, smoothing, reduction = saved
    dz = np.exp(z) / total[:, None]
    dz[np.arange(len(t)), t] -= 1 - smoothing
    dz -= smoothing / z.shape[-1]
    if reduction == "none":
        dz *= dy.reshape(-1, 1)[rows]
    else:
        dz *= dy / (len(t) if reduction == "mean" else 1)
    dlogits = np.zeros((math.prod(shape[:-1]), shape[-1]), dy.dtype)
    dlogits[rows] = dz
    return dlogits.reshape(shape), None
