"""Matrix product on all cores with NumPy's OpenBLAS, which multiplies tiles of the result (blas_cut.py)."""

from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import for_product
from tinygrad_gpt.kernels.numba.product.blas_cut import edges, gemm_of_tile, number_of_tiles


def product(a, a_transposed: bool, b, b_transposed: bool, bias=None):
    """op(a) @ op(b) + bias, where op transposes if asked to; floats (M, K), (K, N) and (N,) or None -> (M, N)."""
    a, b, start, c, k = for_product(a, a_transposed, b, b_transposed, bias)
    if k == 0:
        c[...] = start
    elif c.size:
        # Addresses instead of arrays: slicing arrays into tiles inside the kernel takes seconds to compile.
        a_tiles = a.ctypes.data, a_transposed, a.shape[1]
        b_tiles = b.ctypes.data, b_transposed, b.shape[1]
        _product(c, c.ctypes.data, k, *a_tiles, *b_tiles, start, bias is not None, number_of_tiles(*c.shape))
    return c


_OPERAND = types.int64, types.boolean, types.int64  # address of the first element, transposed?, elements in a row


@kernel(
    lambda f: (
        write(f, "M N"), types.int64, types.int64, *_OPERAND, *_OPERAND, read(f, "N"), types.boolean, types.int64
    )
)  # fmt: skip
def _product(share, c, c_start, k, a_start, a_transposed, lda, b_start, b_transposed, ldb, bias, has_bias, tiles):
    m, n = c.shape
    for tile in my_part(share, tiles):
        beta = c.dtype.type(0)
        if has_bias:
            beta = c.dtype.type(1)
            top, bottom, left, right = edges(tile, tiles, m, n)
            for i in range(top, bottom):
                row = c[i]
                for j in range(left, right):
                    row[j] = bias[j]
        a, b = (a_start, a_transposed, lda), (b_start, b_transposed, ldb)
        gemm_of_tile(tile, tiles, m, n, k, a, b, beta, c_start, c.itemsize)
