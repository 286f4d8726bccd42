"""Attention, backwards.

    S = scale · q kᵀ + mask         scores, (B, H, Tq, Tk); -∞ where a query must not see a key
    P = softmax(S)                  weights: each row adds up to 1
    Z = P · keep / (1 - dropout)    the weights that dropout leaves
    y = Z v

    q        (B, H, Tq, D)      k, v  (B, H, Tk, D)      y  (B, H, Tq, D)
    mask     None; booleans, True where a query may see a key; or numbers, added to the scores
    causal   whether a query sees only keys up to its own place. The last query stands at the last key
    scale    None is 1/√D

Given dy = ∂L/∂y, return ∂L/∂q, ∂L/∂k, ∂L/∂v, and ∂L/∂mask, which is done for you: it is the gradient of the scores.

Go through forward from the last line to the first. You have met each: two matrix products, a softmax, a dropout.

`forward` saves, besides its inputs, P and what it is multiplied with to make Z, `factor`. You may save other things.
"""

import math

import numpy as np

from tinygrad_gpt.random_stream import keep_mask


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = scale * (q @ turned(k))  # (B, H, Tq, D) @ (B, H, D, Tk) -> (B, H, Tq, Tk)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        tq, tk = s.shape[-2:]
        s = np.where(np.tri(tq, tk, tk - tq, dtype=bool), s, -np.inf)
    p = softmax(s)
    factor = np.where(keep_mask(seed, p.shape, dropout, like=p), 1 / (1 - dropout), 0.0).astype(p.dtype)
    y = (p * factor) @ v  # (B, H, Tq, Tk) @ (B, H, Tk, D) -> (B, H, Tq, D)
    mask_shape = None if mask is None or mask.dtype == bool else mask.shape
    return y, (q, k, v, p, factor, scale, mask_shape)


def backward(dy, saved):
    q, k, v, p, factor, scale, mask_shape = saved
    # BEGIN SOLUTION
    # STUB: # dv, and then the gradients of Z, P, S (call it ds), q and k
    # STUB: raise NotImplementedError("backward is yours to write")
    # y = Z v
    dv = turned(p * factor) @ dy
    dz = dy @ turned(v)
    # Z = P · factor
    dp = dz * factor
    # P = softmax(S)
    ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True))
    # S = scale · q kᵀ + mask
    dq = scale * (ds @ k)
    dk = scale * (turned(ds) @ q)
    # END SOLUTION
    dmask = None if mask_shape is None else summed_to(ds, mask_shape)
    return dq, dk, dv, dmask


def turned(a):
    """a with its last two axes exchanged."""
    return a.swapaxes(-1, -2)


def softmax(s):
    """Along the last axis. A row that is all -∞ sees nothing: its weights are 0."""
    peak = np.max(s, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(peak == -np.inf, 0.0, peak))
    total = np.sum(e, axis=-1, keepdims=True)
    return e / np.where(total == 0, 1.0, total)


def summed_to(g, shape):
    """g, summed over what broadcasting has repeated, as in the exercise broadcast_to: an array of this shape."""
    g = np.sum(g, axis=tuple(range(g.ndim - len(shape))))
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
