"""The linear layer on the CPU: three matrix products (ops/linear.py derives them), and their threads.

    y       = x @ weight.T + bias   (R, C_in) @ (C_in, C_out)
    dx      = dy @ weight           (R, C_out) @ (C_out, C_in)
    dweight = dy.T @ x              (C_out, R) @ (R, C_in)

In float32, on a processor with AVX-512, they are packed products (_packed.py). Elsewhere NumPy's BLAS multiplies one
tile per thread. It reads an operand transposed where it lies, so that one kernel serves all three. The result is cut
along its longer side: rows for the tall and narrow products of a transformer's block, columns where C_out is a
vocabulary. A cut along the sum (R in dweight) would need partial results and a second pass over them.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba import types

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.numba import _blas, _packed, _threads
from tinygrad_gpt.kernels.numba._blas import gemm
from tinygrad_gpt.kernels.numba._compile import kernel, read, write
from tinygrad_gpt.kernels.numba._layout import STRIP, not_ours, rows

_threads.start()


class Saved(NamedTuple):
    x: Array  # (..., C_in)
    weight: Array  # (C_out, C_in)
    has_bias: bool


def why_not(x, weight, bias=None):
    if not _blas.AVAILABLE and (x.dtype != np.float32 or _packed.missing(x.dtype)):
        return "this NumPy has no OpenBLAS that kernels can call; np.matmul runs instead"
    return not_ours(x, weight, bias)


def forward(x, weight, bias=None):
    c_out, c_in = weight.shape
    if x.size == c_in > 0:
        y = np.empty((1, c_out), x.dtype)
        bias_or_nothing = np.empty(0, x.dtype) if bias is None else np.ascontiguousarray(bias)
        _one_row(x.reshape(c_in), np.ascontiguousarray(weight), bias_or_nothing, y[0])
    else:
        y = _product(rows(x, c_in), False, weight, True, bias)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    return y.reshape((*x.shape[:-1], c_out)), Saved(x, weight, bias is not None)


def backward(dy, saved):
    x, weight, has_bias = saved
    c_out, c_in = weight.shape
    dy_rows = rows(dy, c_out)  # (..., C_out) -> (R, C_out)
    # y = x @ weight.T + bias
    dx = _product(dy_rows, False, weight, False)  # (R, C_out) @ (C_out, C_in) -> (R, C_in)
    dweight = _product(dy_rows, True, rows(x, c_in), False)  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = None
    if has_bias:
        dbias = np.empty(c_out, dy.dtype)
        _sum_rows(dy_rows, dbias)  # (R, C_out) -> (C_out,)
    return dx.reshape(x.shape), dweight, dbias


def _product(a, a_transposed: bool, b, b_transposed: bool, bias=None):
    """op(a) @ op(b) + bias, where op transposes if asked to."""
    if a.dtype == np.float32 and _packed.missing(a.dtype) is None:
        return _packed.product(a, a_transposed, b, b_transposed, bias, a.dtype)
    return _blas_product(a, a_transposed, b, b_transposed, bias)


def _blas_product(a, a_transposed: bool, b, b_transposed: bool, bias=None):
    """The same in tiles of BLAS's."""
    bias = np.empty(0, a.dtype) if bias is None else np.ascontiguousarray(bias)  # none is one of size 0
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    m, k = a.shape[::-1] if a_transposed else a.shape
    n = b.shape[0] if b_transposed else b.shape[1]
    c = np.empty((m, n), a.dtype)
    if k == 0:
        c[...] = bias if bias.size else 0
    elif c.size:
        # Addresses instead of arrays: slicing arrays into tiles inside the kernel takes seconds to compile.
        a_tiles = a.ctypes.data, a_transposed, a.shape[1]
        b_tiles = b.ctypes.data, b_transposed, b.shape[1]
        _product_in_tiles(c, c.ctypes.data, k, *a_tiles, *b_tiles, bias, min(numba.get_num_threads(), max(m, n)))
    return c


_OPERAND = types.int64, types.boolean, types.int64  # address of the first element, transposed?, elements in a row


@kernel(lambda f: (write(f, 2), types.int64, types.int64, *_OPERAND, *_OPERAND, read(f, 1), types.int64))
def _product_in_tiles(c, c_start, k, a_start, a_transposed, lda, b_start, b_transposed, ldb, bias, tiles):
    m, n = c.shape
    size = c.itemsize
    for tile in numba.prange(tiles):
        top, bottom, left, right = 0, m, 0, n
        if m >= n:
            top, bottom = tile * m // tiles, (tile + 1) * m // tiles
        else:
            left, right = tile * n // tiles, (tile + 1) * n // tiles
        beta = c.dtype.type(0)
        if bias.size > 0:
            beta = c.dtype.type(1)
            for i in range(top, bottom):
                row = c[i]
                for j in range(left, right):
                    row[j] = bias[j]
        a_tile = a_start + (top if a_transposed else top * lda) * size
        b_tile = b_start + (left * ldb if b_transposed else left) * size
        c_tile = c_start + (top * n + left) * size
        gemm(bottom - top, right - left, k, a_tile, lda, a_transposed, b_tile, ldb, b_transposed, beta, c_tile, n)


@kernel(lambda f: (read(f, 1, "A"), read(f, 2), read(f, 1), write(f, 1)))
def _one_row(x, weight, bias, y):
    """One new token in generation: the time goes into reading the weight, so it is read as it lies, and once."""
    c_out, c_in = weight.shape
    x = x.copy()
    strips = (c_out + STRIP - 1) // STRIP
    for strip in numba.prange(strips):
        for o in range(strip * STRIP, min((strip + 1) * STRIP, c_out)):
            row = weight[o]
            total = bias[o] if bias.size > 0 else bias.dtype.type(0)
            for i in range(c_in):
                total += x[i] * row[i]
            y[o] = total


@kernel(lambda f: (read(f, 2), write(f, 1)))
def _sum_rows(x, total):
    """total = x.sum(axis=0), each thread for some of the columns, so that the order of a sum is always the same."""
    r, c = x.shape
    strips = (c + STRIP - 1) // STRIP
    for strip in numba.prange(strips):
        left, right = strip * STRIP, min((strip + 1) * STRIP, c)
        part = total[left:right]
        part[:] = 0
        for i in range(r):
            row = x[i, left:right]
            for j in range(right - left):
                part[j] += row[j]
