"""Our own matrix product on all cores: c = a @ b + bias. It runs anywhere, and was made for processors with AVX-512.

The plan is that of every fast matrix product since Goto and van de Geijn (2008):

    for each tile of c, in parallel                         (TILE_ROWS, TILE_COLUMNS)
        for each slice of the sum                           DEPTH steps
            pack b's part: panels of PANEL columns, each panel's numbers in the order in which they will be read
            for each panel of columns, for each ROWS rows
                a block of c in registers += a's rows @ the panel            (registers.multiply)

Packing makes the inner loop read memory in order, and lets it use operands that are transposed. It costs a pass over b
for each row of tiles, against TILE_ROWS multiply-adds for each number packed. a is read where it lies when its rows are
contiguous; otherwise it is packed too, transposed.

Each element of c is summed in the order of k, whatever the tile it is in: the result doesn't depend on the tiles, and
so not on the number of threads.
"""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import for_product
from tinygrad_gpt.kernels.numba.product.registers import ROWS, VECTORS, at, lanes, offset
from tinygrad_gpt.kernels.numba.product.tile import broadcast_row, copy_tile, multiply, rounded_up, transpose_tile

TILE_ROWS, TILE_COLUMNS, DEPTH = 256, 384, 256  # the parts of a, b and c in use fit in 1 MiB of second-level cache


def product(a, a_transposed: bool, b, b_transposed: bool, bias=None):
    """op(a) @ op(b) + bias, where op transposes if asked to; floats (M, K), (K, N) and (N,) or None -> (M, N)."""
    a, b, start, c, _ = for_product(a, a_transposed, b, b_transposed, bias)
    a, b = a.T if a_transposed else a, b.T if b_transposed else b
    if c.size:
        _product(c, a, b, start.reshape(1, -1), *_tile_shape(*c.shape))
    return c


def _tile_shape(m: int, n: int) -> tuple[int, int]:
    """Rows and columns of a tile: no larger than the cache allows, and as many tiles as the threads share evenly."""
    count = threads.count()
    down, across = -(-m // TILE_ROWS), -(-n // TILE_COLUMNS)
    while down * across % count and down * across < 8 * count:
        if m // down >= n // across:
            down += 1
        else:
            across += 1
    return rounded_up.py_func(-(-m // down), ROWS), rounded_up.py_func(-(-n // across), 64)


@kernel(
    lambda f: (write(f, "M N"), read(f, "M K", "A"), read(f, "K N", "A"), read(f, "1 N", "A"), types.int64, types.int64)
)
def _product(share, c, a, b, start, height, width):
    m, n = c.shape
    down, across = (m + height - 1) // height, (n + width - 1) // width
    for tile in my_part(share, down * across):
        # Tiles next to each other in time share the longer operand's part, while it is in the cache.
        i, j = (tile % down, tile // down) if down < across else (tile // across, tile % across)
        _one_tile(c, a, b, start, i * height, min((i + 1) * height, m), j * width, min((j + 1) * width, n))


@pasted
def _one_tile(c, a, b, start, top, bottom, left, right):
    """c[top:bottom, left:right]."""
    k, panel = a.shape[1], VECTORS * lanes(c)
    panels = np.empty(((right - left + panel - 1) // panel * DEPTH, panel), c.dtype)
    pack_a = a.strides[1] != a.itemsize and k > 1
    a_rows = np.zeros((rounded_up(bottom - top, ROWS) if pack_a else ROWS, DEPTH), c.dtype)
    edge = np.zeros((ROWS, panel), c.dtype)
    whole_rows = top + (bottom - top) // ROWS * ROWS
    for first in range(0, max(k, 1), DEPTH):
        depth = min(DEPTH, k - first)
        for j in range(left, right, panel):
            _pack(b, first, depth, j, min(panel, right - j), at(panels, (j - left) // panel * DEPTH, 0))
        if pack_a:
            transpose_tile(at(a.T, first, top), depth, bottom - top, at(a_rows, 0, 0))
        else:  # only the last rows, where fewer than ROWS are left
            copy_tile(at(a, whole_rows, first), bottom - whole_rows, depth, at(a_rows, 0, 0))
        a_whole = at(a_rows, 0, 0) if pack_a else at(a, top, first)
        a_last = at(a_rows, whole_rows - top if pack_a else 0, 0)
        for j in range(left, right, panel):
            columns = min(panel, right - j)
            b_panel = at(panels, (j - left) // panel * DEPTH, 0)
            if columns % lanes(c) == 0:
                before = broadcast_row(at(start, 0, j)) if first == 0 else at(c, top, j)
                multiply(at(c, top, j), before, a_whole, b_panel, whole_rows - top, depth, columns)
            else:
                for i in range(top, whole_rows, ROWS):
                    before = broadcast_row(at(start, 0, j)) if first == 0 else at(c, i, j)
                    a_block = offset(a_whole, i - top, 0)
                    _at_an_edge(at(c, i, j), before, a_block, b_panel, ROWS, depth, columns, at(edge, 0, 0))
            if whole_rows < bottom:
                before = broadcast_row(at(start, 0, j)) if first == 0 else at(c, whole_rows, j)
                last = bottom - whole_rows
                _at_an_edge(at(c, whole_rows, j), before, a_last, b_panel, last, depth, columns, at(edge, 0, 0))


@helper(inlined=False)
def _pack(b, first, depth, left, columns, panel):
    """The panel becomes b[first : first + depth, left : left + columns], filled up to whole vectors with zeros."""
    if b.strides[1] == b.itemsize:
        copy_tile(at(b, first, left), depth, columns, panel)
    else:
        transpose_tile(at(b.T, left, first), columns, depth, panel)
    for j in range(columns, rounded_up(columns, lanes(b))):
        for i in range(depth):
            panel[0][i * panel[1] + j] = 0


@helper(inlined=False)
def _at_an_edge(c, start, a, b, rows, depth, columns, edge):
    """Part of a block (rows of it, and columns) by way of a whole one, `edge`."""
    copy_tile(start, rows, columns, edge)
    multiply(edge, edge, a, b, ROWS, depth, rounded_up(columns, lanes(c[0])))
    copy_tile(edge, rows, columns, c)
