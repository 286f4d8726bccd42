"""Matrix product on all cores with NumPy's OpenBLAS: the result is cut into one tile for each thread.

The cut is along the longer side: rows for the tall and narrow products of a transformer's block, columns where C_out is
a vocabulary. A cut along the sum would need partial results and a second pass over them.
"""

import numba
import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba._blas import gemm
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write


def product(a, b, bias=None):
    """a (M, K) @ b (K, N) + bias (N,) -> (M, N), floats; a and b are contiguous or transposes of such arrays."""
    (m, k), n = a.shape, b.shape[1]
    c = np.empty((m, n), a.dtype)
    start = np.zeros(n, a.dtype) if bias is None else np.ascontiguousarray(bias)
    if k == 0:
        c[...] = start
    elif c.size:
        tiles = min(numba.get_num_threads(), max(m, n))
        _product(c, c.ctypes.data, k, *_operand(a), *_operand(b), start, bias is not None, tiles)
    return c


def _operand(x) -> tuple[int, bool, int]:
    """A matrix as BLAS takes it: (address, transposed?, elements in a row as it lies in memory)."""
    transposed = not x.flags.c_contiguous
    lies = np.ascontiguousarray(x.T) if transposed else x  # x.T itself, which is contiguous
    return lies.ctypes.data, transposed, lies.shape[1]


_OPERAND = types.int64, types.boolean, types.int64


@kernel(lambda f: (write(f, 2), types.int64, types.int64, *_OPERAND, *_OPERAND, read(f, 1), types.boolean, types.int64))
def _product(share, c, c_start, k, a_start, a_transposed, lda, b_start, b_transposed, ldb, bias, has_bias, tiles):
    m, n = c.shape
    size = c.itemsize
    for tile in of(share, tiles):
        top, bottom, left, right = 0, m, 0, n
        if m >= n:
            top, bottom = tile * m // tiles, (tile + 1) * m // tiles
        else:
            left, right = tile * n // tiles, (tile + 1) * n // tiles
        beta = c.dtype.type(0)
        if has_bias:
            beta = c.dtype.type(1)
            for i in range(top, bottom):
                row = c[i]
                for j in range(left, right):
                    row[j] = bias[j]
        a_tile = a_start + (top if a_transposed else top * lda) * size
        b_tile = b_start + (left * ldb if b_transposed else left) * size
        c_tile = c_start + (top * n + left) * size
        gemm(bottom - top, right - left, k, a_tile, lda, a_transposed, b_tile, ldb, b_transposed, beta, c_tile, n)
