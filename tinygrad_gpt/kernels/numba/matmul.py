"""Matrix products of batches on the CPU (ops/matmul.py derives the gradients): tiles as in product/packed.py, of all
matrices, are shared out among the threads. Transposed matrices are read where they lie."""

import math

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import check_dy, not_ours
from tinygrad_gpt.kernels.numba.product.packed import TILE_COLUMNS, TILE_ROWS, one_tile, tile_shape
from tinygrad_gpt.ops._shapes import sum_to_shape


def why_not(a, b):
    if min(a.ndim, b.ndim) < 2:
        return "takes matrices, and batches of them"
    return not_ours(a, b)


def forward(a, b):
    return batched_product(a, b), (a, b)


def backward(dy, saved):
    a, b = saved
    check_dy("matmul", dy, (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)
    # y = a @ b
    da = batched_product(dy, b.swapaxes(-1, -2))  # (..., M, N) @ (..., N, K) -> (..., M, K)
    db = batched_product(a.swapaxes(-1, -2), dy)  # (..., K, M) @ (..., M, N) -> (..., K, N)
    return sum_to_shape(da, a.shape), sum_to_shape(db, b.shape)


def batched_product(a, b):
    """a @ b, for (..., M, K) and (..., K, N) whose leading axes broadcast."""
    (m, k), (k_b, n) = a.shape[-2:], b.shape[-2:]
    if k != k_b or a.dtype != b.dtype:
        raise ValueError(f"matmul: expected (..., M, K) and (..., K, N) of one dtype, got {a.shape} and {b.shape}")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.empty((math.prod(batch), m, n), a.dtype)
    if y.size:
        # A matrix is cut for the threads where there are not enough of them. No bit follows from how it is cut.
        height, width = tile_shape(m, n) if len(y) < threads.count() else (TILE_ROWS, TILE_COLUMNS)
        _products(y, _one_by_one(a, batch), _one_by_one(b, batch), np.zeros((1, n), y.dtype), height, width)
    return y.reshape(*batch, m, n)


def _one_by_one(x, batch: tuple[int, ...]) -> np.ndarray:
    """The matrices (..., R, C), broadcast to that batch, as (B, R, C). Copied only if need be: so that the rows of
    each, or its columns, are contiguous, and where some leading axes are broadcast and others are not."""
    if x.itemsize not in x.strides[-2:]:
        x = np.ascontiguousarray(x)
    return np.broadcast_to(x, batch + x.shape[-2:]).reshape(math.prod(batch), *x.shape[-2:])


@kernel(
    lambda f: (
        write(f, "B M N"), read(f, "B M K", "A"), read(f, "B K N", "A"), read(f, "1 N", "A"), types.int64, types.int64
    ),
    on_demand=True,
)  # fmt: skip
def _products(share, y, a, b, start, height, width):
    many, m, n = y.shape
    down, across = (m + height - 1) // height, (n + width - 1) // width
    for piece in my_part(share, many * down * across):
        i, top, left = piece // (down * across), piece // across % down * height, piece % across * width
        one_tile(y[i], a[i], b[i], start, False, top, min(top + height, m), left, min(left + width, n))
