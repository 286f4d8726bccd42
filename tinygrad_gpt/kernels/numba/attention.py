"""Attention on the CPU, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives the gradients).

After Dao et al., "FlashAttention" (2022). A thread takes one head of one sequence and QUERIES of its queries at a time.
Their scores against the keys come in tiles of KEYS, and stay in the cache until they are used up:

    forward    S = scale q kᵀ,   P = exp(S - max),   y = P v / ΣP,   and  lse = max + log ΣP  is saved
    backward   S as above,       P = exp(S - lse),   dP = dy vᵀ,     dS = P (dP - dy · y)
               dv += Pᵀ dy,      dk += scale dSᵀ q,  dq += scale dS k

dy · y stands for the Σ_j P_j dP_j of softmax: y = Σ_j P_j v_j and dP_j = dy · v_j, so the two are one number, and with
dropout they still are. Keys that a causal query cannot see are not computed at all, tile by tile.

q, k and v are read by their strides, where they are: views (B, H, T, D) of the (B, T, 3C) that one linear layer made.
For each head they are copied into tiles of their own, k (and v in backward) transposed, because the inner products run
along rows (_tile.py); D is padded there with zeros to whole vectors. y, dq, dk and dv lie in memory as (B, T, H, D) and
are handed out as (B, H, T, D), so that joining heads afterwards moves nothing.

With few heads, the queries of a head are dealt out into chunks, so that all threads have work. Each chunk then has a dk
and dv of its own, added up at the end in order. The number of chunks depends on the shapes only, so that the result
never depends on the threads.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numba import types

from tinygrad_gpt.array import Array, drop_threshold
from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import helper, kernel, read, write
from tinygrad_gpt.kernels.numba._layout import as_contiguous, not_ours
from tinygrad_gpt.kernels.numba._one_query import one_query
from tinygrad_gpt.kernels.numba._random import drop
from tinygrad_gpt.kernels.numba._tile import LANES, UNROLLED, add_product, rounded_up
from tinygrad_gpt.kernels.numba._vector_math import exp, row_max

_threads.start()

QUERIES, KEYS = 32, 64  # a tile of scores
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
    q, k, v = _adjacent(q), _adjacent(k), _adjacent(v)
    shown = np.ones((1, 1, 1, 1), bool) if mask is None else np.broadcast_to(mask, (b, h, tq, tk))
    visible = (shown, mask is not None, causal, 1 / math.sqrt(d) if scale is None else scale)
    dropping = (np.uint64(drop_threshold(dropout)), 1 / (1 - dropout), np.uint64(seed))
    y = _heads_last(q, b, tq, h, d)
    lse = np.empty((b, h, tq), q.dtype)
    if tk == 0:
        y[...] = 0
    elif tq == 1 and mask is None and dropout == 0:
        one_query(q, k, v, visible[3], y, lse)
    elif y.size:
        _forward(q, k, v, *visible, *dropping, _chunks(b * h, tq), y, lse)
    return y, Saved(q, k, v, y, lse, visible, dropping)


def backward(dy, saved):
    q, k, v, y, lse, visible, dropping = saved
    b, h, tq, d = q.shape
    tk = k.shape[2]
    chunks = _chunks(b * h, tq)
    dq = _heads_last(q, b, tq, h, d)
    dk, dv = _heads_last(k, chunks, b, tk, h, d), _heads_last(k, chunks, b, tk, h, d)
    if y.size == 0 or tk == 0:
        for gradient in (dq, dk, dv):
            gradient[...] = 0
    else:
        _backward(_adjacent(dy), q, k, v, y, lse, *visible, *dropping, dq, dk, dv)
    if chunks == 1:
        return dq, dk[0], dv[0], None
    return dq, dk.sum(axis=0), dv.sum(axis=0), None


def _adjacent(x):
    """x (B, H, T, D) itself if the elements of each row are adjacent in memory, else a copy in which they are."""
    return x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)


def _heads_last(like, *shape):
    """An empty array (..., T, H, D), seen as (..., H, T, D)."""
    return np.empty(shape, like.dtype).swapaxes(-2, -3)


def _chunks(heads: int, tq: int) -> int:
    """Into how many chunks the queries of each head are dealt."""
    blocks = -(-tq // QUERIES)
    return max(1, min(blocks, ENOUGH // max(1, heads)))


# Arguments of both kernels: visible = (shown, has_mask, causal, scale), dropping = (threshold, keep_scale, seed).
def _visible_and_dropping(f):
    return read(types.boolean, 4, "A"), types.boolean, types.boolean, f, types.uint64, f, types.uint64


# --- forward -----------------------------------------------------------------------------------------------------


@kernel(lambda f: (*[read(f, 4, "A")] * 3, *_visible_and_dropping(f), types.int64, write(f, 4, "A"), write(f, 3)))
def _forward(q, k, v, shown, has_mask, causal, scale, threshold, keep_scale, seed, chunks, y, lse):
    b, h = q.shape[:2]
    for item in numba.prange(b * h * chunks):
        head, chunk = item // chunks, item % chunks
        bi, hi = head // h, head % h
        _forward_head(
            q[bi, hi], k[bi, hi], v[bi, hi], shown[bi, hi], has_mask, causal, scale,
            threshold, keep_scale, seed, head, chunk, chunks, y[bi, hi], lse[bi, hi],
        )  # fmt: skip


@helper(inlined=False)
def _forward_head(q, k, v, shown, has_mask, causal, scale, threshold, keep_scale, seed, head, chunk, chunks, y, lse):
    """One head: q and y (Tq, D), k and v (Tk, D), shown (Tq, Tk), lse (Tq,); every chunks-th block of its queries."""
    (tq, d), tk = q.shape, k.shape[0]
    depth, tiles = rounded_up(d, LANES), (tk + KEYS - 1) // KEYS
    k_transposed, v_rows = _empty(tiles, depth, KEYS, q), _empty(tiles, KEYS, depth, q)
    for tile in range(tiles):
        _copy_transposed(k, tile * KEYS, k_transposed[tile])
        _copy_rows(v, tile * KEYS, v_rows[tile])
    blocks = _empty(2, QUERIES, depth, q)
    q_rows, y_rows = blocks[0], blocks[1]
    s, inverse_total = _empty(tiles, QUERIES, KEYS, q), np.empty(QUERIES, q.dtype)
    for start in range(chunk * QUERIES, tq, chunks * QUERIES):
        count = min(QUERIES, tq - start)
        padded = rounded_up(count, UNROLLED)
        keys = _keys_of_block(start + count, tq, tk, causal)
        tiles_seen = (keys + KEYS - 1) // KEYS
        _copy_rows(q, start, q_rows)
        y_rows[:] = 0
        # S = scale q kT
        for tile in range(tiles_seen):
            width = _width(keys, tile)
            _scores(q_rows, k_transposed[tile], s[tile], padded, width, scale)
            _hide(s[tile], start, count, tile * KEYS, width, tq, tk, causal)
            if has_mask:
                _hide_masked(s[tile], shown, start, count, tile * KEYS, width)
        # P = exp(S - max)
        for r in range(count):
            peak, total = _exp_of_row(s, r, keys)
            lse[start + r] = np.inf if total == 0 else peak + math.log(total)
            if threshold > 0:
                first = (head * tq + start + r) * tk
                for tile in range(tiles_seen):
                    drop(s[tile, r], _width(keys, tile), seed, first + tile * KEYS, threshold, keep_scale)
            inverse_total[r] = 0 if total == 0 else 1 / total
        # y = P v / sum of P
        for tile in range(tiles_seen):
            add_product(y_rows, s[tile], v_rows[tile], padded, _width(keys, tile), depth)
        for r in range(count):
            _write_row(y_rows[r], inverse_total[r], y[start + r])


# --- backward ----------------------------------------------------------------------------------------------------


@kernel(
    lambda f: (
        *[read(f, 4, "A")] * 5, read(f, 3), *_visible_and_dropping(f), write(f, 4, "A"), *[write(f, 5, "A")] * 2
    )
)  # fmt: skip
def _backward(dy, q, k, v, y, lse, shown, has_mask, causal, scale, threshold, keep_scale, seed, dq, dk, dv):
    b, h = q.shape[:2]
    chunks = dk.shape[0]
    for item in numba.prange(b * h * chunks):
        head, chunk = item // chunks, item % chunks
        bi, hi = head // h, head % h
        _backward_head(
            dy[bi, hi], q[bi, hi], k[bi, hi], v[bi, hi], y[bi, hi], lse[bi, hi], shown[bi, hi], has_mask, causal, scale,
            threshold, keep_scale, seed, head, chunk, chunks, dq[bi, hi], dk[chunk, bi, hi], dv[chunk, bi, hi],
        )  # fmt: skip


@helper(inlined=False)
def _backward_head(
    dy, q, k, v, y, lse, shown, has_mask, causal, scale, threshold, keep_scale, seed, head, chunk, chunks, dq, dk, dv
):
    """One head, as in _forward_head; dq is written for this chunk's queries, dk and dv are what they add to them."""
    (tq, d), tk = q.shape, k.shape[0]
    depth, tiles = rounded_up(d, LANES), (tk + KEYS - 1) // KEYS
    k_transposed, v_transposed = _empty(tiles, depth, KEYS, q), _empty(tiles, depth, KEYS, q)
    k_rows = _empty(tiles, KEYS, depth, q)
    dk_rows, dv_rows = _empty(tiles, KEYS, depth, q), _empty(tiles, KEYS, depth, q)
    for tile in range(tiles):
        _copy_transposed(k, tile * KEYS, k_transposed[tile])
        _copy_transposed(v, tile * KEYS, v_transposed[tile])
        _copy_rows(k, tile * KEYS, k_rows[tile])
        dk_rows[tile] = 0
        dv_rows[tile] = 0
    blocks = _empty(3, QUERIES, depth, q)
    q_rows, dy_rows, dq_rows = blocks[0], blocks[1], blocks[2]
    scores = _empty(2, QUERIES, KEYS, q)
    p, dp = scores[0], scores[1]
    along_y = np.empty(QUERIES, q.dtype)
    for start in range(chunk * QUERIES, tq, chunks * QUERIES):
        count = min(QUERIES, tq - start)
        padded = rounded_up(count, UNROLLED)
        keys = _keys_of_block(start + count, tq, tk, causal)
        _copy_rows(q, start, q_rows)
        _copy_rows(dy, start, dy_rows)
        for r in range(count):
            along_y[r] = _dot(as_contiguous(dy_rows[r]), as_contiguous(y[start + r]))
        dq_rows[:] = 0
        for tile in range((keys + KEYS - 1) // KEYS):
            width = _width(keys, tile)
            # P = exp(S - lse)
            _scores(q_rows, k_transposed[tile], p, padded, width, scale)
            _hide(p, start, count, tile * KEYS, width, tq, tk, causal)
            if has_mask:
                _hide_masked(p, shown, start, count, tile * KEYS, width)
            # dP = dy vT
            dp[:] = 0
            add_product(dp, dy_rows, v_transposed[tile], padded, depth, width)
            for r in range(count):
                first = (head * tq + start + r) * tk + tile * KEYS
                p_row, dp_row = as_contiguous(p[r]), as_contiguous(dp[r])
                if threshold > 0:
                    drop(dp_row, width, seed, first, threshold, keep_scale)
                row_lse, row_along_y = lse[start + r], along_y[r]
                for j in range(width):
                    p_row[j] = exp(p_row[j] - row_lse)
                    # dS = P (dP - dy . y)
                    dp_row[j] = p_row[j] * (dp_row[j] - row_along_y)
                if threshold > 0:
                    drop(p_row, width, seed, first, threshold, keep_scale)
            for r in range(count, padded):
                p[r] = 0
                dp[r] = 0
            add_product(dv_rows[tile], p.T, dy_rows, width, padded, depth)  # dv += PT dy
            add_product(dk_rows[tile], dp.T, q_rows, width, padded, depth)  # dk += dST q
            add_product(dq_rows, dp, k_rows[tile], padded, width, depth)  # dq += dS k
        for r in range(count):
            _write_row(dq_rows[r], scale, dq[start + r])
    for j in range(tk):
        _write_row(dk_rows[j // KEYS, j % KEYS], scale, dk[j])
        _write_row(dv_rows[j // KEYS, j % KEYS], q.dtype.type(1), dv[j])


# --- parts of both -----------------------------------------------------------------------------------------------


@helper(inlined=False)
def _empty(n, rows, columns, like):
    return np.empty((n, rows, columns), like.dtype)


@helper(inlined=False)
def _copy_rows(x, start, out):
    """out (n, depth) = rows of x (T, D) from `start` on; zeros beyond T and beyond D."""
    t, d = x.shape
    if start + out.shape[0] > t or d < out.shape[1]:
        out[:] = 0
    for r in range(min(out.shape[0], t - start)):
        row, source = as_contiguous(out[r]), as_contiguous(x[start + r])
        for j in range(d):
            row[j] = source[j]


@helper(inlined=False)
def _copy_transposed(x, start, out):
    """out (depth, n) = rows of x (T, D) from `start` on, as columns; zeros beyond T and beyond D."""
    t, d = x.shape
    if start + out.shape[1] > t or d < out.shape[0]:
        out[:] = 0
    for r in range(min(out.shape[1], t - start)):
        source = as_contiguous(x[start + r])
        for j in range(d):
            out[j, r] = source[j]


@helper(inlined=False)
def _write_row(row, factor, out):
    """out (D,) = factor * row (depth,)."""
    row, target = as_contiguous(row), as_contiguous(out)
    for j in range(target.size):
        target[j] = row[j] * factor


@helper()
def _keys_of_block(stop, tq, tk, causal):
    """How many keys the queries before `stop` can see between them: those that the last of them sees."""
    return max(0, stop + tk - tq) if causal else tk


@helper()
def _width(keys, tile):
    """How many keys of a tile to compute: whole vectors, though some may be hidden again."""
    return min(KEYS, rounded_up(keys - tile * KEYS, LANES))


@helper(inlined=False)
def _scores(q_rows, k_transposed, s, padded, width, scale):
    """s[:padded, :width] = scale * q_rows @ k_transposed."""
    for r in range(padded):
        row = as_contiguous(s[r])
        for j in range(width):
            row[j] = 0
    add_product(s, q_rows, k_transposed, padded, q_rows.shape[1], width)
    for r in range(padded):
        row = as_contiguous(s[r])
        for j in range(width):
            row[j] *= scale


@helper(inlined=False)
def _hide(s, start, count, first_key, width, tq, tk, causal):
    """Scores of keys that are not there, or not for this query, become -inf."""
    for r in range(count):
        keys = min(tk, start + r + 1 + tk - tq) if causal else tk
        for j in range(max(0, keys - first_key), width):
            s[r, j] = -np.inf


@helper(inlined=False)
def _hide_masked(s, shown, start, count, first_key, width):
    """Scores where the mask (Tq, Tk) is False become -inf."""
    for r in range(count):
        for j in range(min(width, shown.shape[1] - first_key)):
            if not shown[start + r, first_key + j]:
                s[r, j] = -np.inf


@helper(inlined=False)
def _exp_of_row(s, r, keys):
    """Row r of the tiles s (tiles, QUERIES, KEYS) becomes exp(row - max); returns the maximum and the sum of that.

    A row that is hidden altogether becomes zeros, with sum 0; nan anywhere makes the sum nan.
    """
    tiles = (keys + KEYS - 1) // KEYS
    peak = s.dtype.type(-np.inf)
    for tile in range(tiles):
        peak = max(peak, row_max(as_contiguous(s[tile, r]), _width(keys, tile)))
    base = peak if peak > -np.inf else s.dtype.type(0)  # (-inf) - (-inf) would be nan
    total = s.dtype.type(0)
    for tile in range(tiles):
        row = as_contiguous(s[tile, r])
        for j in range(_width(keys, tile)):
            e = exp(row[j] - base)
            row[j] = e
            total += e
    return base, total


@helper()
def _dot(a, b):
    total = b[0] * 0
    for j in range(b.size):
        total += a[j] * b[j]
    return total
