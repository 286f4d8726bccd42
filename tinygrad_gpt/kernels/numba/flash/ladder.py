"""Attention of one head five times over, each a step towards the kernel, by one idea each.

    S = scale q kᵀ       P = exp(S - max S)       y = P v / ΣP       lse = max S + log ΣP

    q, y (Tq, D)    k, v (Tk, D)    S, P (Tq, Tk)    max, Σ and lse (Tq,): of each row    4 D operations for each score

Two matrix products, and a softmax between them. Products are fast on blocks that stay near the arithmetic, as the other
ladder shows (product/ladder.py); a softmax wants whole rows of S, which do not stay anywhere. So the first half of this
ladder is about a softmax that does with a part of a row, and the second about parts that suit the products.

    formula            S, then P, then y, as they are written above
    online softmax     one score at a time: S and P are never held
    blocks             a tile of scores at a time, which stays in the first-level cache
    on their side      a tile has a row for each key: nothing is summed across a vector
    strips             16 rows of a tile at a time: their sums stay in registers, and what is hidden is left out
    kernel             the same on every core, with masks, dropout and strides (kernels/numba/attention.py)

How fast each of them is, `python benchmarks/attention.py` measures on your machine; benchmarks/results/attention.md has
the table of ours.

Every rung gives y and lse, which is what backward needs (`_backward`, below). So each is a pair of the op `attention`,
without masks and dropout, is checked like any other version, and may run your GPT:

    tg.register("attention", **LADDER["blocks"].pair())

A causal query i sees the keys j <= i + Tk - Tq; one that sees none gets y = 0 and lse = inf.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numba
import numpy as np

from tinygrad_gpt.kernels.numba import attention
from tinygrad_gpt.kernels.numba.flash.tiles import (
    BLOCK,
    STRIP,
    Tile,
    dot,
    exp_of_columns,
    first_query,
    hide_unseen,
    keys_seen,
    new_rows,
    raise_peak,
    scale_row,
    turn,
    write_scaled,
)
from tinygrad_gpt.kernels.numba.machine.compile import REORDERED, helper
from tinygrad_gpt.kernels.numba.machine.layout import not_ours
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, row_max
from tinygrad_gpt.kernels.numba.product.registers import at
from tinygrad_gpt.kernels.numba.product.tile import broadcast_row, copy_tile, multiply, rounded_up

# Not @kernel: only who calls these waits until they are compiled.
_compiled = partial(numba.njit, fastmath=REORDERED, error_model="numpy", nogil=True)


@helper()
def _add_scaled(total, factor, row):
    for c in range(total.size):
        total[c] += factor * row[c]


@helper()
def _exp_of_row(row, peak):
    """The scores in the row become exp(S - peak). Returns their sum."""
    total = row.dtype.type(0)
    for j in range(row.size):
        e = exp(row[j] - peak)
        row[j] = e
        total += e
    return total


@helper()
def _finish(y_row, peak, total):
    """y_row, so far Σ_j P_j v_j, is divided by ΣP. Returns lse."""
    if total == 0:  # no key was seen
        return y_row.dtype.type(np.inf)
    scale_row(y_row, 1 / total)
    return peak + math.log(total)


# --- 1 -----------------------------------------------------------------------------------------------------------


@_compiled()
def _formula(q, k, v, causal, scale, y, lse):
    """The formula, a line at a time. (The largest score is subtracted before exp, which would overflow: it takes itself
    out again in P / ΣP.)

    S and P, here in one matrix, have T² numbers: 4 MB for 1,024 positions, more than most second-level caches hold. So
    each line fetches them from beyond it. And were they kept for backward, they would be for every head of every layer.
    """
    tq, tk = len(q), len(k)
    p = np.empty((tq, tk), q.dtype)
    for i in range(tq):
        for j in range(keys_seen(i + tk - tq, tk, causal)):
            p[i, j] = scale * dot(q[i], k[j])
    peak, total = np.full(tq, -np.inf, q.dtype), np.zeros(tq, q.dtype)
    for i in range(tq):
        row = p[i, : keys_seen(i + tk - tq, tk, causal)]
        for j in range(row.size):
            peak[i] = max(peak[i], row[j])
        total[i] = _exp_of_row(row, peak[i])
    for i in range(tq):
        y[i] = 0
        for j in range(keys_seen(i + tk - tq, tk, causal)):
            _add_scaled(y[i], p[i, j], v[j])
        lse[i] = _finish(y[i], peak[i], total[i])


# --- 2 -----------------------------------------------------------------------------------------------------------


@_compiled()
def _online(q, k, v, causal, scale, y, lse):
    """Each score is used up as soon as it is there: memory for one instead of T² (Rabe and Staats, 2021).

    The row's maximum is not known yet. So the largest score so far stands for it, and when a larger one comes, ΣP and
    P v so far are scaled down to that: P = exp(S - old) becomes exp(S - new) by the factor exp(old - new) (Milakov and
    Gimelshein, 2018). That costs little, since after a few keys the largest rarely changes. What is gained is memory,
    not time: exp takes one number at a time now, where `formula` has a row of them for its vectors.
    """
    tq, tk = len(q), len(k)
    for i in range(tq):
        y[i] = 0
        peak, total = q.dtype.type(-np.inf), q.dtype.type(0)
        for j in range(keys_seen(i + tk - tq, tk, causal)):
            s = scale * dot(q[i], k[j])
            if s > peak:
                shrink = exp(peak - s)  # 0 for the first key
                total *= shrink
                scale_row(y[i], shrink)
                peak = s
            p = exp(s - peak)
            total += p
            _add_scaled(y[i], p, v[j])
        lse[i] = _finish(y[i], peak, total)


# --- 3 -----------------------------------------------------------------------------------------------------------


@_compiled()
def _blocks(q, k, v, causal, scale, y, lse):
    """BLOCK queries meet BLOCK keys: a tile of scores, 16 KB, that stays in the first-level cache until it is used up
    (Dao et al., "FlashAttention", 2022).

    The formula's three lines, on a tile; and the step of online softmax once for each row of it, not for each score. So
    exp has rows for its vectors again. And a block of k and v, once fetched, serves BLOCK queries instead of one: as
    much less comes from the second-level cache, and, where a head is too long for that, from beyond.
    """
    tq, tk = len(q), len(k)
    p = np.empty((BLOCK, BLOCK), q.dtype)
    peak, total = np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype)
    for start in range(0, tq, BLOCK):
        count, past = min(BLOCK, tq - start), start + tk - tq
        y[start : start + count] = 0
        peak[:], total[:] = -np.inf, 0
        for first in range(0, keys_seen(past + count - 1, tk, causal), BLOCK):
            rows = min(BLOCK, tk - first)
            for i in range(count):
                for j in range(min(rows, keys_seen(past + i, tk, causal) - first)):
                    p[i, j] = scale * dot(q[start + i], k[first + j])
            for i in range(count):
                row, before = p[i, : max(0, min(rows, keys_seen(past + i, tk, causal) - first))], peak[i]
                if row.size:
                    peak[i] = max(before, row_max(row, row.size))
                    shrink = exp(before - peak[i])
                    total[i] *= shrink
                    scale_row(y[start + i], shrink)
                    total[i] += _exp_of_row(row, peak[i])
            for i in range(count):
                for j in range(min(rows, keys_seen(past + i, tk, causal) - first)):
                    _add_scaled(y[start + i], p[i, j], v[first + j])
        for i in range(count):
            lse[start + i] = _finish(y[start + i], peak[i], total[i])


@_compiled()
def _backward(dy, q, k, v, y, lse, causal, scale, dq, dk, dv):
    """The gradients, block by block too, from what any rung's forward gives. P is not kept for them but computed again,

        P = exp(S - lse),    dP = dy vᵀ,    dS = P (dP - dy · y)
        dv = Pᵀ dy,          dq = scale dS k,          dk = scale dSᵀ q

    and exact at once: lse has the row's maximum and ΣP in it. (dy · y is the Σ_j P_j dP_j of softmax, since
    y = Σ_j P_j v_j.) So forward saves T numbers of a head, not T², for a quarter more products in backward.
    """
    tq, tk = len(q), len(k)
    dq[:], dk[:], dv[:] = 0, 0, 0
    for start in range(0, tq, BLOCK):
        for first in range(0, tk, BLOCK):
            for i in range(start, min(start + BLOCK, tq)):
                along_y = dot(dy[i], y[i])
                for j in range(first, min(first + BLOCK, keys_seen(i + tk - tq, tk, causal))):
                    p = exp(scale * dot(q[i], k[j]) - lse[i])
                    ds = p * (dot(dy[i], v[j]) - along_y)
                    _add_scaled(dv[j], p, dy[i])
                    _add_scaled(dq[i], scale * ds, k[j])
                    _add_scaled(dk[j], scale * ds, q[i])


# --- 4 -----------------------------------------------------------------------------------------------------------

LOWEST = -3e38  # below any score, but finite: (-inf) - (-inf) would be nan


@_compiled()
def _on_their_side(q, k, v, causal, scale, y, lse):
    """A tile lies on its side, a row for each key and a column for each query: Sᵀ = k (scale q)ᵀ.

    Upright, each score is a sum along D, and comes out spread over the lanes of a vector, which must be added up in the
    end; so do the maximum and the sum of a row. On its side the lanes of a vector are queries, and stay apart. Sᵀ is a
    sum of D outer products, of a column of k and a row of (scale q)ᵀ; P v is one of outer products of a column of P,
    which is a row of the tile, and a row of v. Softmax goes down the columns, with a vector of maxima and one of sums.
    All it takes is that q is turned, once for a block.

    A tile is computed whole. What a causal query does not see of it becomes -inf.
    """
    (tq, d), tk = q.shape, len(k)
    q_turned, p = np.zeros((d, BLOCK), q.dtype), np.empty((BLOCK, BLOCK), q.dtype)
    peak, total, shrink = np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype), np.empty(BLOCK, q.dtype)
    for start in range(0, tq, BLOCK):
        count, past = min(BLOCK, tq - start), start + tk - tq
        for i in range(count):
            for c in range(d):
                q_turned[c, i] = scale * q[start + i, c]
        y[start : start + count] = 0
        peak[:], total[:] = LOWEST, 0
        for first in range(0, keys_seen(past + count - 1, tk, causal), BLOCK):
            rows = min(BLOCK, tk - first)
            p[:rows] = 0
            for c in range(d):
                for j in range(rows):
                    _add_scaled(p[j], k[first + j, c], q_turned[c])
            shrink[:] = peak
            for j in range(rows):
                if causal:
                    p[j, : max(0, min(BLOCK, first + j - past))] = -np.inf
                for i in range(BLOCK):
                    peak[i] = peak[i] if peak[i] > p[j, i] else p[j, i]
            for i in range(BLOCK):
                shrink[i] = exp(shrink[i] - peak[i])
                total[i] *= shrink[i]
            for j in range(rows):
                for i in range(BLOCK):
                    p[j, i] = exp(p[j, i] - peak[i])
                    total[i] += p[j, i]
            for i in range(count):
                scale_row(y[start + i], shrink[i])
            for j in range(rows):
                for i in range(count):
                    _add_scaled(y[start + i], p[j, i], v[first + j])
        for i in range(count):
            lse[start + i] = _finish(y[start + i], peak[i], total[i])


# --- 5 -----------------------------------------------------------------------------------------------------------


@_compiled()
def _strips(q, k, v, causal, scale, y, lse):
    """The products take STRIP rows of a tile at a time, by `multiply` (product/tile.py).

    It holds a block of sums in registers, from the first step of the sum to the last, where `on their side` loads and
    stores each sum for each of its steps (product/registers.py has the block: 8 rows of 3 vectors, if there are 32
    registers). For it k and v are copied once, D filled up with zeros to whole vectors.

    And strips are narrow enough to cut out the triangle that causal queries do not see: one of keys starts at the first
    query that sees one of them, and one of queries ends at the last key that one of them sees. Of the tiles on the
    diagonal 10 of 16 parts are left. Softmax works from the same first query on: hide_unseen, raise_peak and
    exp_of_columns are its lines in `on their side`, begun there (flash/tiles.py).
    """
    (tq, d), tk, depth = q.shape, len(k), rounded_up(q.shape[1], STRIP)
    k_rows, v_rows = new_rows(k, tk, depth), new_rows(v, tk, depth)  # zeros, whole strips of them
    q_turned, y_rows = new_rows(q, depth, BLOCK), new_rows(q, BLOCK, depth)
    p, of_queries = new_rows(q, BLOCK, BLOCK), new_rows(q, 5, BLOCK)
    zeros, peak, total, shrink = of_queries[0:1], of_queries[1], of_queries[2], of_queries[3]
    write_scaled(k, scale, k_rows[:tk, :d])
    copy_tile(at(v, 0, 0), tk, d, at(v_rows, 0, 0))
    for start in range(0, tq, BLOCK):
        count, past = min(BLOCK, tq - start), start + tk - tq
        columns = rounded_up(count, STRIP)
        turn(q, start, count, q_turned)
        peak[:], total[:], y_rows[:] = -np.inf, 0, 0
        for first in range(0, keys_seen(past + count - 1, tk, causal), BLOCK):
            tile = Tile(first, min(BLOCK, tk - first), columns, past, causal)
            # Sᵀ = (scale k) qᵀ
            for j in range(0, tile.rows, STRIP):
                left = first_query(j, tile)
                k_strip, q_part = at(k_rows, first + j, 0), at(q_turned, 0, left)
                multiply(at(p, j, left), broadcast_row(at(zeros, 0, 0)), k_strip, q_part, STRIP, depth, columns - left)
            hide_unseen(p, tile)
            raise_peak(p, tile, peak, shrink)
            exp_of_columns(p, tile, peak, total, shrink, of_queries[4])
            # y += P v
            for i in range(0, count, STRIP):
                for r in range(i, i + STRIP):
                    scale_row(y_rows[r], shrink[r])
                seen = min(tile.rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
                y_strip = at(y_rows, i, 0)
                multiply(y_strip, y_strip, at(p.T, i, 0), at(v_rows, first, 0), STRIP, seen, depth)
        for i in range(count):
            lse[start + i] = _finish(y_rows[i], peak[i], total[i])
            y[start + i] = y_rows[i, :d]


# --- the ladder --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rung:
    """One way to attend.

    attend    contiguous q (H, Tq, D), k and v (H, Tk, D) of one float dtype, causal, scale -> y (H, Tq, D), lse (H, Tq)
    holds     how many numbers a head takes besides these and a few rows
    parallel  whether it uses all threads, or one
    """

    name: str
    attend: Callable
    holds: str
    parallel: bool = False

    def pair(self) -> dict[str, Callable]:
        """forward, backward, why_not and name of the op `attention`, made this way."""
        return {"forward": self._forward, "backward": _gradients, "why_not": _why_not, "name": self.name}

    def _forward(self, q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
        scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        y, lse = self.attend(*map(_heads, (q, k, v)), causal, scale)
        return y.reshape(q.shape), (q, k, v, np.ascontiguousarray(y), lse, causal, scale)  # y (B H, Tq, D)


def _why_not(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    return "the ladder has neither masks nor dropout" if mask is not None or dropout else not_ours(q, k, v)


def _gradients(dy, saved):
    q, k, v, y, lse, causal, scale = saved
    heads = [*map(_heads, (dy, q, k, v)), y, lse]
    dq, dk, dv = (np.empty(x.shape, x.dtype) for x in heads[1:4])
    for *one_head, dq_head, dk_head, dv_head in zip(*heads, dq, dk, dv, strict=True):
        _backward(*one_head, causal, q.dtype.type(scale), dq_head, dk_head, dv_head)
    return dq.reshape(q.shape), dk.reshape(k.shape), dv.reshape(v.shape), None


def _heads(x):
    """(B, H, T, D) -> (B H, T, D), contiguous."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _head_by_head(fill: Callable) -> Callable:
    def attend(q, k, v, causal, scale):
        y, lse = np.empty(q.shape, q.dtype), np.empty(q.shape[:2], q.dtype)
        for one_head in zip(q, k, v, y, lse, strict=True):
            fill(*one_head[:3], causal, q.dtype.type(scale), *one_head[3:])
        return y, lse

    return attend


def _kernel(q, k, v, causal, scale):
    y, (_, _, _, _, _, lse, *_) = attention.forward(q[None], k[None], v[None], causal=causal, scale=scale)
    return y[0], lse[0]


LADDER = {
    rung.name: rung
    for rung in (
        Rung("formula", _head_by_head(_formula), "T²"),
        Rung("online softmax", _head_by_head(_online), "1"),
        Rung("blocks", _head_by_head(_blocks), f"{BLOCK}²"),
        Rung("on their side", _head_by_head(_on_their_side), f"{BLOCK} ({BLOCK} + D)"),
        Rung("strips", _head_by_head(_strips), "2 T D"),
        Rung("kernel", _kernel, "2 T D", parallel=True),
    )
}
