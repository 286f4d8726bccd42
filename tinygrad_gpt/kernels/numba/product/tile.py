"""Work on tiles: small matrices that lie in the cache, given by the place of their first element (registers.at).

Rows are contiguous, except those of `a`, which may be the transpose of any matrix: its numbers are read one by one.
"""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product import registers
from tinygrad_gpt.kernels.numba.product.registers import ROWS, TALL, VECTORS, lanes, offset, transpose

CACHE_LINE = 64  # bytes


@helper(inlined=False)
def multiply(c, start, a, b, m, k, n):
    """c[:m, :n] = start[:m, :n] + a[:m, :k] @ b[:k, :n], for m a multiple of ROWS and n of the lanes of a vector."""
    one, tall = lanes(c[0]), m // TALL * TALL
    j = 0
    while j < n:
        vectors = min((n - j) // one, VECTORS)
        if n - j == 4 * one:  # two and two rather than three and one
            vectors = 2
        b_block = offset(b, 0, j)
        for i in range(0, tall, TALL):
            c_block, start_block, a_block = offset(c, i, j), offset(start, i, j), offset(a, i, 0)
            if vectors == 3:
                registers.tall_3(c_block, start_block, a_block, b_block, k)
            elif vectors == 2:
                registers.tall_2(c_block, start_block, a_block, b_block, k)
            else:
                registers.tall_1(c_block, start_block, a_block, b_block, k)
        for i in range(tall, m, ROWS):
            c_block, start_block, a_block = offset(c, i, j), offset(start, i, j), offset(a, i, 0)
            if vectors == 3:
                registers.multiply_3(c_block, start_block, a_block, b_block, k)
            elif vectors == 2:
                registers.multiply_2(c_block, start_block, a_block, b_block, k)
            else:
                registers.multiply_1(c_block, start_block, a_block, b_block, k)
        j += vectors * one


@helper(inlined=False)
def transpose_tile(x, rows, columns, out):
    """out[j, i] = x[i, j] for i < rows, j < columns."""
    n = lanes(x[0])
    for i in range(0, rows, n):
        for j in range(0, columns, n):
            source, target = offset(x, i, j), offset(out, j, i)
            if i + n <= rows and j + n <= columns:
                transpose(source, target)
            else:
                for r in range(min(n, rows - i)):
                    for s in range(min(n, columns - j)):
                        target[0][s * target[1] + r] = source[0][r * source[1] + s]


@helper(inlined=False)
def copy_tile(x, rows, columns, out):
    """out[i, j] = x[i, j] for i < rows, j < columns."""
    for i in range(rows):
        source, target = offset(x, i, 0)[0], offset(out, i, 0)[0]
        for j in range(columns):
            target[j] = source[j]


@helper()
def broadcast_row(place):
    """The place of a row that stands for any number of rows."""
    return place[0], 0, place[2]


@helper()
def rounded_up(n, multiple):
    """The least multiple that is not less than n."""
    return (n + multiple - 1) // multiple * multiple


@helper(inlined=False)
def at_a_cache_line(rows, columns, like):
    """An empty array (rows, columns) that begins with a cache line: a vector that lies across two is loaded twice."""
    x = np.empty(rows * columns + CACHE_LINE // like.itemsize, like.dtype)
    skip = -x.ctypes.data % CACHE_LINE // like.itemsize
    return x[skip : skip + rows * columns].reshape(rows, columns)
