"""As einsums; Z is saved beside P, and a gradient for a mask only where it has one."""

import numpy as np

from tinygrad_gpt.random_stream import keep_mask


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    s = np.einsum("bhqd,bhkd->bhqk", q * scale, k)
    added = mask is not None and mask.dtype != bool
    if added:
        s = s + mask
    seen = np.broadcast_to(True if mask is None or added else mask, s.shape)
    if causal:
        tq, tk = s.shape[-2:]
        seen = seen & (np.arange(tk) <= np.arange(tq)[:, None] + tk - tq)
    e = np.where(seen, s, -np.inf)
    peak = np.max(e, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(e - np.where(np.isinf(peak), 0.0, peak))
    total = e.sum(axis=-1, keepdims=True)
    p = np.divide(e, total, out=np.zeros_like(e), where=total > 0)
    keep = keep_mask(seed, p.shape, dropout, like=p)
    z = np.where(keep, p / (1 - dropout), 0.0)
    saved = {"q": q, "k": k, "v": v, "p": p, "z": z, "keep": keep, "scale": scale, "share": 1 / (1 - dropout)}
    return np.einsum("bhqk,bhkd->bhqd", z, v), saved | {"mask": mask.shape if added else None}


def backward(dy, saved):
    q, k, p = saved["q"], saved["k"], saved["p"]
    dv = np.einsum("bhqk,bhqd->bhkd", saved["z"], dy)
    dp = np.where(saved["keep"], np.einsum("bhqd,bhkd->bhqk", dy, saved["v"]) * saved["share"], 0.0)
    pdp = p * dp
    ds = pdp - p * pdp.sum(axis=-1, keepdims=True)
    dq = np.einsum("bhqk,bhkd->bhqd", ds, k) * saved["scale"]
    dk = np.einsum("bhqk,bhqd->bhkd", ds, q) * saved["scale"]
    return dq, dk, dv, None if saved["mask"] is None else back(ds, saved["mask"])


def back(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + shape
    return np.sum(g, axis=tuple(i for i, n in enumerate(padded) if n == 1)).reshape(shape)
