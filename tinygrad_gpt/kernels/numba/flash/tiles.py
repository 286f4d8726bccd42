"""The work on one tile of attention (attention.py): scores, the weights that they become, and their gradients.

A tile is BLOCK keys by BLOCK queries, a row for each key.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.machine.layout import as_contiguous
from tinygrad_gpt.kernels.numba.machine.random import drop
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, larger
from tinygrad_gpt.kernels.numba.product.registers import ROWS, at
from tinygrad_gpt.kernels.numba.product.tile import at_a_cache_line, broadcast_row, multiply, rounded_up, transpose_tile

BLOCK = 64  # queries, and keys, of a tile
STRIP = 16  # how finely the triangle that causal queries see is cut: whole vectors of either dtype


class Visible(NamedTuple):
    """Which keys a query sees: masks (B, H, Tq, Tk), or of one head (Tq, Tk), of which at most one counts."""

    shown: Array  # False hides a key
    has_mask: bool  # whether `shown` counts
    added: Array  # added to the scores
    has_added: bool  # whether `added` counts
    causal: bool  # query i sees the keys up to number i + Tk - Tq


class Dropping(NamedTuple):
    """Which weights dropout drops."""

    threshold: int  # random bits below it drop a weight; 0 keeps all
    keep_scale: float
    seed: int


class Tile(NamedTuple):
    """Which keys a tile has, and what its queries see of them."""

    first: int  # the number of its first key
    rows: int  # how many keys it has
    columns: int  # how many columns are in use: its queries, and zeros up to whole strips
    past: int  # the last key that its first query sees, where causal
    causal: bool


@helper(inlined=False)
def new_rows(like, rows, columns):
    """Zeros (rows or a little more, columns), whole strips of rows."""
    out = at_a_cache_line(rounded_up(rows, STRIP), columns, like)
    out[:] = 0
    return out


@helper(inlined=False)
def write_scaled(rows, factor, out):
    """out (T, D) = factor * the first T rows and D columns of `rows`; rows of both are contiguous."""
    for i in range(out.shape[0]):
        row, target = as_contiguous(rows[i]), as_contiguous(out[i])
        for j in range(target.size):
            target[j] = factor * row[j]


@helper(inlined=False)
def turn(x, start, count, out):
    """out[:D] (D, BLOCK) = x[start : start + count].T, and zeros up to whole strips of columns."""
    transpose_tile(at(x, start, 0), count, x.shape[1], at(out, 0, 0))
    out[: x.shape[1], count : rounded_up(count, STRIP)] = 0


@helper()
def scale_row(row, factor):
    for j in range(row.size):
        row[j] *= factor


@helper()
def keys_seen(last, tk, causal):
    """How many of the keys a query sees if `last` is the number of the last one that a causal mask shows."""
    return max(0, min(tk, last + 1)) if causal else tk


@helper()
def first_query(j, tile):
    """The first query of the tile that sees a key of row j's strip, rounded down to whole strips."""
    key = tile.first + j // STRIP * STRIP
    return min(tile.columns, max(0, key - tile.past) // STRIP * STRIP) if tile.causal else 0


@helper(inlined=False)
def products(s, zeros, k_rows, q_turned, tile):
    """s[j] = k_rows[first + j] @ q_turned for j < rows, only for queries from the first that may see key j's strip."""
    for j in range(0, tile.rows, STRIP):
        left = first_query(j, tile)
        k_strip, q_part, width = at(k_rows, tile.first + j, 0), at(q_turned, 0, left), tile.columns - left
        multiply(at(s, j, left), broadcast_row(at(zeros, 0, 0)), k_strip, q_part, STRIP, q_turned.shape[0], width)


@helper(inlined=False)
def hide_unseen(s, tile):
    """Scores become -inf where there is no such key, or a causal query doesn't see it."""
    for j in range(tile.rows, rounded_up(tile.rows, STRIP)):
        s[j] = -np.inf
    if tile.causal and tile.first + tile.rows - 1 > tile.past:
        for j in range(tile.rows):
            left = first_query(j, tile)
            unseen = s[j, left : max(left, min(tile.columns, tile.first + j - tile.past))]
            for i in range(unseen.size):
                unseen[i] = -np.inf


@helper()
def is_one_row(shown):
    """Whether a mask (Tq, Tk) is one row for all queries, as padding gives."""
    return shown.strides[0] == 0


@helper(inlined=False)
def keys_shown(visible, tk):
    """How many of a head's keys come before those at the end that a mask of one row hides: padding."""
    if visible.has_mask and is_one_row(visible.shown):
        while tk > 0 and not visible.shown[0, tk - 1]:
            tk -= 1
    if visible.has_added and is_one_row(visible.added):
        while tk > 0 and visible.added[0, tk - 1] == -np.inf:
            tk -= 1
    return tk


@helper(inlined=False)
def hide_masked(s, shown, start, count, tile):
    """Scores where the mask (Tq, Tk) is False become -inf."""
    if is_one_row(shown):
        for j in range(tile.rows):
            if not shown[start, tile.first + j]:
                s[j] = -np.inf
        return
    for j in range(tile.rows):
        for i in range(count):
            if not shown[start + i, tile.first + j]:
                s[j, i] = -np.inf


@helper(inlined=False)
def raise_peak(s, tile, peak, shrink):
    """peak (BLOCK,) becomes the largest score of each column so far; shrink is e^(old - new), 1 if all are hidden."""
    end = tile.columns
    for i in range(end):
        shrink[i] = peak[i]
    for j in range(0, tile.rows, ROWS):
        left = first_query(j, tile)
        s0, s1, s2, s3 = s[j, left:end], s[j + 1, left:end], s[j + 2, left:end], s[j + 3, left:end]
        best = peak[left:end]
        for i in range(best.size):
            # best[i] is not compared last: a choice between what is there and another number becomes a store under a
            # mask, which is slow on AMD's processors before Zen 4.
            best[i] = larger(larger(best[i], larger(s0[i], s1[i])), larger(s2[i], s3[i]))
    for i in range(end):
        shrink[i] = exp(shrink[i] - peak[i]) if peak[i] > -np.inf else s.dtype.type(1)


@helper(inlined=False)
def exp_of_columns(s, tile, peak, total, shrink, base):
    """s becomes exp(s - peak), 0 in columns that are all hidden; total is scaled and gets its columns' sums.

    base  (BLOCK,), to work in
    """
    zero = s.dtype.type(0)
    end = tile.columns
    for i in range(end):
        base[i] = peak[i] if peak[i] > -np.inf else zero  # (-inf) - (-inf) would be nan
        total[i] *= shrink[i]
    for j in range(tile.rows):
        left = first_query(j, tile)
        row, bases, totals = s[j, left:end], base[left:end], total[left:end]
        for i in range(row.size):
            e = exp(row[i] - bases[i])
            row[i] = e
            totals[i] += e


@helper(inlined=False)
def weights_and_gradient(p, ds, tile, lse, along_y):
    """p: from S to P = exp(S - lse); ds: from dP to dS = P (dP - dy . y)."""
    end = tile.columns
    for j in range(tile.rows):
        left = first_query(j, tile)
        ps, dss, lses, along = p[j, left:end], ds[j, left:end], lse[left:end], along_y[left:end]
        for i in range(ps.size):
            ps[i] = exp(ps[i] - lses[i])
            dss[i] = ps[i] * (dss[i] - along[i])
    for j in range(tile.rows, rounded_up(tile.rows, STRIP)):
        p[j], ds[j] = 0, 0


@helper(inlined=False)
def drop_weights(s, tile, first, step, dropping):
    """Drop weights and scale the others. The weight in s[j, i] has the number first + j + i step."""
    for j in range(tile.rows):
        drop(s[j], tile.columns, dropping.seed, first + j, step, dropping.threshold, dropping.keep_scale)


@helper()
def dot(a, b):
    """The sum of a[j] b[j], over the length of b."""
    total = b[0] * 0
    for j in range(b.size):
        total += a[j] * b[j]
    return total
