"""Our own matrix product on all cores: c = a @ b + bias. It runs anywhere, and was made for processors with AVX-512.

The plan is that of every fast matrix product since Goto and van de Geijn (2008):

    for each tile of c, in parallel                         (TILE_ROWS, TILE_COLUMNS)
        for each slice of the sum                           DEPTH steps
            pack b's part: panels of columns, each panel's numbers in the order in which they will be read
            for each SOME rows, for each panel of columns
                blocks of c in registers += a's rows @ the panel             (tile.multiply)

Packing makes the inner loop read memory in order, and lets it use operands that are transposed. It costs a pass over b
for each row of tiles, against TILE_ROWS multiply-adds for each number packed. a is read where it lies when its rows are
contiguous; otherwise some of its rows are packed too. Few rows go through all panels before the next ones do, so that
what is written of c lies on few pages of memory, whose addresses the processor has at hand.

Each element of c is summed in the order of k, whatever the tile it is in: the result doesn't depend on the tiles, and
so not on the number of threads.
"""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, pasted, read, write
from tinygrad_gpt.kernels.numba.machine.layout import for_product
from tinygrad_gpt.kernels.numba.product.registers import AVX_512, ROWS, TALL, VECTORS, at, lanes, offset
from tinygrad_gpt.kernels.numba.product.tile import (
    at_a_cache_line,
    broadcast_row,
    copy_tile,
    multiply,
    rounded_up,
    transpose_tile,
)

TILE_ROWS, TILE_COLUMNS, DEPTH = 960, 384, 384  # b's part, of 576 KiB in float32, stays in the second-level cache
SOME = 64  # rows of a and c at a time; a multiple of TALL


def product(a, a_transposed: bool, b, b_transposed: bool, bias=None, *, out=None, adds: bool = False):
    """op(a) @ op(b) + bias, where op transposes if asked to; floats (M, K), (K, N) and (N,) or None -> (M, N).

    out   where the product is written, (M, N) contiguous; None: a new array
    adds  whether it is added to what `out` holds; then there is no bias
    """
    a, b, start, c, _ = for_product(a, a_transposed, b, b_transposed, bias, out)
    a, b = a.T if a_transposed else a, b.T if b_transposed else b
    if c.size:
        _product(c, a, b, start.reshape(1, -1), adds, *tile_shape(*c.shape))
    return c


def tile_shape(m: int, n: int) -> tuple[int, int]:
    """Rows and columns of a tile: no larger than the cache allows, and as many tiles as the threads share evenly."""
    count = threads.count()
    down, across = -(-m // TILE_ROWS), -(-n // TILE_COLUMNS)
    while down * across % count and down * across < 8 * count:
        if m // down >= n // across:
            down += 1
        else:
            across += 1
    return rounded_up.py_func(-(-m // down), TALL), rounded_up.py_func(-(-n // across), 16)  # whole blocks and vectors


@kernel(
    lambda f: (
        write(f, "M N"), read(f, "M K", "A"), read(f, "K N", "A"), read(f, "1 N", "A"),
        types.boolean, types.int64, types.int64,
    ),
    on_demand=not AVX_512,  # linear.py has another product then
)  # fmt: skip
def _product(share, c, a, b, start, adds, height, width):
    m, n = c.shape
    down, across = (m + height - 1) // height, (n + width - 1) // width
    for tile in my_part(share, down * across):
        # Tiles next to each other in time share the longer operand's part, while it is in the cache.
        i, j = (tile % down, tile // down) if down < across else (tile // across, tile % across)
        one_tile(c, a, b, start, adds, i * height, min((i + 1) * height, m), j * width, min((j + 1) * width, n))


@pasted
def one_tile(c, a, b, start, adds, top, bottom, left, right):
    """c[top:bottom, left:right] = (start + a @ b)[top:bottom, left:right].

    a, b  of any strides, but the elements of each one's rows, or of its columns, are adjacent
    adds  whether the sums begin with what c holds, and not with `start`
    """
    k, panel = a.shape[1], VECTORS * lanes(c)
    panels = at_a_cache_line((right - left + panel - 1) // panel * DEPTH, panel, c)
    pack_a = a.strides[1] != a.itemsize and k > 1
    a_part = at_a_cache_line(SOME, DEPTH, c)
    a_part[:] = 0
    a_rows = a_part.reshape(DEPTH, SOME).T if pack_a else a_part  # as a's numbers lie
    edge = np.zeros((ROWS, panel), c.dtype)
    for first in range(0, max(k, 1), DEPTH):
        depth = min(DEPTH, k - first)
        for j in range(left, right, panel):
            _pack(b, first, depth, j, min(panel, right - j), at(panels, (j - left) // panel * DEPTH, 0))
        for above in range(top, bottom, SOME):
            some = min(SOME, bottom - above)
            whole = some // ROWS * ROWS
            if pack_a:
                copy_tile(at(a.T, first, above), depth, some, at(a_rows.T, 0, 0))
            else:  # only the last rows, where fewer than ROWS are left
                copy_tile(at(a, above + whole, first), some - whole, depth, at(a_rows, whole, 0))
            a_some = at(a_rows, 0, 0) if pack_a else at(a, above, first)
            for j in range(left, right, panel):
                columns, b_panel = min(panel, right - j), at(panels, (j - left) // panel * DEPTH, 0)
                place = at(c, above, j)
                before = place if adds or first > 0 else broadcast_row(at(start, 0, j))
                done = whole if columns % lanes(c) == 0 else 0
                if done:
                    multiply(place, before, a_some, b_panel, done, depth, columns)
                for i in range(done, some, ROWS):
                    block, a_block = offset(place, i, 0), offset(a_some, i, 0) if i < whole else at(a_rows, whole, 0)
                    rows, start_block = min(ROWS, some - i), offset(before, i, 0)
                    _at_an_edge(block, start_block, a_block, b_panel, rows, depth, columns, at(edge, 0, 0))


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
