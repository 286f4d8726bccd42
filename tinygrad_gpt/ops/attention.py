"""Scaled dot-product attention (Vaswani et al., "Attention is all you need", 2017, section 3.2).

    q        (B, H, Tq, D)  what each position looks for
    k        (B, H, Tk, D)  what each position offers
    v        (B, H, Tk, D)  what it hands over
    mask     None; or boolean, True where a query may attend to a key; or float, added to the scores. It broadcasts to
             (B, H, Tq, Tk)
    causal   whether a query sees only keys up to its own place. The LAST query stands at the LAST key, so that query i
             sees keys j <= i + Tk - Tq: with Tq = Tk the usual triangle, with Tq = 1 (one new token) every key
    scale    what the scores are multiplied by; None: 1/√D, which gives them variance 1 where q and k have it
    dropout  probability of dropping a weight, 0 <= dropout < 1; `seed` decides which
    y        (B, H, Tq, D)

    S = scale · q kᵀ + mask         scores         (B, H, Tq, Tk)
    P = softmax(S)                  weights        each row sums to 1
    Z = P · keep / (1 - dropout)    weights that survive
    y = Z v

A query that may attend to nothing (all its scores are -inf) gets weights 0, output 0 and gradients 0.

Backward takes the lines in reverse, each as in the op of that name:

    dv = Zᵀ dy,   dZ = dy vᵀ                  y = Z v is a matmul
    dP = dZ · keep / (1 - dropout)            dropout
    dS = P · (dP - Σ_j P_j dP_j)              softmax, along the keys
    dq = scale · dS k,   dk = scale · dSᵀ q   S = scale · q kᵀ + mask
    dmask = dS, summed over what the mask was broadcast to (float masks only)

Where a score is -inf P is 0, and so is dS: masked pairs pass no gradient without being mentioned again.

Saved are q, k, v and P. The keep mask is drawn again from its seed. A kernel saves the log-sum-exp of each row instead
of P, (B, H, Tq) in place of (B, H, Tq, Tk), and computes P again block by block (Dao et al., "FlashAttention", 2022).
"""

import math
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats, sum_to_shape
from tinygrad_gpt.random_stream import keep_mask

PARTS = ("matmul", "softmax", "dropout")  # whose work it does: where a user chose a version of one, they run instead


class Saved(NamedTuple):
    q: Array  # (B, H, Tq, D)
    k: Array  # (B, H, Tk, D)
    v: Array  # (B, H, Tk, D)
    p: Array  # (B, H, Tq, Tk)
    scale: float
    dropout: float
    seed: int
    mask_shape: tuple[int, ...] | None  # None where there is no mask, or one without a gradient


def check(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    """Raises TypeError for dtypes, ValueError for shapes and for a dropout out of range."""
    check_floats("attention", q, k, v)
    fits = q.ndim == 4 and k.ndim == 4 and q.shape[:2] == k.shape[:2] and q.shape[3] == k.shape[3] >= 1
    if not fits or v.shape != k.shape:
        raise ValueError(
            "attention: expected q of shape (B, H, Tq, D) and k, v of shape (B, H, Tk, D) with D >= 1, "
            f"got {q.shape}, {k.shape} and {v.shape}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"attention: expected a dropout probability with 0 <= dropout < 1, got {dropout}")
    if mask is not None:
        _check_mask(mask, q, (*q.shape[:3], k.shape[2]))


def _check_mask(mask: Array, q: Array, shape: tuple[int, ...]) -> None:
    if mask.dtype != bool and mask.dtype != q.dtype:
        raise TypeError(
            f"attention: expected a mask of booleans (True may attend) or of {q.dtype} (added to the scores), "
            f"got {mask.dtype}: convert with .astype()"
        )
    extra = len(shape) - mask.ndim
    if extra < 0 or any(m not in (1, n) for m, n in zip(mask.shape, shape[extra:], strict=True)):
        raise ValueError(f"attention: expected a mask that broadcasts to (B, H, Tq, Tk) = {shape}, got {mask.shape}")


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    p = weights(q, k, mask, causal, scale)
    z = p if dropout == 0 else _drop(p, dropout, seed)
    y = z @ v  # (B, H, Tq, Tk) @ (B, H, Tk, D) -> (B, H, Tq, D)
    mask_shape = mask.shape if mask is not None and mask.dtype != bool else None
    return y, Saved(q, k, v, p, scale, dropout, seed, mask_shape)


def weights(q: Array, k: Array, mask: Array | None, causal: bool, scale: float) -> Array:
    """P above, before dropout: (B, H, Tq, Tk)."""
    s = (q @ k.swapaxes(-1, -2)) * scale  # (B, H, Tq, D) @ (B, H, D, Tk) -> (B, H, Tq, Tk)
    if mask is not None and mask.dtype == bool:
        s = np.where(mask, s, -np.inf)
    elif mask is not None:
        s = s + mask
    if causal:
        s = np.where(causal_mask(s), s, -np.inf)
    return _softmax_of_any_row(s)


def backward(dy, saved):
    q, k, v, p, scale, dropout, seed, mask_shape = saved
    z = p if dropout == 0 else _drop(p, dropout, seed)
    # y = z @ v
    dv = z.swapaxes(-1, -2) @ dy  # (B, H, Tk, Tq) @ (B, H, Tq, D) -> (B, H, Tk, D)
    dz = dy @ v.swapaxes(-1, -2)  # (B, H, Tq, D) @ (B, H, D, Tk) -> (B, H, Tq, Tk)
    # z = p * keep / (1 - dropout)
    dp = dz if dropout == 0 else _drop(dz, dropout, seed)
    # p = softmax(s)
    ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True))
    # s = scale * q @ k.T + mask
    dq = (ds @ k) * scale  # (B, H, Tq, Tk) @ (B, H, Tk, D) -> (B, H, Tq, D)
    dk = (ds.swapaxes(-1, -2) @ q) * scale  # (B, H, Tk, Tq) @ (B, H, Tq, D) -> (B, H, Tk, D)
    dmask = sum_to_shape(ds, mask_shape) if mask_shape is not None else None
    return dq, dk, dv, dmask


def causal_mask(s: Array) -> Array:
    """(Tq, Tk), True where query i may see key j: j <= i + Tk - Tq."""
    tq, tk = s.shape[-2:]
    i = np.arange(tq, like=s).reshape(tq, 1)
    return np.arange(tk, like=s) <= i + (tk - tq)


def _softmax_of_any_row(s: Array) -> Array:
    """Softmax along the last axis, but zeros for a row that is all -inf, or empty."""
    if s.shape[-1] == 0:
        return s
    peak = np.max(s, axis=-1, keepdims=True)
    e = np.exp(s - np.where(peak == -np.inf, 0.0, peak))  # (-inf) - (-inf) would be nan
    total = np.sum(e, axis=-1, keepdims=True)
    return e / np.where(total == 0, 1.0, total)


def _drop(x: Array, dropout: float, seed: int) -> Array:
    return np.where(keep_mask(seed, x.shape, dropout, like=x), x * (1 / (1 - dropout)), 0.0)
