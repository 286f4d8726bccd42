"""A matrix product by packing: operands are brought, block by block, into the order in which the processor reads them.

    product(a, a_transposed, b, b_transposed, bias, kind)      op(a) @ op(b) + bias

The sum is cut into blocks of DEEP elements or fewer. For each, 16 rows of op(a) and 16 columns of op(b) at a time are
packed (_vectors.py says how, and what kinds of numbers there are), and tiles of the result get the products added. An
operand that is to be transposed is read where it lies. Packing costs as much as reading and writing the operands once
more, which a product of 64 rows and columns pays for several times over.

Three groups of columns, packed, fill the first-level cache, where they serve one row of blocks after another; what
a tile needs lies in the second; and no more than WIDE rows and columns are packed at a time, so that memory for it is
bounded. Where sums are cut follows neither the tiles nor the threads: the bits are the same on any number of them.
"""

import numba
import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import helper, kernel, read, write
from tinygrad_gpt.kernels.numba._vectors import (
    LANES,
    MOST_GROUPS,
    ROWS,
    VECTOR,
    add_products_1,
    add_products_2,
    add_products_3,
    pack_columns,
    pack_rows,
)

_threads.start()

DEEP = 512  # words along the sum
WIDE = 4096  # rows, columns
CHUNK_GROUPS = 4  # packed by a thread at a time: whole pages are read by one thread
TILE_ROWS, TILE_COLUMNS = 64, 2 * MOST_GROUPS * LANES  # of the result, by a thread at a time
BFLOAT16_PAIRS = np.dtype(np.uint32)
_KINDS = (BFLOAT16_PAIRS,)


def product(a, a_transposed: bool, b, b_transposed: bool, bias, kind: np.dtype):
    """op(a) @ op(b) + bias, where op transposes if asked to; float32 (m, k), (k, n) and (n,) or None -> (m, n).

    kind  the packed words: float32, or BFLOAT16_PAIRS to round operands to bfloat16
    """
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    m, k = a.shape[::-1] if a_transposed else a.shape
    n = b.shape[0] if b_transposed else b.shape[1]
    bias = np.zeros(n, np.float32) if bias is None else np.ascontiguousarray(bias)
    c = np.empty((m, n), np.float32)
    if k == 0:
        c[...] = bias
    elif c.size:
        per_word = 2 if kind == BFLOAT16_PAIRS else 1
        blocks = _parts(k, DEEP * per_word)
        deep = _parts(k, blocks * LANES * per_word) * LANES  # words, a multiple of what is packed at a time
        a_packed = np.empty((_parts(min(m, WIDE), LANES), deep, LANES), kind)
        b_packed = np.empty((_parts(min(n, WIDE), LANES), deep, LANES), kind)
        for left in range(0, n, WIDE):
            for first in range(0, k, deep * per_word):
                elements = min(deep * per_word, k - first)
                _pack(b_packed, b, b_transposed, left, first, elements, per_word)
                for top in range(0, m, WIDE):
                    _pack(a_packed, a, not a_transposed, top, first, elements, per_word)
                    _add_tiles(a_packed, b_packed, c, bias, top, left, first == 0, _parts(elements, per_word))
    return c


def _parts(n: int, size: int) -> int:
    """How many parts of a size n takes."""
    return -(-n // size)


# --- packing -----------------------------------------------------------------------------------------------------


@kernel(lambda w: (write(w, 3), read(types.float32, 2), types.boolean, *4 * (types.int64,)), dtypes=_KINDS)
def _pack(packed, x, by_rows, first_line, first, elements, per_word):
    """Pack lines of x (its rows, or its columns) from `first_line` on: `elements` of each, from `first` on.

    As many lines as there are, and there is room for; zeros where the last group has fewer than 16.
    """
    lines = x.shape[0] if by_rows else x.shape[1]
    groups = min(packed.shape[0], (lines - first_line + LANES - 1) // LANES)
    for chunk in numba.prange((groups + CHUNK_GROUPS - 1) // CHUNK_GROUPS):
        left, right = chunk * CHUNK_GROUPS, min((chunk + 1) * CHUNK_GROUPS, groups)
        _pack_groups(packed, x, by_rows, first_line, first, elements, per_word, left, right)


@helper(inlined=False)
def _pack_groups(packed, x, by_rows, first_line, first, elements, per_word, left, right):
    """The groups left .. right - 1, side by side."""
    kind = packed.dtype.type(0)
    lines = x.shape[0] if by_rows else x.shape[1]
    step = 4 * x.shape[1]
    at_a_time = LANES * per_word
    block = np.zeros((LANES, 2 * LANES), np.float32)
    for begin in range(0, elements, at_a_time):
        for group in range(left, right):
            line, element = first_line + group * LANES, first + begin
            there = packed.ctypes.data + (group * packed.shape[1] + begin // per_word) * VECTOR
            count, length = min(LANES, lines - line), min(at_a_time, elements - begin)
            if count < LANES or length < at_a_time:  # at the edge: filled up with zeros
                block[:] = 0
                for i in range(count):
                    for j in range(length):
                        block[i, j] = x[line + i, element + j] if by_rows else x[element + j, line + i]
                pack_rows(kind, block.ctypes.data, 2 * VECTOR, there)
            elif by_rows:
                pack_rows(kind, x.ctypes.data + line * step + element * 4, step, there)
            else:
                pack_columns(kind, x.ctypes.data + element * step + line * 4, step, there)


# --- adding ------------------------------------------------------------------------------------------------------


@kernel(
    lambda w: (
        read(w, 3),
        read(w, 3),
        write(types.float32, 2),
        read(types.float32, 1),
        *2 * (types.int64,),
        types.boolean,
        types.int64,
    ),
    dtypes=_KINDS,
)
def _add_tiles(a_packed, b_packed, c, bias, top, left, begins, words):
    """c[top:, left:] += the products of what is packed; or bias + the products, where the sum begins."""
    m, n = c.shape
    bottom, right = min(m, top + a_packed.shape[0] * LANES), min(n, left + b_packed.shape[0] * LANES)
    across = (right - left + TILE_COLUMNS - 1) // TILE_COLUMNS
    down = (bottom - top + TILE_ROWS - 1) // TILE_ROWS
    for tile in numba.prange(across * down):
        i, j = top + tile % down * TILE_ROWS, left + tile // down * TILE_COLUMNS
        _add_tile(a_packed, b_packed, c, bias, top, left, begins, words, i, j, bottom, right)


@helper(inlined=False)
def _add_tile(a_packed, b_packed, c, bias, top, left, begins, words, tile_top, tile_left, bottom, right):
    """The tile of c from row tile_top and column tile_left on, in blocks of 8 x 48."""
    kind = a_packed.dtype.type(0)
    c_step, group_step = 4 * c.shape[1], a_packed.shape[1] * VECTOR
    block = np.zeros((ROWS, MOST_GROUPS * LANES), np.float32)
    block_step = VECTOR * MOST_GROUPS
    for j in range(tile_left, min(tile_left + TILE_COLUMNS, right), MOST_GROUPS * LANES):
        columns = min(MOST_GROUPS * LANES, right - j)
        groups = (columns + LANES - 1) // LANES
        b = b_packed.ctypes.data + (j - left) // LANES * group_step
        for i in range(tile_top, min(tile_top + TILE_ROWS, bottom), ROWS):
            rows = min(ROWS, bottom - i)
            a = a_packed.ctypes.data + (i - top) // LANES * group_step + (i - top) % LANES * 4
            here, here_step = c.ctypes.data + i * c_step + 4 * j, c_step
            start, start_step = (bias.ctypes.data + 4 * j, 0) if begins else (here, here_step)
            at_edge = rows < ROWS or columns < groups * LANES
            if at_edge:  # within an array that has room for the whole block
                for row in range(rows):
                    for column in range(columns):
                        block[row, column] = bias[j + column] if begins else c[i + row, j + column]
                here, here_step = block.ctypes.data, block_step
                start, start_step = here, here_step
            if groups == 3:
                add_products_3(kind, words, a, b, group_step, start, start_step, here, here_step)
            elif groups == 2:
                add_products_2(kind, words, a, b, group_step, start, start_step, here, here_step)
            else:
                add_products_1(kind, words, a, b, group_step, start, start_step, here, here_step)
            if at_edge:
                for row in range(rows):
                    for column in range(columns):
                        c[i + row, j + column] = block[row, column]
