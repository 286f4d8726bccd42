"""Matrix products of batches on the CPU (ops/matmul.py derives the gradients).

Where there are matrices for all cores, each thread multiplies whole ones with NumPy's OpenBLAS, which reads transposed
ones where they lie. Fewer are multiplied one after the other, each by all threads, as linear.py does.
"""

import math

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.linear import product
from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import check_dy, not_ours
from tinygrad_gpt.kernels.numba.product import blas
from tinygrad_gpt.kernels.numba.product.blas import gemm
from tinygrad_gpt.ops._shapes import sum_to_shape


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
    y = np.empty((many, m, n), a.dtype)
    if k == 0:
        y[...] = 0
    elif y.size and many < threads.most():  # not threads.count(), or the bits would follow it
        _one_by_one(a, b, batch, y)
    elif y.size:
        a, a_order = _as_blas_reads(a)
        b, b_order = _as_blas_reads(b)
        _products(y, y.ctypes.data, k, _starts(a, batch), *a_order, _starts(b, batch), *b_order)
    return y.reshape(*batch, m, n)


def _one_by_one(a, b, batch: tuple[int, ...], y) -> None:
    """Writes a @ b into y (B, M, N)."""
    a, b = (np.broadcast_to(x, batch + x.shape[-2:]).reshape(len(y), *x.shape[-2:]) for x in (a, b))
    for i in range(len(y)):
        (left, a_is_turned), (right, b_is_turned) = _by_rows(a[i]), _by_rows(b[i])
        y[i] = product(left, a_is_turned, right, b_is_turned)


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


@kernel(lambda f: (write(f, "B M N"), types.int64, types.int64, *_OPERANDS, *_OPERANDS), on_demand=True)
def _products(share, y, y_start, k, a_starts, a_by_columns, lda, b_starts, b_by_columns, ldb):
    many, m, n = y.shape
    for i in my_part(share, many):
        start = y_start + i * m * n * y.itemsize
        zero = y.dtype.type(0)
        gemm(m, n, k, a_starts[i], lda, a_by_columns, b_starts[i], ldb, b_by_columns, zero, start, n)
