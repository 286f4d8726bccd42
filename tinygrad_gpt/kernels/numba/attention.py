"""Attention on the CPU, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives the gradients).

After Dao et al., "FlashAttention" (2022). A thread takes one head of one sequence, and BLOCK of its queries at a time.
Their scores against BLOCK keys at a time make a tile that stays in the cache until it is used up:

    forward    S = scale q kᵀ,   P = exp(S - max),   y = P v / ΣP,   and  lse = max + log ΣP  is saved
    backward   S as above,       P = exp(S - lse),   dP = dy vᵀ,     dS = P (dP - dy · y)
               dv += Pᵀ dy,      dk += scale dSᵀ q,  dq += scale dS k

The maximum of a row is not known before its last tile. So forward goes by the largest score so far, and when a tile
brings a larger one, ΣP and P v are scaled down to it: "online softmax" (Milakov and Gimelshein, 2018).

dy · y stands for the Σ_j P_j dP_j of softmax: y = Σ_j P_j v_j and dP_j = dy · v_j, so the two are one number. With
dropout they still are.

Tiles lie on their side, a row for each key, a column for each query, Sᵀ = k (scale q)ᵀ. Softmax then works down the
columns, on a vector of queries at a time, with no sum across a vector; and only blocks of q, and of dy, need
transposing. What a causal query cannot see is not computed: a STRIP of keys starts at the first query that sees one of
them, and a strip of queries ends at the last key that one of them sees. Nor are keys at the end that a mask of one row
for all queries, as padding gives, hides: a nan in them does not reach y, as it does in the reference, where 0 · nan is
nan.

q, k and v are read by their strides, where they are: views (B, H, T, D) of the (B, T, 3C) that one linear layer made.
k and v of a head are first copied side by side, D padded with zeros to whole vectors. The gradients are views of one
new (B, T, 3, H, D), the gradient of that layer's output, and y is a view of (B, T, H, D): splitting and joining heads
moves nothing.

With few heads, the queries of a head are dealt out into chunks, so that all threads have work. Each chunk then has a dk
and dv of its own, added in order at the end. The number of chunks depends on the shapes alone, and so does the result.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import types

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.flash.one_query import one_query
from tinygrad_gpt.kernels.numba.flash.tiles import (
    BLOCK,
    STRIP,
    Dropping,
    Tile,
    Visible,
    dot,
    drop_weights,
    exp_of_columns,
    first_query,
    hide_masked,
    keys_seen,
    keys_shown,
    new_rows,
    products,
    raise_peak,
    scale_row,
    scores,
    turn,
    weights_and_gradient,
    write_scaled,
)
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import as_contiguous, check_dy, not_ours
from tinygrad_gpt.kernels.numba.product.registers import at
from tinygrad_gpt.kernels.numba.product.tile import copy_tile, multiply, rounded_up
from tinygrad_gpt.random_stream import drop_threshold

_TRUE = np.ones(1, bool)
ENOUGH = 8  # pieces of work: with fewer heads than this, queries are dealt out too


def why_not(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    if mask is not None and mask.dtype != bool:
        return "the gradient of an added mask has no kernel"
    if mask is not None and not isinstance(mask, np.ndarray):
        return f"{type(mask).__name__} is not a NumPy array"
    return not_ours(q, k, v)


def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    b, h, tq, d = q.shape
    tk = k.shape[2]
    if not k.shape == v.shape == (b, h, tk, d):
        raise ValueError(f"attention: expected q, k and v that fit, got {q.shape}, {k.shape} and {v.shape}")
    if not q.dtype == k.dtype == v.dtype:  # where nothing is computed, no kernel refuses them
        raise TypeError(f"attention: expected q, k and v of one dtype, got {q.dtype}, {k.dtype} and {v.dtype}")
    q, k, v = _adjacent(q), _adjacent(k), _adjacent(v)
    if mask is None:  # one True that stands for all; np.broadcast_to takes longer
        shown = np.ndarray((b, h, tq, tk), bool, _TRUE, strides=(0, 0, 0, 0))
    else:  # a copy: backward computes the same scores again, whatever is written into the mask until then
        shown = np.broadcast_to(mask.copy(), (b, h, tq, tk))
    scale = 1 / math.sqrt(d) if scale is None else scale
    visible = Visible(shown, mask is not None, causal)
    dropping = Dropping(np.uint64(drop_threshold(dropout)), 1 / (1 - dropout), np.uint64(seed))
    y = _heads_last(q, b, tq, h, d)
    lse = np.empty((b, h, tq), q.dtype)
    if tk == 0:
        y[...] = 0
    elif tq == 1 and dropout == 0:
        one_query(k, v, q, shown, mask is not None, scale, y, lse)
    elif y.size:
        _forward(q, k, v, *visible, *dropping, scale, _chunks(b * h, tq), y, lse)
    return y, (q, k, v, y, lse, visible, dropping, scale)


def backward(dy, saved):
    q, k, v, y, lse, visible, dropping, scale = saved
    check_dy("attention", dy, y.shape, y.dtype)
    q, k, v, y = _adjacent(q), _adjacent(k), _adjacent(v), _adjacent(y)  # they were; strides can be set in place
    b, h, tq, d = q.shape
    tk = k.shape[2]
    chunks = _chunks(b * h, tq)
    if tq == tk:
        dq, dk, dv = np.empty((b, tq, 3, h, d), q.dtype).transpose(2, 0, 3, 1, 4)  # (B, H, T, D) each
    else:
        dq, dk, dv = _heads_last(q, b, tq, h, d), _heads_last(k, b, tk, h, d), _heads_last(k, b, tk, h, d)
    if y.size == 0 or tk == 0:
        for gradient in (dq, dk, dv):
            gradient[...] = 0
        return dq, dk, dv, None
    dk_parts, dv_parts = dk[None], dv[None]
    if chunks > 1:
        dk_parts, dv_parts = _heads_last(k, chunks, b, tk, h, d), _heads_last(k, chunks, b, tk, h, d)
    _backward(_adjacent(dy), q, k, v, y, lse, *visible, *dropping, scale, dq, dk_parts, dv_parts)
    if chunks > 1:
        dk_parts.sum(axis=0, out=dk)
        dv_parts.sum(axis=0, out=dv)
    return dq, dk, dv, None


def _adjacent(x):
    """x (B, H, T, D) itself if the elements of each row are adjacent in memory, else a copy in which they are."""
    return x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)


def _heads_last(like, *shape):
    """An empty array (..., T, H, D), seen as (..., H, T, D)."""
    return np.empty(shape, like.dtype).swapaxes(-2, -3)


def _chunks(heads: int, tq: int) -> int:
    """Into how many chunks the queries of each head are dealt."""
    blocks = -(-tq // BLOCK)
    return max(1, min(blocks, ENOUGH // max(1, heads)))


class QKV(NamedTuple):
    """q, k and v of one head, (Tq, D) and twice (Tk, D), or their gradients."""

    q: Array
    k: Array
    v: Array


class Part(NamedTuple):
    """A piece of work: blocks chunk, chunk + chunks, ... of the queries of one head."""

    head: int  # counted over all sequences
    chunk: int
    chunks: int


_QUERIES, _KEYS = "B H Tq D", "B H Tk D"


def _visible_dropping_and_scale(f):
    shown = read(types.boolean, "B H Tq Tk", "A")
    return *Visible(shown, types.boolean, types.boolean), *Dropping(types.uint64, f, types.uint64), f


# --- forward -----------------------------------------------------------------------------------------------------


@kernel(
    lambda f: (
        read(f, _QUERIES, "A"), *[read(f, _KEYS, "A")] * 2, *_visible_dropping_and_scale(f), types.int64,
        write(f, _QUERIES, "A"), write(f, "B H Tq"),
    )
)  # fmt: skip
def _forward(share, q, k, v, shown, has_mask, causal, threshold, keep_scale, seed, scale, chunks, y, lse):
    (b, h, _, d), tk = q.shape, k.shape[2]
    dropping = Dropping(threshold, keep_scale, seed)
    depth = rounded_up(d, STRIP)
    # Once for all heads of a thread: for short sequences it takes as long to find memory as to fill it.
    space = ForwardSpace(
        new_rows(k, tk, depth),
        new_rows(k, tk, depth),
        new_rows(q, depth, BLOCK),
        new_rows(q, BLOCK, depth),
        new_rows(q, BLOCK, BLOCK),
        new_rows(q, 5, BLOCK),
    )
    for item in my_part(share, b * h * chunks):
        part = Part(item // chunks, item % chunks, chunks)
        bi, hi = part.head // h, part.head % h
        visible = Visible(shown[bi, hi], has_mask, causal)
        qkv = QKV(q[bi, hi], k[bi, hi], v[bi, hi])
        _forward_head(qkv, visible, dropping, scale, part, space, y[bi, hi], lse[bi, hi])


class ForwardSpace(NamedTuple):
    """Where a thread works on its heads, one after the other; all begin as zeros, and stay so beside what is written.

    k_rows, v_rows  (Tk or a little more, depth)
    q_turned        (depth, BLOCK): scale qᵀ of a block of queries
    y_rows          (BLOCK, depth): its y, not yet divided by ΣP
    p               (BLOCK keys, BLOCK queries): S, then P
    of_queries      (5, BLOCK): a row for sums to begin with, and see _forward_head
    """

    k_rows: Array
    v_rows: Array
    q_turned: Array
    y_rows: Array
    p: Array
    of_queries: Array


@pasted
def _forward_head(qkv, visible, dropping, scale, part, space, y, lse):
    """A part of one head: writes its rows of y (Tq, D) and lse (Tq,)."""
    q, k, v = qkv
    k_rows, v_rows, q_turned, y_rows, p, of_queries = space
    (tq, d), tk, depth = q.shape, k.shape[0], k_rows.shape[1]
    causal, end = visible.causal, keys_shown(visible, tk)
    copy_tile(at(k, 0, 0), tk, d, at(k_rows, 0, 0))
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
        turn(q, start, count, scale, q_turned)
        peak[:], total[:], y_rows[:columns] = -np.inf, 0, 0
        for first in range(0, keys, BLOCK):
            tile = Tile(first, min(BLOCK, keys - first), columns, past, causal)
            # Sᵀ = k (scale q)ᵀ: (keys, D) @ (D, queries)
            scores(p, zeros, k_rows, q_turned, tile)
            if visible.has_mask:
                hide_masked(p, visible.shown, start, count, tile)
            # P = exp(S - max), what was summed before scaled to the new maximum
            raise_peak(p, tile, peak, shrink)
            exp_of_columns(p, tile, peak, total, shrink, of_queries[4])
            for i in range(count):
                scale_row(y_rows[i], shrink[i])
            if dropping.threshold > 0:
                drop_weights(p, tile, (part.head * tq + start) * tk + first, tk, dropping)
            # y += P v: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                seen = min(tile.rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
                y_strip = at(y_rows, i, 0)
                multiply(y_strip, y_strip, at(p.T, i, 0), at(v_rows, first, 0), STRIP, seen, depth)
        for i in range(count):
            lse[start + i] = np.inf if total[i] == 0 else peak[i] + math.log(total[i])
            scale_row(y_rows[i], 0 if total[i] == 0 else 1 / total[i])
        copy_tile(at(y_rows, 0, 0), count, d, at(y, start, 0))


# --- backward ----------------------------------------------------------------------------------------------------


@kernel(
    lambda f: (
        *[read(f, _QUERIES, "A")] * 2, *[read(f, _KEYS, "A")] * 2, read(f, _QUERIES, "A"), read(f, "B H Tq"),
        *_visible_dropping_and_scale(f), write(f, _QUERIES, "A"), *[write(f, f"chunks {_KEYS}", "A")] * 2,
    )
)  # fmt: skip
def _backward(share, dy, q, k, v, y, lse, shown, has_mask, causal, threshold, keep_scale, seed, scale, dq, dk, dv):
    (b, h, _, d), tk = q.shape, k.shape[2]
    dropping = Dropping(threshold, keep_scale, seed)
    chunks, depth = dk.shape[0], rounded_up(d, STRIP)
    space = BackwardSpace(
        new_rows(k, tk, depth), new_rows(k, tk, depth), new_rows(k, tk, depth), new_rows(k, tk, depth),
        new_rows(q, depth, BLOCK), new_rows(q, depth, BLOCK),
        new_rows(q, BLOCK, depth), new_rows(q, BLOCK, depth), new_rows(q, BLOCK, depth),
        new_rows(q, BLOCK, BLOCK), new_rows(q, BLOCK, BLOCK), new_rows(q, 3, BLOCK),
    )  # fmt: skip
    for item in my_part(share, b * h * chunks):
        part = Part(item // chunks, item % chunks, chunks)
        bi, hi = part.head // h, part.head % h
        visible = Visible(shown[bi, hi], has_mask, causal)
        qkv = QKV(q[bi, hi], k[bi, hi], v[bi, hi])
        gradients = QKV(dq[bi, hi], dk[part.chunk, bi, hi], dv[part.chunk, bi, hi])
        _backward_head(dy[bi, hi], qkv, y[bi, hi], lse[bi, hi], visible, dropping, scale, part, space, gradients)


class BackwardSpace(NamedTuple):
    """Where a thread works on its heads, as ForwardSpace.

    k_rows, v_rows, dk_rows, dv_rows  (Tk or a little more, depth)
    q_turned, dy_turned               (depth, BLOCK): scale qᵀ of a block of queries, and its dyᵀ
    q_rows, dy_rows, dq_rows          (BLOCK, depth): q and dy as they are, and dq
    p, ds                             (BLOCK keys, BLOCK queries): S, then P; dP, then dS
    of_queries                        (3, BLOCK): a row for sums to begin with, lse, and dy · y
    """

    k_rows: Array
    v_rows: Array
    dk_rows: Array
    dv_rows: Array
    q_turned: Array
    dy_turned: Array
    q_rows: Array
    dy_rows: Array
    dq_rows: Array
    p: Array
    ds: Array
    of_queries: Array


@pasted
def _backward_head(dy, qkv, y, lse, visible, dropping, scale, part, space, gradients):
    """A part of one head: writes dq of its queries, and into dk and dv what these queries add to them."""
    q, k, v = qkv
    dq, dk, dv = gradients
    k_rows, v_rows, dk_rows, dv_rows, q_turned, dy_turned, q_rows, dy_rows, dq_rows, p, ds, of_queries = space
    (tq, d), tk, depth = q.shape, k.shape[0], k_rows.shape[1]
    causal, end = visible.causal, keys_shown(visible, tk)
    copy_tile(at(k, 0, 0), tk, d, at(k_rows, 0, 0))
    copy_tile(at(v, 0, 0), tk, d, at(v_rows, 0, 0))
    dk_rows[:], dv_rows[:] = 0, 0
    zeros, block_lse, along_y = of_queries[0:1], of_queries[1], of_queries[2]
    one = q.dtype.type(1)
    for start in range(part.chunk * BLOCK, tq, part.chunks * BLOCK):
        count = min(BLOCK, tq - start)
        columns = rounded_up(count, STRIP)
        past = start + tk - tq
        keys = keys_seen(past + count - 1, end, causal)
        turn(q, start, count, scale, q_turned)
        turn(dy, start, count, one, dy_turned)
        q_rows[count:columns], dy_rows[count:columns] = 0, 0
        block_lse[count:], along_y[count:] = 0, 0
        copy_tile(at(q, start, 0), count, d, at(q_rows, 0, 0))
        copy_tile(at(dy, start, 0), count, d, at(dy_rows, 0, 0))
        for i in range(count):
            block_lse[i], along_y[i] = lse[start + i], dot(dy_rows[i], as_contiguous(y[start + i]))
        dq_rows[:columns] = 0
        for first in range(0, keys, BLOCK):
            tile = Tile(first, min(BLOCK, keys - first), columns, past, causal)
            number = (part.head * tq + start) * tk + first  # of the tile's first weight
            # Sᵀ = k (scale q)ᵀ,  dPᵀ = v dyᵀ
            scores(p, zeros, k_rows, q_turned, tile)
            if visible.has_mask:
                hide_masked(p, visible.shown, start, count, tile)
            products(ds, zeros, v_rows, dy_turned, tile)
            if dropping.threshold > 0:
                drop_weights(ds, tile, number, tk, dropping)
            # P = exp(S - lse),  dS = P (dP - dy . y)
            weights_and_gradient(p, ds, tile, block_lse, along_y)
            if dropping.threshold > 0:
                drop_weights(p, tile, number, tk, dropping)
            # dv += Pᵀ dy,  dk += dSᵀ q: (keys, queries) @ (queries, D)
            for j in range(0, tile.rows, STRIP):
                left = first_query(j, tile)
                dv_strip, dk_strip = at(dv_rows, first + j, 0), at(dk_rows, first + j, 0)
                multiply(dv_strip, dv_strip, at(p, j, left), at(dy_rows, left, 0), STRIP, columns - left, depth)
                multiply(dk_strip, dk_strip, at(ds, j, left), at(q_rows, left, 0), STRIP, columns - left, depth)
            # dq += dS k: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                seen = min(tile.rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
                dq_strip = at(dq_rows, i, 0)
                multiply(dq_strip, dq_strip, at(ds.T, i, 0), at(k_rows, first, 0), STRIP, seen, depth)
        write_scaled(dq_rows, scale, dq[start : start + count])
    write_scaled(dk_rows, scale, dk)
    write_scaled(dv_rows, one, dv)
