"""What attention's kernels for many queries share: arguments, pieces of work, how arrays lie, and a tile's scores."""

from typing import NamedTuple

import numpy as np
from numba import types

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.flash.added_mask import add_mask
from tinygrad_gpt.kernels.numba.flash.tiles import BLOCK, Dropping, Visible, hide_masked, hide_unseen, products
from tinygrad_gpt.kernels.numba.machine.compile import helper, read

_BOOL = np.dtype(bool)
_NO_MASK = np.ones(16, np.uint8)  # a number of any dtype
ENOUGH = 8  # pieces of work: with fewer heads than this, queries are dealt out too


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


QUERIES, KEYS = "B H Tq D", "B H Tk D"


def arguments_for_scores(f):
    shown, added = read(types.boolean, "B H Tq Tk", "A"), read(f, "B H Tq Tk", "A")
    visible = Visible(shown, types.boolean, added, types.boolean, types.boolean)
    return *visible, *Dropping(types.uint64, f, types.uint64), f


def masks(mask, causal: bool, shape: tuple[int, ...], dtype) -> Visible:
    """What a kernel takes as masks (B, H, Tq, Tk): one that is not there is a single number that stands for all. Raises
    ValueError for a mask that does not fit."""
    shown, added = [np.ndarray(shape, kind, _NO_MASK, strides=(0, 0, 0, 0)) for kind in (_BOOL, dtype)]
    if mask is None:
        return Visible(shown, False, added, False, causal)
    try:
        if mask.dtype == bool:
            return Visible(np.broadcast_to(mask, shape), True, added, False, causal)
        return Visible(shown, False, np.broadcast_to(adjacent(mask), shape), True, causal)
    except ValueError:
        raise ValueError(f"attention: expected a mask that broadcasts to {shape}, got {mask.shape}") from None


def adjacent(x):
    """x (..., D) itself if the elements of each row are adjacent in memory, else a copy in which they are."""
    return x if x.strides[-1:] == (x.itemsize,) else np.ascontiguousarray(x)


def heads_last(like, *shape):
    """An empty array (..., T, H, D), seen as (..., H, T, D)."""
    return np.empty(shape, like.dtype).swapaxes(-2, -3)


def chunks_of(heads: int, tq: int) -> int:
    """Into how many chunks the queries of each head are dealt."""
    blocks = -(-tq // BLOCK)
    return max(1, min(blocks, ENOUGH // max(1, heads)))


@helper(inlined=False)
def masked_scores(s, zeros, k_rows, q_turned, visible, start, count, tile, mask_turned):
    """Sᵀ = (scale k) qᵀ (+ mask) of a tile, into s: (keys, D) @ (D, queries). It is -inf where a query sees no key.

    zeros         (1, BLOCK), for sums to begin with
    start, count  the block of queries, of which q_turned is qᵀ
    mask_turned   (BLOCK, BLOCK), to work in
    """
    products(s, zeros, k_rows, q_turned, tile)
    if visible.has_added:
        add_mask(s, visible.added, start, count, tile, mask_turned)
    hide_unseen(s, tile)
    if visible.has_mask:
        hide_masked(s, visible.shown, start, count, tile)
