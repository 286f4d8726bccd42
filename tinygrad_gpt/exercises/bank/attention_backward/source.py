"""Attention, backwards, one line at a time.

    s = q kᵀ / √D           (T, S)   scores of T queries and S keys
    p = softmax(s)          (T, S)   each row sums to 1
    y = p v                 (T, D)

Given dy = ∂L/∂y, go back from the last line to the first. Return every gradient on the way, in this order: the checker
tells you the first that is wrong. You may return a dictionary that ends early, and go on later.

    q            (T, D)
    k, v, dy     (S, D), (S, D), (T, D)
    returns      {"dv": (S, D), "dp": (T, S), "ds": (T, S), "dq": (T, D), "dk": (S, D)}
"""

import numpy as np


def attention_backward(q, k, v, dy):
    scale = 1 / np.sqrt(q.shape[-1])
    s = q @ k.T * scale
    e = np.exp(s - np.max(s, axis=-1, keepdims=True))
    p = e / np.sum(e, axis=-1, keepdims=True)
    # BEGIN SOLUTION
    # y = p @ v
    dv = p.T @ dy
    dp = dy @ v.T
    # p = softmax(s)
    ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True))
    # s = q @ k.T * scale
    dq = ds @ k * scale
    dk = ds.T @ q * scale
    return {"dv": dv, "dp": dp, "ds": ds, "dq": dq, "dk": dk}
    # END SOLUTION
