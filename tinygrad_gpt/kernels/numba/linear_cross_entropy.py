"""A linear layer and the cross-entropy of what it gives on the CPU, block by block (ops/linear_cross_entropy.py derives
it).

Each block of rows has all of its work done while its logits are at hand, and the next one's take their place:

    logits  = x weightᵀ + bias           the kernels of linear.py multiply,
    loss    = a number for each row      those of cross_entropy.py do the rest
    dlogits                              in place of the logits, for dy = 1
    dx      = dlogits weight             the block's own rows
    dweight += dlogitsᵀ x                all blocks add to one array
    dbias   += its rows

How many rows count, by which a mean divides, is known from the targets beforehand. So forward already has the
gradients, up to the factor dy, and saves them in place of its inputs; nothing is computed twice. Backward multiplies by
dy, which is 1 where the loss is what backward starts from. The price: forward costs what both cost, also where nobody
asks for a gradient.

A sum over rows goes on in the next block where it stopped in the last. Our own product adds in the order of the rows
(product/packed.py), so that the bits are those of the two ops one after the other; OpenBLAS's may differ.
"""

import numpy as np

from tinygrad_gpt.kernels.numba import linear
from tinygrad_gpt.kernels.numba.cross_entropy import logits_to_gradients, losses_of_rows, reduced
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, write
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK, check_dy, flat, not_ours, part, rows
from tinygrad_gpt.memory import nobody_else_holds
from tinygrad_gpt.ops import linear_cross_entropy as op
from tinygrad_gpt.ops._shapes import check_ids
from tinygrad_gpt.ops.cross_entropy import counted

ROWS = 64  # a block's are a multiple of it


def why_not(x, weight, targets, bias=None, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    if not isinstance(targets, np.ndarray):
        return f"{type(targets).__name__} is not a NumPy array"
    return not_ours(x, weight, bias)


def forward(x, weight, targets, bias=None, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    v, c = weight.shape
    x_rows, weight = rows(x, c), np.ascontiguousarray(weight)  # (..., C) -> (R, C)
    if v == 0 or targets.shape != x.shape[:-1]:
        raise ValueError(
            f"linear_cross_entropy: expected weight (V, C) and targets of shape {x.shape[:-1]}, "
            f"got {weight.shape} and {targets.shape}"
        )
    targets = targets.copy()  # compiled code uses them as indices: check a copy that nothing else can write to
    check_ids("linear_cross_entropy", "targets", targets, v, passed_over=ignore_index)
    t, counts = counted(targets, ignore_index, ignored=-1)
    count = int(np.count_nonzero(counts))
    r = len(x_rows)
    loss, peak, total = np.empty((3, r), x.dtype)
    dloss = np.full(r, 1 / count if reduction == "mean" else 1, x.dtype)  # y = sum(loss) / count, or sum(loss)
    dx, dweight, dbias = np.empty_like(x_rows), np.empty_like(weight), None if bias is None else np.zeros(v, x.dtype)
    height = min(block_rows(v, x.itemsize), r)
    block = np.empty((height, v), x.dtype)  # logits, and then their gradients
    for top in range(0, max(r, 1), max(height, 1)):  # once for no rows: dweight is 0 then
        here = slice(top, min(top + height, r))
        x_here, z = x_rows[here], block[: here.stop - top]  # (., C), (., V)
        linear.product(x_here, False, weight, True, bias, out=z)  # (., C) @ (C, V) -> (., V)
        losses_of_rows(z, t[here], label_smoothing, loss[here], peak[here], total[here])
        logits_to_gradients(z, t[here], peak[here], total[here], dloss[here], label_smoothing)
        # logits = x @ weight.T + bias
        linear.product(z, False, weight, False, out=dx[here])  # (., V) @ (V, C) -> (., C)
        linear.product(z, True, x_here, False, out=dweight, adds=top > 0)  # (V, .) @ (., C) -> (V, C)
        if dbias is not None:
            linear.sum_rows(z, onto=dbias)  # (., V) -> (V,)
    return reduced(loss, count, reduction), (dx.reshape(x.shape), dweight, dbias)


def block_rows(v: int, itemsize: int) -> int:
    """How many rows of v logits are about op.BLOCK bytes."""
    return max(ROWS, op.BLOCK // (v * itemsize) // ROWS * ROWS)


def backward(dy, saved):
    may_overwrite = [saved[i] is not None and nobody_else_holds(saved, i) for i in range(3)]
    dx, dweight, dbias = saved
    check_dy("linear_cross_entropy", dy, (), dweight.dtype)
    dx, dweight = _times(dy, dx, may_overwrite[0]), _times(dy, dweight, may_overwrite[1])
    return dx, dweight, None, None if dbias is None else _times(dy, dbias, may_overwrite[2])


def _times(dy, gradient, may_overwrite: bool):
    """dy * gradient: in the gradient's own memory, if it may be."""
    gradient = gradient if may_overwrite else gradient.copy()
    if dy != 1:
        _scale(flat(gradient), float(dy))
    return gradient


@kernel(lambda f: (write(f, "N"), f))
def _scale(share, x, factor):
    for chunk in my_part(share, (x.size + CHUNK - 1) // CHUNK):
        some = part(x, chunk)
        for i in range(some.size):
            some[i] *= factor
