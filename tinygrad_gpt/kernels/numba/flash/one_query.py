"""Attention of one query per head: a new token looks at the keys and values in the cache.

It computes the numbers of attention.py without tiles, which pay when many queries share a key. A single query reads
every key and value once, where it lies.

        s_j = scale q·k_j (+ mask_j),  p_j = exp(s_j - max s),  y = Σ_j p_j v_j / Σ_j p_j,  lse = max s + log Σ_j p_j

Keys that the mask hides (padding before a shorter text of a batch) are not read.
"""

import math

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ON_DEMAND, as_contiguous
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, row_max


@kernel(
    lambda f: (
        *[read(f, "B H T D", "A")] * 2, read(f, "B H 1 D", "A"), read(types.boolean, "B H 1 T", "A"), types.boolean,
        read(f, "B H 1 T", "A"), types.boolean, f, write(f, "B H 1 D", "A"), write(f, "B H 1")
    ),
    **ON_DEMAND,
)  # fmt: skip
def one_query(share, k, v, q, shown, has_mask, added, has_added, scale, y, lse):
    """Writes y and lse. T >= 1, and rows of q, k, v and y are contiguous. `shown` counts if has_mask, `added` if
    has_added."""
    b, h = q.shape[:2]
    for head in my_part(share, b * h):
        bi, hi = head // h, head % h
        q_row, y_row = as_contiguous(q[bi, hi, 0]), as_contiguous(y[bi, hi, 0])
        visible = shown[bi, hi, 0], has_mask, added[bi, hi, 0], has_added
        lse[bi, hi, 0] = attend(q_row, k[bi, hi], v[bi, hi], visible, scale, y_row)


@helper(inlined=False)
def attend(q, k, v, visible, scale, y):
    """One head: q and y (D,), k and v (T, D), the masks in `visible` (T,). Writes y and returns lse."""
    shown, has_mask, added, has_added = visible
    t, d = k.shape
    p = np.empty(t, q.dtype)
    for j in range(t):
        if has_mask and not shown[j]:
            p[j] = -np.inf
            continue
        row = as_contiguous(k[j])
        score = q.dtype.type(0)
        for i in range(d):
            score += q[i] * row[i]
        p[j] = score * scale + added[j] if has_added else score * scale
    peak = row_max(p, t)
    peak = peak if peak > -np.inf else q.dtype.type(0)  # (-inf) - (-inf) would be nan
    total = q.dtype.type(0)
    for j in range(t):
        p[j] = exp(p[j] - peak)
        total += p[j]
    y[:] = 0
    for j in range(t):
        if has_mask and not shown[j]:
            continue
        row, weight = as_contiguous(v[j]), p[j]
        for i in range(d):
            y[i] += weight * row[i]
    if total == 0:  # every score was -inf
        return q.dtype.type(np.inf)
    for i in range(d):
        y[i] /= total
    return peak + math.log(total)
