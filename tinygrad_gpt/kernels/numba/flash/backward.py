"""Attention's gradients, tile by tile (attention.py explains the method)."""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.flash.added_mask import (
    Gradient,
    add_to_gradient,
    dmask_of,
    new_parts,
    nothing_from,
)
from tinygrad_gpt.kernels.numba.flash.fetch import fetch_to_write
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
    dot,
    drop_weights,
    first_query,
    keys_seen,
    keys_shown,
    new_rows,
    products,
    turn,
    weights_and_gradient,
    write_scaled,
)
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import as_contiguous, check_dy
from tinygrad_gpt.kernels.numba.product.registers import at
from tinygrad_gpt.kernels.numba.product.tile import copy_tile, multiply, rounded_up


def backward(dy, saved):
    q, k, v, mask, y, lse, shape, causal, dropping, scale = saved
    check_dy("attention", dy, y.shape, y.dtype)
    q, k, v, y = adjacent(q), adjacent(k), adjacent(v), adjacent(y)  # they were; strides can be set in place
    b, h, tq, d = q.shape
    tk = k.shape[2]
    chunks = chunks_of(b * h, tq)
    if tq == tk:
        dq, dk, dv = np.empty((b, tq, 3, h, d), q.dtype).transpose(2, 0, 3, 1, 4)  # (B, H, T, D) each
    else:
        dq = heads_last(q, b, tq, h, d)
        dk, dv = np.empty((b, tk, 2, h, d), q.dtype).transpose(2, 0, 3, 1, 4)  # (B, H, Tk, D) both
    is_added = mask is not None and mask.dtype != bool
    if y.size == 0 or tk == 0:
        for gradient in (dq, dk, dv):
            gradient[...] = 0
        return dq, dk, dv, np.zeros_like(mask) if is_added else None
    dk_parts, dv_parts = (dk[None], dv[None]) if chunks == 1 else heads_last(k, 2, chunks, b, tk, h, d)
    visible = masks(mask, causal, shape, q.dtype)
    dmask_parts = new_parts(mask if is_added else None, q, tk, chunks)
    attention_backward(adjacent(dy), q, k, v, y, lse, *visible, *dropping, scale, dq, dk_parts, dv_parts, dmask_parts)
    if chunks > 1:
        dk_parts.sum(axis=0, out=dk)
        dv_parts.sum(axis=0, out=dv)
    return dq, dk, dv, dmask_of(dmask_parts, mask.shape) if is_added else None


@kernel(
    lambda f: (
        *[read(f, QUERIES, "A")] * 2, *[read(f, KEYS, "A")] * 2, read(f, QUERIES, "A"), read(f, "B H Tq"),
        *arguments_for_scores(f), write(f, QUERIES, "A"), *[write(f, f"chunks {KEYS}", "A")] * 2,
        write(f, "parts MB MH MQ MK"),
    )
)  # fmt: skip
def attention_backward(
    share, dy, q, k, v, y, lse, shown, has_mask, added, has_added, causal, threshold, keep_scale, seed, scale,
    dq, dk, dv, dmask,
):  # fmt: skip
    (b, h, tq, d), tk = q.shape, k.shape[2]
    dropping = Dropping(threshold, keep_scale, seed)
    chunks, depth = dk.shape[0], rounded_up(d, STRIP)
    space = BackwardSpace(
        new_rows(k, tk, depth), new_rows(k, tk, depth), new_rows(k, tk, depth), new_rows(k, tk, depth),
        new_rows(q, depth, BLOCK), new_rows(q, depth, BLOCK),
        new_rows(q, BLOCK, depth), new_rows(q, BLOCK, depth), new_rows(q, BLOCK, depth),
        new_rows(q, BLOCK, BLOCK), new_rows(q, BLOCK, BLOCK), new_rows(q, BLOCK if has_added else 0, BLOCK),
        new_rows(q, 3, BLOCK),
    )  # fmt: skip
    parts, mb, mh, mq, mk = dmask.shape
    is_whole = mq == tq and mk == tk
    chunk_parts = 1 if mq == tq else chunks
    groups, sharing = parts // chunk_parts, b * h // (mb * mh)
    for item in my_part(share, mb * mh * groups * chunks):
        shared, group, chunk = item // (groups * chunks), item // chunks % groups, item % chunks
        for i in range(group, sharing, groups):
            bi, hi = shared // mh + i // (h // mh), shared % mh + i % (h // mh)
            part = Part(bi * h + hi, chunk, chunks)
            visible = Visible(shown[bi, hi], has_mask, added[bi, hi], has_added, causal)
            qkv = QKV(q[bi, hi], k[bi, hi], v[bi, hi])
            dmask_part = dmask[group * chunk_parts + chunk % chunk_parts, shared // mh, shared % mh]
            gradient = Gradient(dmask_part, is_whole, i == group)
            gradients = QKV(dq[bi, hi], dk[chunk, bi, hi], dv[chunk, bi, hi])
            _backward_head(
                dy[bi, hi], qkv, y[bi, hi], lse[bi, hi], visible, dropping, scale, part, space, gradients, gradient
            )


class BackwardSpace(NamedTuple):
    """Where a thread works on its heads, as ForwardSpace."""

    k_rows: Array  # (Tk or a little more, depth): scale k
    v_rows: Array  # the same of v,
    dk_rows: Array  # of dk / scale,
    dv_rows: Array  # and of dv
    q_turned: Array  # (depth, BLOCK): qᵀ of a block of queries
    dy_turned: Array  # and dyᵀ
    q_rows: Array  # (BLOCK, depth): q as it is,
    dy_rows: Array  # dy,
    dq_rows: Array  # and dq
    p: Array  # (BLOCK keys, BLOCK queries): S, then P
    ds: Array  # dP, then dS
    mask_turned: Array  # (BLOCK, BLOCK): a tile of an added mask, or of its gradient
    of_queries: Array  # (3, BLOCK): a row for sums to begin with, lse, and dy · y


@pasted
def _backward_head(dy, qkv, y, lse, visible, dropping, scale, part, space, gradients, dmask):
    """A part of one head: writes dq of its queries, and into dk, dv and dmask what these queries add to them."""
    q, k, v = qkv
    dq, dk, dv = gradients
    (k_rows, v_rows, dk_rows, dv_rows, q_turned, dy_turned, q_rows, dy_rows, dq_rows,
     p, ds, mask_turned, of_queries) = space  # fmt: skip
    (tq, d), tk, depth = q.shape, k.shape[0], k_rows.shape[1]
    causal, end = visible.causal, keys_shown(visible, tk)
    write_scaled(k, scale, k_rows[:tk, :d])
    copy_tile(at(v, 0, 0), tk, d, at(v_rows, 0, 0))
    dk_rows[:], dv_rows[:] = 0, 0
    zeros, block_lse, along_y = of_queries[0:1], of_queries[1], of_queries[2]
    for start in range(part.chunk * BLOCK, tq, part.chunks * BLOCK):
        count = min(BLOCK, tq - start)
        columns = rounded_up(count, STRIP)
        past = start + tk - tq
        keys = keys_seen(past + count - 1, end, causal)
        turn(q, start, count, q_turned)
        turn(dy, start, count, dy_turned)
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
            masked_scores(p, zeros, k_rows, q_turned, visible, start, count, tile, mask_turned)
            # dPᵀ = v dyᵀ
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
                if start + part.chunks * BLOCK >= tq:  # the last block, which sees as many keys as any
                    fetch_to_write(dk, first + j, STRIP)
                    fetch_to_write(dv, first + j, STRIP)
                dv_strip, dk_strip = at(dv_rows, first + j, 0), at(dk_rows, first + j, 0)
                multiply(dv_strip, dv_strip, at(p, j, left), at(dy_rows, left, 0), STRIP, columns - left, depth)
                multiply(dk_strip, dk_strip, at(ds, j, left), at(q_rows, left, 0), STRIP, columns - left, depth)
            # dq += dS (scale k): (queries, keys) @ (keys, D)
            for i in range(0, count, STRIP):
                if first + BLOCK >= keys:
                    fetch_to_write(dq, start + i, STRIP)
                seen = min(tile.rows, keys_seen(past + i + STRIP - 1, tk, causal) - first)
                dq_strip = at(dq_rows, i, 0)
                multiply(dq_strip, dq_strip, at(ds.T, i, 0), at(k_rows, first, 0), STRIP, seen, depth)
            if visible.has_added:
                add_to_gradient(ds, start, count, tile, dmask, mask_turned)
        if visible.has_added:
            nothing_from(keys, start, count, dmask)
        copy_tile(at(dq_rows, 0, 0), count, d, at(dq, start, 0))
    write_scaled(dk_rows, scale, dk)
    copy_tile(at(dv_rows, 0, 0), tk, d, at(dv, 0, 0))
