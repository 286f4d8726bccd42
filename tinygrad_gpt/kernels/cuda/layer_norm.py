"""Layer norm on the GPU (ops/layer_norm.py derives it), and of a sum of two arrays for add_layer_norm.py.

Saved are x and three numbers of each row: its mean (μ, and ρ, what it lost in rounding) and 1/deviation.
Backward goes over the rows in chunks whose number depends on R alone; each chunk sums its own part of dweight and
dbias, and the parts are added in one order.
"""

import cupy
import numpy as np

from tinygrad_gpt.kernels.cuda.machine.layout import WARP, blocks_for, contiguous, not_ours, pack, rows
from tinygrad_gpt.kernels.cuda.machine.source import load
from tinygrad_gpt.kernels.cuda.machine.sum_rows import sum_rows

CHUNKS = 1024  # at most; they keep a large GPU busy, and each costs two rows of partial sums
HELD = (16, 32, 64, 96)  # bytes of a row in the registers of one thread: with more, some would not fit
MOST_THREADS = 256  # for one row, if each is to have as many registers as it needs


def why_not(x, weight, bias=None, *, eps=1e-5):
    if x.shape[-1] * x.itemsize > HELD[-1] * MOST_THREADS:
        return f"a row of {x.shape[-1]} channels does not fit in the registers of a block"
    return not_ours(x, weight, bias)


def forward(x, weight, bias=None, *, eps=1e-5):
    _, y, *moments = normalize(x, None, weight, bias, eps)
    return y, (x, *moments, weight, bias is not None)


def backward(dy, saved):
    x, *moments, weight, has_bias = saved
    dx, dweight, dbias = gradients(dy, None, x, *moments, weight)
    return dx, dweight, dbias if has_bias else None


def normalize(x, residual, weight, bias, eps: float) -> tuple:
    """(s, y, mean, rest, rstd) with s = x + residual, or x itself where that is None, and y = layer_norm(s)."""
    c = x.shape[-1]
    x_rows = rows(x, c)  # (..., C) -> (R, C)
    r, y, s = len(x_rows), np.empty_like(x_rows), None
    if residual is not None:
        residual, s = rows(residual, c), np.empty_like(x_rows)
    weight, bias = contiguous(weight), None if bias is None else contiguous(bias)
    mean, rest, rstd = cupy.empty((3, r), x.dtype)
    held, threads = _threads(c, x.itemsize)
    kernels = load("layer_norm", x.dtype, PACK=pack(c, x_rows, residual, weight, bias, s, y), HELD_BYTES=held)
    arguments = x_rows, residual, weight, bias, float(eps), s, y, mean, rest, rstd, r, c
    kernels.forward(blocks_for(r, threads[1]), threads, *arguments)
    return x if s is None else s.reshape(x.shape), y.reshape(x.shape), mean, rest, rstd


def gradients(dy, ds, x, mean, rest, rstd, weight) -> tuple:
    """(dx, dweight, dbias); ds, where it is not None, is added to dx."""
    c = x.shape[-1]
    dy_rows, x_rows, weight = rows(dy, c), rows(x, c), contiguous(weight)  # (..., C) -> (R, C)
    ds = None if ds is None else rows(ds, c)
    r, dx = len(x_rows), np.empty_like(x_rows)
    chunks = min(CHUNKS, r)
    parts = cupy.empty((chunks, 2, c), x.dtype)
    held, threads = _threads(c, x.itemsize)
    kernels = load("layer_norm", x.dtype, PACK=pack(c, dy_rows, ds, x_rows, weight, dx, parts), HELD_BYTES=held)
    arguments = dy_rows, ds, x_rows, mean, rest, rstd, weight, dx, parts, chunks, r, c
    kernels.backward(blocks_for(chunks, threads[1]), threads, *arguments)
    dweight, dbias = sum_rows(parts.reshape(chunks, 2 * c)).reshape(2, c)
    return dx.reshape(x.shape), dweight, dbias


def _threads(c: int, itemsize: int) -> tuple[int, tuple[int, int]]:
    """(bytes of a row that one thread holds, (threads for a row, rows for a block))."""
    held = next((h for h in HELD if c * itemsize <= h * WARP), HELD[-1])
    threads = blocks_for(c * itemsize, held * WARP) * WARP
    return held, (threads, 4 if threads == WARP else 1)
