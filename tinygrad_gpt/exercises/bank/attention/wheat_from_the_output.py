"""The sum of softmax's backward from the output: Σ P dP = Σ y dy along D, as FlashAttention has it."""

import math

import numpy as np

from tinygrad_gpt.random_stream import keep_mask


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = (q @ k.swapaxes(-1, -2)) * scale
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        tq, tk = s.shape[-2:]
        s = np.where(np.tri(tq, tk, tk - tq, dtype=bool), s, -np.inf)
    peak = np.max(s, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(peak == -np.inf, 0.0, peak))
    total = np.sum(e, axis=-1, keepdims=True)
    p = e / np.where(total == 0, 1.0, total)
    keep = keep_mask(seed, p.shape, dropout, like=p)
    y = np.where(keep, p * (1 / (1 - dropout)), 0.0) @ v
    shape = None if mask is None or mask.dtype == bool else mask.shape
    return y, (q, k, v, p, y, keep, 1 / (1 - dropout), scale, shape)


def backward(dy, saved):
    q, k, v, p, y, keep, share, scale, shape = saved
    dv = np.where(keep, p * share, 0.0).swapaxes(-1, -2) @ dy
    dp = np.where(keep, (dy @ v.swapaxes(-1, -2)) * share, 0.0)
    ds = p * (dp - np.sum(y * dy, axis=-1, keepdims=True))
    dq, dk = (ds @ k) * scale, (ds.swapaxes(-1, -2) @ q) * scale
    if shape is None:
        return dq, dk, dv, None
    while ds.ndim > len(shape):
        ds = ds.sum(axis=0)
    return dq, dk, dv, np.sum(ds, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
