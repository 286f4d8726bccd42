"""How the result of a matrix product is cut into tiles, each of which a thread has NumPy's OpenBLAS multiply.

The cut is along the longer side: rows for the tall and narrow products of a transformer's block, columns where C_out is
a vocabulary. A cut along the sum would need partial results and a second pass over them.

OpenBLAS may round the same sum otherwise in a tile of another size. So where the cuts are follows from the result's
shape alone, and the bits are the same on any number of threads, of any number of cores.
"""

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product.blas import gemm

LENGTH = 256  # rows or columns of a tile, about: for each, OpenBLAS copies the other operand anew;
FEWEST, MOST = 4, 32  # tiles, so that a few threads share small results, and many large ones, whatever else cores do


def number_of_tiles(m: int, n: int) -> int:
    """Into how many tiles a result (m, n) is cut."""
    longer = max(m, n)
    return min(longer, max(FEWEST, min(MOST, longer // LENGTH)))


@helper()
def edges(tile, tiles, m, n):
    """The first row of a tile of a result (m, n), the row after its last, and its columns likewise."""
    if m >= n:
        return tile * m // tiles, (tile + 1) * m // tiles, 0, n
    return 0, m, tile * n // tiles, (tile + 1) * n // tiles


@helper(inlined=False)
def gemm_of_tile(tile, tiles, m, n, k, a, b, beta, c, size):
    """c = a @ b + beta c for one of the tiles of c (m, n), whose elements have `size` bytes; only inside kernels.

    a, b  (address of the first element, transposed?, elements from one row in memory to the next)
    c     the address of its first element; its rows follow each other
    """
    (a_start, a_transposed, lda), (b_start, b_transposed, ldb) = a, b
    top, bottom, left, right = edges(tile, tiles, m, n)
    a_tile = a_start + (top if a_transposed else top * lda) * size
    b_tile = b_start + (left * ldb if b_transposed else left) * size
    c_tile = c + (top * n + left) * size
    gemm(bottom - top, right - left, k, a_tile, lda, a_transposed, b_tile, ldb, b_transposed, beta, c_tile, n)
