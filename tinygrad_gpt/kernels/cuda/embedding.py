"""Looking up rows of a table on the GPU, and adding rows to its gradient (ops/embedding.py).

Backward adds rows of dy into those of dweight, or into the gradient that the table already has (sparse_rows.SparseRows;
a GPT's table is its output layer too). Many positions may have the same id. If each added its own row, two would meet
at one row of dweight, in another order each time, with another rounding. So the positions are first sorted by their
ids, in their own order where ids are equal. Then one block of threads adds the rows of one id.

To sort, each position counts those that belong before it. That is R² comparisons, but the R numbers to compare lie in
the cache, each is loaded once for eight positions, and it takes one kernel. A sort by digits would take ten.
"""

import cupy
import numpy as np

from tinygrad_gpt.kernels.cuda.machine.layout import WARP, blocks_for, contiguous, not_ours, over_rows, pack, rows
from tinygrad_gpt.kernels.cuda.machine.layout import ids as int64s
from tinygrad_gpt.kernels.cuda.machine.source import load
from tinygrad_gpt.sparse_rows import SparseRows

COUNTED = 8  # positions for which one warp counts
MOST_WARPS = 16  # that share the rows of one id


def why_not(ids, weight):
    return not_ours(weight)


def forward(ids, weight):
    (v, c), i, table = weight.shape, int64s(ids).reshape(-1), contiguous(weight)
    y = cupy.empty((i.size, c), weight.dtype)
    _kernels(weight.dtype, pack(c, table, y)).forward(*over_rows(i.size, c), i, table, y, v, i.size, c)
    return y.reshape(*ids.shape, c), (i, weight.shape)  # (...) -> (..., C)


def backward(dy, saved):
    i, (v, c) = saved
    # y = weight[ids]
    return None, SparseRows(i, rows(dy, c), v, _scatter_add)


def _scatter_add(dweight, i, dy):
    """dweight[i[r]] += dy[r] for every r."""
    target = contiguous(dweight)
    (v, c), r = dweight.shape, i.size
    sorted_ids, positions = cupy.empty((2, r), np.int64)
    at_once = pack(c, target, dy)
    kernels, strips = _kernels(dy.dtype, at_once), blocks_for(c, WARP * at_once)
    warps = 4 if r <= 32 * v else MOST_WARPS  # by how often an id comes
    kernels.sort(blocks_for(r, COUNTED), WARP, i, sorted_ids, positions, r)
    kernels.add_rows((r, strips), (WARP, warps), sorted_ids, positions, dy, target, v, r, c)
    if target is not dweight:
        dweight[...] = target


def _kernels(dtype, at_once: int):
    return load("embedding", dtype, PACK=at_once, COUNTED=COUNTED, MOST_WARPS=MOST_WARPS)
