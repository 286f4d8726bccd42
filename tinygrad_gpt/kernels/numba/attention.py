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
from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._blocks import ROWS, at
from tinygrad_gpt.kernels.numba._compile import helper, kernel, of, pasted, read, write
from tinygrad_gpt.kernels.numba._layout import as_contiguous, check_dy, not_ours
from tinygrad_gpt.kernels.numba._one_query import one_query
from tinygrad_gpt.kernels.numba._random import drop
from tinygrad_gpt.kernels.numba._tile import copied, multiply, repeated, rounded_up, transposed
from tinygrad_gpt.kernels.numba._vector_math import exp
from tinygrad_gpt.random_stream import drop_threshold

_threads.start()

_TRUE = np.ones(1, bool)
BLOCK = 64  # queries, and keys, of a tile
STRIP = 16  # how finely the triangle that causal queries see is cut: whole vectors of either dtype
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
    for item in of(share, b * h * chunks):
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
    k_rows, v_rows = _side_by_side(k, depth), _side_by_side(v, depth)
    q_turned, y_rows, p = np.empty((depth, BLOCK), q.dtype), np.empty((BLOCK, depth), q.dtype), _tile(q)
    zeros = np.zeros((1, BLOCK), q.dtype)
    peak, total, shrink = np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype)
    for start in range(chunk * BLOCK, tq, chunks * BLOCK):
        count = min(BLOCK, tq - start)
        past = start + tk - tq  # of the block's queries, number i sees the keys up to number past + i
        keys = _keys_seen(past + count - 1, tk, causal)
        _turn(q, start, count, scale, q_turned)
        peak[:], total[:], y_rows[:] = -np.inf, 0, 0
        for first in range(0, keys, BLOCK):
            rows = min(BLOCK, keys - first)
            # Sᵀ = k (scale q)ᵀ: (keys, D) @ (D, queries)
            _scores(p, zeros, k_rows, q_turned, first, rows, past, causal)
            if has_mask:
                _hide_masked(p, shown, start, count, first, rows)
            # P = exp(S - max), what was summed before scaled to the new maximum
            _new_peak(p, first, rows, past, causal, peak, shrink)
            _exp_of_columns(p, first, rows, past, causal, peak, total, shrink)
            for i in range(count):
                _scale(y_rows[i], shrink[i])
            if threshold > 0:
                _drop(p, rows, (head * tq + start) * tk + first, tk, threshold, keep_scale, seed)
            # y += P v: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                seen = min(rows, _keys_seen(past + i + STRIP - 1, tk, causal) - first)
                y_strip = at(y_rows, i, 0)
                multiply(y_strip, y_strip, at(p.T, i, 0), at(v_rows, first, 0), STRIP, seen, depth)
        for i in range(count):
            lse[start + i] = np.inf if total[i] == 0 else peak[i] + math.log(total[i])
            _scale(y_rows[i], 0 if total[i] == 0 else 1 / total[i])
        copied(at(y_rows, 0, 0), count, d, at(y, start, 0))


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
    for item in of(share, b * h * chunks):
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
    k_rows, v_rows = _side_by_side(k, depth), _side_by_side(v, depth)
    dk_rows, dv_rows = np.zeros(k_rows.shape, q.dtype), np.zeros(k_rows.shape, q.dtype)
    q_turned, dy_turned = np.empty((depth, BLOCK), q.dtype), np.empty((depth, BLOCK), q.dtype)
    q_rows, dy_rows = np.zeros((BLOCK, depth), q.dtype), np.zeros((BLOCK, depth), q.dtype)
    dq_rows, p, ds = np.empty((BLOCK, depth), q.dtype), _tile(q), _tile(q)
    zeros = np.zeros((1, BLOCK), q.dtype)
    block_lse, along_y = np.zeros(BLOCK, q.dtype), np.zeros(BLOCK, q.dtype)
    one = q.dtype.type(1)
    for start in range(chunk * BLOCK, tq, chunks * BLOCK):
        count = min(BLOCK, tq - start)
        past = start + tk - tq
        keys = _keys_seen(past + count - 1, tk, causal)
        _turn(q, start, count, scale, q_turned)
        _turn(dy, start, count, one, dy_turned)
        if count < BLOCK:
            q_rows[:], dy_rows[:], block_lse[:], along_y[:] = 0, 0, 0, 0
        copied(at(q, start, 0), count, d, at(q_rows, 0, 0))
        copied(at(dy, start, 0), count, d, at(dy_rows, 0, 0))
        for i in range(count):
            block_lse[i], along_y[i] = lse[start + i], _dot(dy_rows[i], as_contiguous(y[start + i]))
        dq_rows[:] = 0
        for first in range(0, keys, BLOCK):
            rows = min(BLOCK, keys - first)
            # Sᵀ = k (scale q)ᵀ,  dPᵀ = v dyᵀ
            _scores(p, zeros, k_rows, q_turned, first, rows, past, causal)
            if has_mask:
                _hide_masked(p, shown, start, count, first, rows)
            _products(ds, zeros, v_rows, dy_turned, first, rows, past, causal)
            if threshold > 0:
                _drop(ds, rows, (head * tq + start) * tk + first, tk, threshold, keep_scale, seed)
            # P = exp(S - lse),  dS = P (dP - dy . y)
            _weights_and_gradient(p, ds, first, rows, past, causal, block_lse, along_y)
            if threshold > 0:
                _drop(p, rows, (head * tq + start) * tk + first, tk, threshold, keep_scale, seed)
            # dv += Pᵀ dy,  dk += dSᵀ q: (keys, queries) @ (queries, D)
            for j in range(0, rows, STRIP):
                left = _first_query(first + j, past, causal)
                dv_strip, dk_strip = at(dv_rows, first + j, 0), at(dk_rows, first + j, 0)
                multiply(dv_strip, dv_strip, at(p, j, left), at(dy_rows, left, 0), STRIP, BLOCK - left, depth)
                multiply(dk_strip, dk_strip, at(ds, j, left), at(q_rows, left, 0), STRIP, BLOCK - left, depth)
            # dq += dS k: (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                seen = min(rows, _keys_seen(past + i + STRIP - 1, tk, causal) - first)
                dq_strip = at(dq_rows, i, 0)
                multiply(dq_strip, dq_strip, at(ds.T, i, 0), at(k_rows, first, 0), STRIP, seen, depth)
        _put(dq_rows, scale, dq[start : start + count])
    _put(dk_rows, scale, dk)
    _put(dv_rows, one, dv)


# --- parts of both -----------------------------------------------------------------------------------------------


@helper(inlined=False)
def _side_by_side(x, depth):
    """x (T, D) copied to (T or a little more, depth), the rest zeros."""
    t, d = x.shape
    out = np.zeros((rounded_up(t, STRIP), depth), x.dtype)
    copied(at(x, 0, 0), t, d, at(out, 0, 0))
    return out


@helper(inlined=False)
def _tile(like):
    return np.zeros((BLOCK, BLOCK), like.dtype)


@helper(inlined=False)
def _put(rows, factor, out):
    """out (T, D) = factor * the first T rows and D columns of `rows`."""
    for i in range(out.shape[0]):
        row, target = rows[i], as_contiguous(out[i])
        for j in range(target.size):
            target[j] = factor * row[j]


@helper(inlined=False)
def _turn(x, start, count, scale, out):
    """out (depth, BLOCK) = scale * x[start : start + count].T, the rest zeros."""
    if count < BLOCK or x.shape[1] < out.shape[0]:
        out[:] = 0
    transposed(at(x, start, 0), count, x.shape[1], at(out, 0, 0))
    if scale != 1:
        for c in range(out.shape[0]):
            _scale(out[c], scale)


@helper()
def _scale(row, factor):
    for j in range(row.size):
        row[j] *= factor


@helper()
def _keys_seen(last, tk, causal):
    """How many of the keys a query sees whose last one is number `last`."""
    return max(0, min(tk, last + 1)) if causal else tk


@helper()
def _first_query(key, past, causal):
    """Where the strip of keys that `key` is in begins: at the first query of a block that sees one; a whole strip."""
    return min(BLOCK, max(0, key // STRIP * STRIP - past) // STRIP * STRIP) if causal else 0


@helper(inlined=False)
def _products(s, zeros, k_rows, q_turned, first, rows, past, causal):
    """s[j] = k_rows[first + j] @ q_turned for j < rows, from the first query on that sees the strip of j."""
    for j in range(0, rows, STRIP):
        left = _first_query(first + j, past, causal)
        k_strip, q_part = at(k_rows, first + j, 0), at(q_turned, 0, left)
        multiply(at(s, j, left), repeated(at(zeros, 0, 0)), k_strip, q_part, STRIP, q_turned.shape[0], BLOCK - left)


@helper(inlined=False)
def _scores(s, zeros, k_rows, q_turned, first, rows, past, causal):
    """The same, and -inf where there is no such key or the query doesn't see it."""
    _products(s, zeros, k_rows, q_turned, first, rows, past, causal)
    for j in range(rows, rounded_up(rows, STRIP)):
        s[j] = -np.inf
    if causal and first + rows - 1 > past:
        for j in range(rows):
            for i in range(_first_query(first + j, past, causal), min(BLOCK, first + j - past)):
                s[j, i] = -np.inf


@helper(inlined=False)
def _hide_masked(s, shown, start, count, first, rows):
    """Scores where the mask (Tq, Tk) is False become -inf."""
    for j in range(rows):
        for i in range(count):
            if not shown[start + i, first + j]:
                s[j, i] = -np.inf


@helper(inlined=False)
def _new_peak(s, first, rows, past, causal, peak, shrink):
    """peak (BLOCK,) becomes the largest score of each column so far; shrink is e^(old - new), 1 if all are hidden."""
    for i in range(BLOCK):
        shrink[i] = peak[i]
    for j in range(0, rows, ROWS):
        left = _first_query(first + j, past, causal)
        s0, s1, s2, s3, best = s[j, left:], s[j + 1, left:], s[j + 2, left:], s[j + 3, left:], peak[left:]
        for i in range(best.size):
            a = s0[i] if s0[i] > s1[i] else s1[i]
            b = s2[i] if s2[i] > s3[i] else s3[i]
            a = a if a > b else b
            best[i] = a if a > best[i] else best[i]
    for i in range(BLOCK):
        shrink[i] = exp(shrink[i] - peak[i]) if peak[i] > -np.inf else s.dtype.type(1)


@helper(inlined=False)
def _exp_of_columns(s, first, rows, past, causal, peak, total, shrink):
    """s becomes exp(s - peak), 0 in columns that are hidden altogether; total is scaled and gets its columns' sums."""
    zero = s.dtype.type(0)
    base = np.empty(BLOCK, s.dtype)
    for i in range(BLOCK):
        base[i] = peak[i] if peak[i] > -np.inf else zero  # (-inf) - (-inf) would be nan
        total[i] *= shrink[i]
    for j in range(rows):
        left = _first_query(first + j, past, causal)
        row, bases, totals = s[j, left:], base[left:], total[left:]
        for i in range(row.size):
            e = exp(row[i] - bases[i])
            row[i] = e
            totals[i] += e


@helper(inlined=False)
def _weights_and_gradient(p, ds, first, rows, past, causal, lse, along_y):
    """p: from S to P = exp(S - lse); ds: from dP to dS = P (dP - dy . y)."""
    for j in range(rows):
        left = _first_query(first + j, past, causal)
        ps, dss, lses, along = p[j, left:], ds[j, left:], lse[left:], along_y[left:]
        for i in range(ps.size):
            ps[i] = exp(ps[i] - lses[i])
            dss[i] = ps[i] * (dss[i] - along[i])
    for j in range(rows, rounded_up(rows, STRIP)):
        p[j], ds[j] = 0, 0


@helper(inlined=False)
def _drop(s, rows, first, step, threshold, keep_scale, seed):
    """Drop weights, whose number is first + j + i step in s[j, i], and scale the others."""
    for j in range(rows):
        drop(s[j], BLOCK, seed, first + j, step, threshold, keep_scale)


@helper()
def _dot(a, b):
    """The sum of a[j] b[j], over the length of b."""
    total = b[0] * 0
    for j in range(b.size):
        total += a[j] * b[j]
    return total
