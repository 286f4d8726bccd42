"""Attention on the CPU, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives the gradients).

After Dao et al., "FlashAttention" (2022). A thread takes one head of one sequence, and BLOCK of its queries at a time.
Their scores against BLOCK keys at a time make a tile that stays in the cache until it is used up:

    forward    S = scale q kᵀ,   P = exp(S - max),   y = P v / ΣP,   and  lse = max + log ΣP  is saved
    backward   S as above,       P = exp(S - lse),   dP = dy vᵀ,     dS = P (dP - dy · y)
               dv += Pᵀ dy,      dk += scale dSᵀ q,  dq += scale dS k

The maximum of a row is not known before its last tile. So forward goes by the largest score so far, and when a tile
brings a larger one, ΣP and P v are scaled down to it: "online softmax" (Milakov and Gimelshein, 2018).

dy · y stands for the Σ_j P_j dP_j of softmax: y = Σ_j P_j v_j and dP_j = dy · v_j, so the two are one number, and with
dropout they still are.

Tiles lie on their side, a row for each key, a column for each query, Sᵀ = k (scale q)ᵀ. Softmax then works down the
columns, on a vector of queries at a time, with no sum across a vector; and only blocks of q, and of dy, need
transposing. What a causal query cannot see is not computed: a STRIP of keys starts at the first query that sees one of
them, and a strip of queries ends at the last key that one of them sees.

q, k and v are read by their strides, where they are: views (B, H, T, D) of the (B, T, 3C) that one linear layer made.
k and v of a head are first copied side by side, D padded with zeros to whole vectors. The gradients are made as views
of one (B, T, 3, H, D) in turn, the gradient of that layer's output, and y as a view of (B, T, H, D): splitting and
joining heads moves nothing.

With few heads, the queries of a head are dealt out into chunks, so that all threads have work. Each chunk then has a dk
and dv of its own, added up at the end in order. The number of chunks depends on the shapes only, so that the result
never depends on the threads.
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
    dot,
    drop_weights,
    exp_of_columns,
    first_query,
    hide_masked,
    keys_seen,
    new_tile,
    padded,
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


class Saved(NamedTuple):
    q: Array  # (B, H, Tq, D)
    k: Array  # (B, H, Tk, D)
    v: Array  # (B, H, Tk, D)
    y: Array  # (B, H, Tq, D)
    lse: Array  # (B, H, Tq)
    visible: tuple  # what decides which scores count, as the kernels take it
    dropping: tuple  # and which weights are dropped


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
    q, k, v = _adjacent(q), _adjacent(k), _adjacent(v)
    if mask is None:  # one True that stands for all, a tenth of the time that np.broadcast_to takes
        shown = np.ndarray((b, h, tq, tk), bool, _TRUE, strides=(0, 0, 0, 0))
    else:  # a copy: backward computes the same scores again, whatever is written into the mask until then
        shown = np.broadcast_to(mask.copy(), (b, h, tq, tk))
    visible = (shown, mask is not None, causal, 1 / math.sqrt(d) if scale is None else scale)
    dropping = (np.uint64(drop_threshold(dropout)), 1 / (1 - dropout), np.uint64(seed))
    y = _heads_last(q, b, tq, h, d)
    lse = np.empty((b, h, tq), q.dtype)
    if tk == 0:
        y[...] = 0
    elif tq == 1 and dropout == 0:
        one_query(q, k, v, shown, mask is not None, visible[3], y, lse)
    elif y.size:
        _forward(q, k, v, *visible, *dropping, _chunks(b * h, tq), y, lse)
    return y, Saved(q, k, v, y, lse, visible, dropping)


def backward(dy, saved):
    q, k, v, y, lse, visible, dropping = saved
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
    _backward(_adjacent(dy), q, k, v, y, lse, *visible, *dropping, dq, dk_parts, dv_parts)
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


# Arguments of both kernels: visible = (shown, has_mask, causal, scale), dropping = (threshold, keep_scale, seed).
def _visible_and_dropping(f):
    return read(types.boolean, "B H Tq Tk", "A"), types.boolean, types.boolean, f, types.uint64, f, types.uint64


_QUERIES, _KEYS = "B H Tq D", "B H Tk D"


# --- forward -----------------------------------------------------------------------------------------------------


@kernel(
    lambda f: (
        read(f, _QUERIES, "A"), *[read(f, _KEYS, "A")] * 2, *_visible_and_dropping(f), types.int64,
        write(f, _QUERIES, "A"), write(f, "B H Tq"),
    )
)  # fmt: skip
def _forward(share, q, k, v, shown, has_mask, causal, scale, threshold, keep_scale, seed, chunks, y, lse):
    b, h = q.shape[:2]
    for item in my_part(share, b * h * chunks):
        head, chunk = item // chunks, item % chunks
        bi, hi = head // h, head % h
        _forward_head(
            q[bi, hi], k[bi, hi], v[bi, hi], shown[bi, hi], has_mask, causal, scale,
            threshold, keep_scale, seed, head, chunk, chunks, y[bi, hi], lse[bi, hi],
        )  # fmt: skip


@pasted
def _forward_head(q, k, v, shown, has_mask, causal, scale, threshold, keep_scale, seed, head, chunk, chunks, y, lse):
    """One head: q and y (Tq, D), k and v (Tk, D), shown (Tq, Tk), lse (Tq,); every chunks-th block of its queries."""
    (tq, d), tk = q.shape, k.shape[0]
    depth = rounded_up(d, STRIP)
    k_rows, v_rows = padded(k, depth), padded(v, depth)
    q_turned, y_rows, p = np.empty((depth, BLOCK), q.dtype), np.empty((BLOCK, depth), q.dtype), new_tile(q)
    zeros = np.zeros((1, BLOCK), q.dtype)
    peak, total, shrink = np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype)
    for start in range(chunk * BLOCK, tq, chunks * BLOCK):
        count = min(BLOCK, tq - start)
        past = start + tk - tq  # of the block's queries, number i sees the keys up to number past + i
        keys = keys_seen(past + count - 1, tk, causal)
        turn(q, start, count, scale, q_turned)
        peak[:], total[:], y_rows[:] = -np.inf, 0, 0
        for first in range(0, keys, BLOCK):
            rows = min(BLOCK, keys - first)
            # Sᵀ = k (scale q)ᵀ: (keys, D) @ (D, queries)
            scores(p, zeros, k_rows, q_turned, first, rows, past, causal)
            if has_mask:
                hide_masked(p, shown, start, count, first, rows)
            # P = exp(S - max), what was summed before scaled to the new maximum
            raise_peak(p, first, rows, past, causal, peak, shrink)
            exp_of_columns(p, first, rows, past, causal, peak, total, shrink)
            for i in range(count):
                scale_row(y_rows[i], shrink[i])
            if threshold > 0:
                drop_weights(p, rows, (head * tq + start) * tk + first, tk, threshold, keep_scale, seed)
            # y += P v: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                seen = min(rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
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
        *_visible_and_dropping(f), write(f, _QUERIES, "A"), *[write(f, f"chunks {_KEYS}", "A")] * 2,
    )
)  # fmt: skip
def _backward(share, dy, q, k, v, y, lse, shown, has_mask, causal, scale, threshold, keep_scale, seed, dq, dk, dv):
    b, h = q.shape[:2]
    chunks = dk.shape[0]
    for item in my_part(share, b * h * chunks):
        head, chunk = item // chunks, item % chunks
        bi, hi = head // h, head % h
        _backward_head(
            dy[bi, hi], q[bi, hi], k[bi, hi], v[bi, hi], y[bi, hi], lse[bi, hi], shown[bi, hi], has_mask, causal, scale,
            threshold, keep_scale, seed, head, chunk, chunks, dq[bi, hi], dk[chunk, bi, hi], dv[chunk, bi, hi],
        )  # fmt: skip


@pasted
def _backward_head(
    dy, q, k, v, y, lse, shown, has_mask, causal, scale, threshold, keep_scale, seed, head, chunk, chunks, dq, dk, dv
):
    """One head, as in _forward_head; dq is written for this chunk's queries, dk and dv are what they add to them."""
    (tq, d), tk = q.shape, k.shape[0]
    depth = rounded_up(d, STRIP)
    k_rows, v_rows = padded(k, depth), padded(v, depth)
    dk_rows, dv_rows = np.zeros(k_rows.shape, q.dtype), np.zeros(k_rows.shape, q.dtype)
    q_turned, dy_turned = np.empty((depth, BLOCK), q.dtype), np.empty((depth, BLOCK), q.dtype)
    q_rows, dy_rows = np.zeros((BLOCK, depth), q.dtype), np.zeros((BLOCK, depth), q.dtype)
    dq_rows, p, ds = np.empty((BLOCK, depth), q.dtype), new_tile(q), new_tile(q)
    zeros = np.zeros((1, BLOCK), q.dtype)
    block_lse, along_y = np.zeros(BLOCK, q.dtype), np.zeros(BLOCK, q.dtype)
    one = q.dtype.type(1)
    for start in range(chunk * BLOCK, tq, chunks * BLOCK):
        count = min(BLOCK, tq - start)
        past = start + tk - tq
        keys = keys_seen(past + count - 1, tk, causal)
        turn(q, start, count, scale, q_turned)
        turn(dy, start, count, one, dy_turned)
        if count < BLOCK:
            q_rows[:], dy_rows[:], block_lse[:], along_y[:] = 0, 0, 0, 0
        copy_tile(at(q, start, 0), count, d, at(q_rows, 0, 0))
        copy_tile(at(dy, start, 0), count, d, at(dy_rows, 0, 0))
        for i in range(count):
            block_lse[i], along_y[i] = lse[start + i], dot(dy_rows[i], as_contiguous(y[start + i]))
        dq_rows[:] = 0
        for first in range(0, keys, BLOCK):
            rows = min(BLOCK, keys - first)
            # Sᵀ = k (scale q)ᵀ,  dPᵀ = v dyᵀ
            scores(p, zeros, k_rows, q_turned, first, rows, past, causal)
            if has_mask:
                hide_masked(p, shown, start, count, first, rows)
            products(ds, zeros, v_rows, dy_turned, first, rows, past, causal)
            if threshold > 0:
                drop_weights(ds, rows, (head * tq + start) * tk + first, tk, threshold, keep_scale, seed)
            # P = exp(S - lse),  dS = P (dP - dy . y)
            weights_and_gradient(p, ds, first, rows, past, causal, block_lse, along_y)
            if threshold > 0:
                drop_weights(p, rows, (head * tq + start) * tk + first, tk, threshold, keep_scale, seed)
            # dv += Pᵀ dy,  dk += dSᵀ q: (keys, queries) @ (queries, D)
            for j in range(0, rows, STRIP):
                left = first_query(first + j, past, causal)
                dv_strip, dk_strip = at(dv_rows, first + j, 0), at(dk_rows, first + j, 0)
                multiply(dv_strip, dv_strip, at(p, j, left), at(dy_rows, left, 0), STRIP, BLOCK - left, depth)
                multiply(dk_strip, dk_strip, at(ds, j, left), at(q_rows, left, 0), STRIP, BLOCK - left, depth)
            # dq += dS k: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                seen = min(rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
                dq_strip = at(dq_rows, i, 0)
                multiply(dq_strip, dq_strip, at(ds.T, i, 0), at(k_rows, first, 0), STRIP, seen, depth)
        write_scaled(dq_rows, scale, dq[start : start + count])
    write_scaled(dk_rows, scale, dk)
    write_scaled(dv_rows, one, dv)
