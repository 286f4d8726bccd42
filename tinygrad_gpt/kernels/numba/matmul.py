"""Matrix products of batches on the CPU (ops/matmul.py derives the gradients).

Each thread multiplies matrices with NumPy's OpenBLAS, which reads transposed ones where they lie: whole ones where they
are many, else tiles of them, so that all threads have work. A single product is made as linear.py does.
"""

import math

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.linear import product
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import check_dy, not_ours
from tinygrad_gpt.kernels.numba.product import blas
from tinygrad_gpt.kernels.numba.product.blas_cut import gemm_of_tile, number_of_tiles
from tinygrad_gpt.ops._shapes import sum_to_shape

PIECES = 8  # of work, about, where that takes tiles: not the number of threads, or the bits would follow it


def why_not(a, b):
    if not blas.AVAILABLE:
        return "this NumPy has no OpenBLAS that kernels can call; np.matmul runs instead"
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
    many = math.prod(batch)
    if many == 1:
        (left, a_is_turned), (right, b_is_turned) = _by_rows(a.reshape(m, k)), _by_rows(b.reshape(k, n))
        return product(left, a_is_turned, right, b_is_turned).reshape(*batch, m, n)
    y = np.empty((many, m, n), a.dtype)
    if k == 0:
        y[...] = 0
    elif y.size:
        a, a_order = _as_blas_reads(a)
        b, b_order = _as_blas_reads(b)
        tiles = max(1, min(PIECES // many, number_of_tiles(m, n)))
        _products(y, y.ctypes.data, k, _starts(a, batch), *a_order, _starts(b, batch), *b_order, tiles)
    return y.reshape(*batch, m, n)


def _by_rows(x) -> tuple[np.ndarray, bool]:
    """A matrix, or its transpose where that is what lies in memory row by row, and which it is."""
    is_turned = not x.flags.c_contiguous and x.T.flags.c_contiguous
    return (x.T if is_turned else x), is_turned


def _as_blas_reads(x) -> tuple[np.ndarray, tuple[bool, int]]:
    """The matrices (..., R, C), copied if need be, so that the rows of each, or its columns, are contiguous and evenly
    apart; with (whether it is the columns, elements from one to the next)."""
    (r, c), (down, across) = x.shape[-2:], x.strides[-2:]
    size = x.itemsize
    if x.flags.aligned:
        for is_turned, inner, outer, length in ((False, across, down, c), (True, down, across, r)):
            if inner == size and outer >= length * size and outer % size == 0:
                return x, (is_turned, outer // size)
    return np.ascontiguousarray(x), (False, c)


def _starts(x, batch: tuple[int, ...]) -> np.ndarray:
    """(B,) int64: where each matrix of x (..., R, C) lies, broadcast to that batch. The caller keeps x alive."""
    starts = np.array(x.ctypes.data, np.int64)
    for n, stride in zip(batch, np.broadcast_to(x, batch + x.shape[-2:]).strides, strict=False):
        starts = starts[..., np.newaxis] + np.arange(n) * stride
    return starts.reshape(-1)


_OPERANDS = read(types.int64, "B"), types.boolean, types.int64  # starts, by columns?, elements from one to the next


@kernel(lambda f: (write(f, "B M N"), types.int64, types.int64, *_OPERANDS, *_OPERANDS, types.int64), on_demand=True)
def _products(share, y, y_start, k, a_starts, a_by_columns, lda, b_starts, b_by_columns, ldb, tiles):
    many, m, n = y.shape
    for piece in my_part(share, many * tiles):
        i, tile = piece // tiles, piece % tiles
        a, b = (a_starts[i], a_by_columns, lda), (b_starts[i], b_by_columns, ldb)
        start = y_start + i * m * n * y.itemsize
        gemm_of_tile(tile, tiles, m, n, k, a, b, y.dtype.type(0), start, y.itemsize)
