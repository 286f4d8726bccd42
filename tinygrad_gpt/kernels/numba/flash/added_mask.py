"""The mask that attention.py adds to its scores: into a tile, and its gradient dS out of one.

The mask of a head, (Tq, Tk), has a row for each query, a tile a row for each key: so a part of the mask is turned on
its way in, and dS on its way out. Where one row or one column of a mask stands for all, nothing is turned: a number for
each key, or for each query, is added, and dS is summed.

Heads that share a part of the mask are dealt into groups. The heads of a group come one after the other and add to one
array, and the groups' arrays are added in order at the end. The number of groups depends on the shapes alone.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba.flash.tiles import first_query, is_one_row
from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product.registers import at
from tinygrad_gpt.kernels.numba.product.tile import transpose_tile

PIECES = 32  # of work: into so many, at least, heads that share a mask are dealt out


class Gradient(NamedTuple):
    """Where dS of a head goes.

    sums   (Tq, Tk), or 1 in place of either, which is summed over then; of no use where no mask is added
    whole  whether it is (Tq, Tk)
    fresh  whether nothing is in it yet that counts: the head is the first of its group, and `sums` is whole
    """

    sums: Array
    whole: bool
    fresh: bool


def new_parts(mask: np.ndarray | None, q: np.ndarray, tk: int, chunks: int) -> np.ndarray:
    """Arrays for dS of the heads of each group, and, where it is summed over queries, of each chunk of these:
    (parts, MB, MH, MQ, MK). Of zeros, unless they are whole: then each is written before it is added to. Where no mask
    is added nothing is written, and the sizes say that no two heads share one."""
    b, h, tq, _ = q.shape
    if mask is None:
        return np.empty((chunks, b, h, 1, 1), q.dtype)
    shape = (1,) * (4 - mask.ndim) + mask.shape
    apart = shape[0] * shape[1]
    groups = min(b * h // apart, -(-PIECES // apart))
    if shape[2:] == (tq, tk):
        return np.empty((groups, *shape), q.dtype)
    return np.zeros((groups * (1 if shape[2] == tq else chunks), *shape), q.dtype)


@helper(inlined=False)
def add_mask(s, added, start, count, tile, turned):
    """s[j, i] += added[start + i, first + j], for a tile's keys j < rows and queries i < count.

    added   (Tq, Tk), by any stride for the queries; for the keys adjacent, or one number for all
    turned  (BLOCK, BLOCK), to work in
    """
    if is_one_row(added):
        for j in range(tile.rows):
            row, number = s[j, :count], added[start, tile.first + j]
            for i in range(row.size):
                row[i] += number
        return
    for_all_keys = added.strides[1] == 0
    if for_all_keys:
        for i in range(count):
            turned[0, i] = added[start + i, 0]
    else:
        transpose_tile(at(added, start, tile.first), count, tile.rows, at(turned, 0, 0))
    for j in range(tile.rows):
        row, numbers = s[j, :count], turned[0 if for_all_keys else j, :count]
        for i in range(row.size):
            row[i] += numbers[i]


@helper(inlined=False)
def add_to_gradient(ds, start, count, tile, gradient, turned):
    """gradient[start + i, first + j] += ds[j, i], for a tile's keys j < rows and queries i < count; = if it is fresh.

    ds      (BLOCK, BLOCK): what causal queries do not see of it becomes 0
    turned  (BLOCK, BLOCK), to work in
    """
    sums = gradient.sums
    if not gradient.whole:
        for j in range(tile.rows):
            key, left = (tile.first + j if sums.shape[1] > 1 else 0), first_query(j, tile)
            row = ds[j, left : max(left, count)]
            if sums.shape[0] > 1:
                for i in range(row.size):
                    sums[start + left + i, key] += row[i]
            else:
                total = row.dtype.type(0)
                for i in range(row.size):
                    total += row[i]
                sums[0, key] += total
        return
    for j in range(tile.rows):
        ds[j, : first_query(j, tile)] = 0
    if gradient.fresh:
        transpose_tile(at(ds, 0, 0), tile.rows, count, at(sums, start, tile.first))
        return
    transpose_tile(at(ds, 0, 0), tile.rows, count, at(turned, 0, 0))
    for i in range(count):
        row, more = sums[start + i, tile.first : tile.first + tile.rows], turned[i, : tile.rows]
        for j in range(row.size):
            row[j] += more[j]


@helper(inlined=False)
def nothing_from(key, start, count, gradient):
    """A whole, fresh gradient of the block's queries is 0 from this key on: they do not see them."""
    if gradient.whole and gradient.fresh:
        gradient.sums[start : start + count, key:] = 0


def dmask_of(parts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The parts of all groups (parts, MB, MH, MQ, MK), added up in order, in the mask's own shape."""
    return (parts[0] if len(parts) == 1 else parts.sum(axis=0)).reshape(shape)
