"""Attention on the CPU, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives the gradients).

After Dao et al., "FlashAttention" (2022); flash/ladder.py leads here, an idea at a time. A thread takes one head of one
sequence, and BLOCK of its queries at a time. Their scores against BLOCK keys at a time make a tile that stays in the
cache until it is used up:

    forward    S = scale q kᵀ (+ mask),   P = exp(S - max),   y = P v / ΣP,   and  lse = max + log ΣP  is saved
    backward   S as above,       P = exp(S - lse),   dP = dy vᵀ,     dS = P (dP - dy · y)
               dv += Pᵀ dy,      dk += scale dSᵀ q,  dq += scale dS k

The maximum of a row is not known before its last tile. So forward goes by the largest score so far, and when a tile
brings a larger one, ΣP and P v are scaled down to it: "online softmax" (Milakov and Gimelshein, 2018).

dy · y stands for the Σ_j P_j dP_j of softmax: y = Σ_j P_j v_j and dP_j = dy · v_j, so the two are one number. With
dropout they still are.

Tiles lie on their side, a row for each key, a column for each query, Sᵀ = (scale k) qᵀ. Softmax then works down the
columns, on a vector of queries at a time, with no sum across a vector; and only blocks of q, and of dy, need
transposing. What a causal query cannot see is not computed: a STRIP of keys starts at the first query that sees one of
them, and a strip of queries ends at the last key that one of them sees. Nor are keys at the end that a mask of one row
for all queries, as padding gives, hides: a nan in them does not reach y, as it does in the reference, where 0 · nan is
nan.

q, k and v are read by their strides, where they are: views (B, H, T, D) of the (B, T, 3C) that one linear layer made.
k and v of a head are first copied side by side, D padded with zeros to whole vectors. The gradients are views of one
new (B, T, 3, H, D), the gradient of that layer's output; where keys are not as many as queries, those of k and v are
views of one new (B, Tk, 2, H, D). And y is a view of (B, T, H, D). So splitting and joining heads moves nothing. A mask
that is added is read where it is as well, and dS goes from each tile into its gradient (flash/added_mask.py).

With few heads, the queries of a head are dealt out into chunks, so that all threads have work. Each chunk then has a dk
and dv of its own, added in order at the end. The number of chunks depends on the shapes alone, and so does the result.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import types

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.flash.backward import backward
from tinygrad_gpt.kernels.numba.flash.fetch import fetch_to_write
from tinygrad_gpt.kernels.numba.flash.one_query import one_query
from tinygrad_gpt.kernels.numba.flash.shared import (
    KEYS,
    QKV,
    QUERIES,
    Part,
    adjacent,
    arguments_for_scores,
    chunks_of,
    heads_last,
    masked_scores,
    masks,
)
from tinygrad_gpt.kernels.numba.flash.tiles import (
    BLOCK,
    STRIP,
    Dropping,
    Tile,
    Visible,
    drop_weights,
    exp_of_columns,
    keys_seen,
    keys_shown,
    new_rows,
    raise_peak,
    scale_row,
    turn,
    write_scaled,
)
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import not_ours
from tinygrad_gpt.kernels.numba.product.registers import at
from tinygrad_gpt.kernels.numba.product.tile import copy_tile, multiply, rounded_up
from tinygrad_gpt.random_stream import drop_threshold

__all__ = ["backward", "forward", "why_not"]


def why_not(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    if mask is None or mask.dtype != bool:
        return not_ours(q, k, v, mask)
    return not_ours(q, k, v) if isinstance(mask, np.ndarray) else f"{type(mask).__name__} is not a NumPy array"


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    b, h, tq, d = q.shape
    tk = k.shape[2]
    if not k.shape == v.shape == (b, h, tk, d):
        raise ValueError(f"attention: expected q, k and v that fit, got {q.shape}, {k.shape} and {v.shape}")
    dtypes = [a.dtype for a in (q, k, v, mask) if a is not None and a.dtype != bool]
    if dtypes.count(q.dtype) < len(dtypes):  # where nothing is computed, no kernel refuses them
        raise TypeError(
            f"attention: expected q, k, v and an added mask of one dtype, got {', '.join(map(str, dtypes))}"
        )
    q, k, v = adjacent(q), adjacent(k), adjacent(v)
    if mask is not None and mask.dtype == bool:  # backward computes the same scores again
        mask = mask.copy()
    shape = b, h, tq, tk
    visible = masks(mask, causal, shape, q.dtype)
    scale = 1 / math.sqrt(d) if scale is None else scale
    dropping = Dropping(np.uint64(drop_threshold(dropout)), 1 / (1 - dropout), np.uint64(seed))
    y = heads_last(q, b, tq, h, d)
    lse = np.empty((b, h, tq), q.dtype)
    if tk == 0:
        y[...] = 0
    elif tq == 1 and dropout == 0:
        one_query(k, v, q, *visible[:4], scale, y, lse)
    elif y.size:
        _forward(q, k, v, *visible, *dropping, scale, chunks_of(b * h, tq), y, lse)
    return y, (q, k, v, mask, y, lse, shape, causal, dropping, scale)


@kernel(
    lambda f: (
        read(f, QUERIES, "A"), *[read(f, KEYS, "A")] * 2, *arguments_for_scores(f), types.int64,
        write(f, QUERIES, "A"), write(f, "B H Tq"),
    )
)  # fmt: skip
def _forward(
    share, q, k, v, shown, has_mask, added, has_added, causal, threshold, keep_scale, seed, scale, chunks, y, lse
):
    (b, h, _, d), tk = q.shape, k.shape[2]
    dropping = Dropping(threshold, keep_scale, seed)
    depth = rounded_up(d, STRIP)
    # Once for all heads of a thread: for short sequences it takes as long to find memory as to fill it.
    space = ForwardSpace(
        new_rows(k, tk, depth), new_rows(k, tk, depth), new_rows(q, depth, BLOCK), new_rows(q, BLOCK, depth),
        new_rows(q, BLOCK, BLOCK), new_rows(q, BLOCK if has_added else 0, BLOCK), new_rows(q, 5, BLOCK),
    )  # fmt: skip
    for item in my_part(share, b * h * chunks):
        part = Part(item // chunks, item % chunks, chunks)
        bi, hi = part.head // h, part.head % h
        visible = Visible(shown[bi, hi], has_mask, added[bi, hi], has_added, causal)
        qkv = QKV(q[bi, hi], k[bi, hi], v[bi, hi])
        _forward_head(qkv, visible, dropping, scale, part, space, y[bi, hi], lse[bi, hi])


class ForwardSpace(NamedTuple):
    """Where a thread works on one head after the other. All begin as zeros, and stay so beside what is written."""

    k_rows: Array  # (Tk or a little more, depth): scale k
    v_rows: Array  # the same of v
    q_turned: Array  # (depth, BLOCK): qᵀ of a block of queries
    y_rows: Array  # (BLOCK, depth): its y, not yet divided by ΣP
    p: Array  # (BLOCK keys, BLOCK queries): S, then P
    mask_turned: Array  # (BLOCK, BLOCK): a tile of an added mask
    of_queries: Array  # (5, BLOCK): a row for sums to begin with, and see _forward_head


@pasted
def _forward_head(qkv, visible, dropping, scale, part, space, y, lse):
    """A part of one head: writes its rows of y (Tq, D) and lse (Tq,)."""
    q, k, v = qkv
    k_rows, v_rows, q_turned, y_rows, p, mask_turned, of_queries = space
    (tq, d), tk, depth = q.shape, k.shape[0], k_rows.shape[1]
    causal, end = visible.causal, keys_shown(visible, tk)
    write_scaled(k, scale, k_rows[:tk, :d])
    copy_tile(at(v, 0, 0), tk, d, at(v_rows, 0, 0))
    zeros = of_queries[0:1]  # a row for sums to begin with
    peak = of_queries[1]  # of each query: the largest score so far,
    total = of_queries[2]  # ΣP so far,
    shrink = of_queries[3]  # and e^(peak before the last tile - peak)
    for start in range(part.chunk * BLOCK, tq, part.chunks * BLOCK):
        count = min(BLOCK, tq - start)
        columns = rounded_up(count, STRIP)
        past = start + tk - tq  # of the block's queries, number i sees the keys up to number past + i
        keys = keys_seen(past + count - 1, end, causal)
        turn(q, start, count, q_turned)
        peak[:], total[:], y_rows[:columns] = -np.inf, 0, 0
        for first in range(0, keys, BLOCK):
            tile = Tile(first, min(BLOCK, keys - first), columns, past, causal)
            masked_scores(p, zeros, k_rows, q_turned, visible, start, count, tile, mask_turned)
            # P = exp(S - max), what was summed before scaled to the new maximum
            raise_peak(p, tile, peak, shrink)
            exp_of_columns(p, tile, peak, total, shrink, of_queries[4])
            for i in range(count):
                scale_row(y_rows[i], shrink[i])
            if dropping.threshold > 0:
                drop_weights(p, tile, (part.head * tq + start) * tk + first, tk, dropping)
            # y += P v: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                if first + BLOCK >= keys:
                    fetch_to_write(y, start + i, STRIP)
                seen = min(tile.rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
                y_strip = at(y_rows, i, 0)
                multiply(y_strip, y_strip, at(p.T, i, 0), at(v_rows, first, 0), STRIP, seen, depth)
        for i in range(count):
            lse[start + i] = np.inf if total[i] == 0 else peak[i] + math.log(total[i])
            scale_row(y_rows[i], 0 if total[i] == 0 else 1 / total[i])
        copy_tile(at(y_rows, 0, 0), count, d, at(y, start, 0))
