"""Work on tiles: small matrices that lie in the cache, given by the place of their first element (_blocks.at).

    multiply(c, start, a, b, m, k, n)      c[:m, :n] = start[:m, :n] + a[:m, :k] @ b[:k, :n]
    transposed(x, rows, columns, out)      out[:columns, :rows] = x[:rows, :columns].T
    copied(x, rows, columns, out)          out[:rows, :columns] = x[:rows, :columns]

Rows are contiguous, except those of `a`, which may be the transpose of any matrix: its numbers are read one by one.
"""

from tinygrad_gpt.kernels.numba import _blocks
from tinygrad_gpt.kernels.numba._blocks import ROWS, VECTORS, lanes, moved, transpose
from tinygrad_gpt.kernels.numba._compile import helper


@helper(inlined=False)
def multiply(c, start, a, b, m, k, n):
    """c[:m, :n] = start[:m, :n] + a[:m, :k] @ b[:k, :n], for m a multiple of ROWS and n of the lanes of a vector."""
    block = VECTORS * lanes(c[0])
    for j in range(0, n, block):
        vectors = min(n - j, block) // lanes(c[0])
        b_block = moved(b, 0, j)
        for i in range(0, m, ROWS):
            c_block, start_block, a_block = moved(c, i, j), moved(start, i, j), moved(a, i, 0)
            if vectors == 4:
                _blocks.multiply_4(c_block, start_block, a_block, b_block, k)
            elif vectors == 3:
                _blocks.multiply_3(c_block, start_block, a_block, b_block, k)
            elif vectors == 2:
                _blocks.multiply_2(c_block, start_block, a_block, b_block, k)
            else:
                _blocks.multiply_1(c_block, start_block, a_block, b_block, k)


@helper(inlined=False)
def transposed(x, rows, columns, out):
    """out[j, i] = x[i, j] for i < rows, j < columns."""
    n = lanes(x[0])
    for i in range(0, rows, n):
        for j in range(0, columns, n):
            source, target = moved(x, i, j), moved(out, j, i)
            if i + n <= rows and j + n <= columns:
                transpose(source, target)
            else:
                for r in range(min(n, rows - i)):
                    for s in range(min(n, columns - j)):
                        target[0][s * target[1] + r] = source[0][r * source[1] + s]


@helper(inlined=False)
def copied(x, rows, columns, out):
    """out[i, j] = x[i, j] for i < rows, j < columns."""
    for i in range(rows):
        source, target = moved(x, i, 0)[0], moved(out, i, 0)[0]
        for j in range(columns):
            target[j] = source[j]


@helper()
def repeated(place):
    """The place of a row that stands for any number of rows."""
    return place[0], 0, place[2]


@helper()
def rounded_up(n, multiple):
    """The least multiple that is not less than n."""
    return (n + multiple - 1) // multiple * multiple
