"""Work on tiles: small matrices that lie in the cache, given by the place of their first element (registers.at).

Rows are contiguous, except those of `a`, which may be the transpose of any matrix: its numbers are read one by one.
"""

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product import registers
from tinygrad_gpt.kernels.numba.product.registers import ROWS, VECTORS, lanes, offset, transpose


@helper(inlined=False)
def multiply(c, start, a, b, m, k, n):
    """c[:m, :n] = start[:m, :n] + a[:m, :k] @ b[:k, :n], for m a multiple of ROWS and n of the lanes of a vector."""
    block = VECTORS * lanes(c[0])
    for j in range(0, n, block):
        vectors = min(n - j, block) // lanes(c[0])
        b_block = offset(b, 0, j)
        for i in range(0, m, ROWS):
            c_block, start_block, a_block = offset(c, i, j), offset(start, i, j), offset(a, i, 0)
            if vectors == 4:
                registers.multiply_4(c_block, start_block, a_block, b_block, k)
            elif vectors == 3:
                registers.multiply_3(c_block, start_block, a_block, b_block, k)
            elif vectors == 2:
                registers.multiply_2(c_block, start_block, a_block, b_block, k)
            else:
                registers.multiply_1(c_block, start_block, a_block, b_block, k)


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
