"""Matrix product on all cores with NumPy's OpenBLAS, which multiplies tiles of the result.

The cut is along the longer side: rows for the tall and narrow products of a transformer's block, columns where C_out is
a vocabulary. A cut along the sum would need partial results and a second pass over them.

OpenBLAS may round the same sum otherwise in a tile of another size. So where the cuts are follows from the result's
shape alone, and the bits are the same on any number of threads, of any number of cores.
"""

from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import for_product
from tinygrad_gpt.kernels.numba.product.blas import gemm

LENGTH = 256  # rows or columns of a tile, about: for each, OpenBLAS copies the other operand anew;
FEWEST, MOST = 4, 32  # tiles, so that a few threads share small results, and many large ones, whatever else cores do


def product(a, a_transposed: bool, b, b_transposed: bool, bias=None, *, out=None, adds: bool = False):
    """op(a) @ op(b) + bias, where op transposes if asked to; floats (M, K), (K, N) and (N,) or None -> (M, N).

    out   where the product is written, (M, N) contiguous; None: a new array
    adds  whether it is added to what `out` holds; then there is no bias
    """
    a, b, start, c, k = for_product(a, a_transposed, b, b_transposed, bias, out)
    if k == 0:
        if not adds:
            c[...] = start
    elif c.size:
        # Addresses instead of arrays: slicing arrays into tiles inside the kernel takes seconds to compile.
        a_tiles = a.ctypes.data, a_transposed, a.shape[1]
        b_tiles = b.ctypes.data, b_transposed, b.shape[1]
        tiles = min(max(c.shape), max(FEWEST, min(MOST, max(c.shape) // LENGTH)))
        _product(c, c.ctypes.data, k, *a_tiles, *b_tiles, start, bias is not None, adds, tiles)
    return c


_OPERAND = types.int64, types.boolean, types.int64  # address of the first element, transposed?, elements in a row


@kernel(
    lambda f: (
        write(f, "M N"), types.int64, types.int64, *_OPERAND, *_OPERAND, read(f, "N"),
        types.boolean, types.boolean, types.int64,
    )
)  # fmt: skip
def _product(share, c, c_start, k, a_start, a_transposed, lda, b_start, b_transposed, ldb, bias, has_bias, adds, tiles):
    m, n = c.shape
    size = c.itemsize
    for tile in my_part(share, tiles):
        top, bottom, left, right = 0, m, 0, n
        if m >= n:
            top, bottom = tile * m // tiles, (tile + 1) * m // tiles
        else:
            left, right = tile * n // tiles, (tile + 1) * n // tiles
        beta = c.dtype.type(1 if has_bias or adds else 0)
        if has_bias:
            for i in range(top, bottom):
                row = c[i]
                for j in range(left, right):
                    row[j] = bias[j]
        a_tile = a_start + (top if a_transposed else top * lda) * size
        b_tile = b_start + (left * ldb if b_transposed else left) * size
        c_tile = c_start + (top * n + left) * size
        gemm(bottom - top, right - left, k, a_tile, lda, a_transposed, b_tile, ldb, b_transposed, beta, c_tile, n)
