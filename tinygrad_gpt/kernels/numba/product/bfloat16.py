"""A matrix product of bfloat16 numbers: float32 operands are rounded to them while they are packed, which is to say
brought, block by block, into the order in which the processor reads them.

The sum is cut into blocks of DEEP pairs of numbers or fewer. For each block, 16 rows of op(a) and 16 columns of op(b)
at a time are packed, and tiles of the result get the products added: bfloat16_registers.py has these innermost steps,
and bfloat16_tiles.py others for processors with AMX. An operand that is transposed is read where it lies. packed.py
packs one operand, again for each tile. Here both are rounded, so both are packed, and all tiles share them.

Three groups of packed columns about fill the first-level cache, and serve one row of blocks after another. The rows of
a tile lie in the second. No more than WIDE rows and columns are packed at a time, which bounds the memory for it. Where
sums are cut depends on neither tiles nor threads: the bits are the same on any number of threads.
"""

import numpy as np
from numba import types

from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import for_product
from tinygrad_gpt.kernels.numba.product import bfloat16_tiles
from tinygrad_gpt.kernels.numba.product.bfloat16_registers import (
    LANES,
    VECTOR,
    pack_columns,
    pack_columns_turned,
    pack_rows,
    pack_rows_turned,
)
from tinygrad_gpt.kernels.numba.product.registers import has

TILES = bfloat16_tiles.FOUND
if TILES:
    from tinygrad_gpt.kernels.numba.product.bfloat16_tiles import MOST_GROUPS, ROWS, add_products, begin, end
else:
    from tinygrad_gpt.kernels.numba.product.bfloat16_registers import MOST_GROUPS, ROWS, add_products, begin, end

DEEP = 384  # pairs along the sum
WIDE = 4096  # rows, columns
CHUNK_GROUPS = 4  # packed by a thread at a time, so that it reads more than a cache line of each row
TILE_ROWS, TILE_GROUPS = 8 * ROWS, 2 * MOST_GROUPS  # of the result, by a thread at a time
PAIRS = np.dtype(np.uint32)  # what is packed: two bfloat16 numbers in a word


def missing() -> str | None:
    """Why this processor cannot multiply bfloat16 numbers, or None where it can."""
    if not has("avx512bf16"):
        return "this processor has no dot product of bfloat16 numbers (AVX512_BF16)"
    if TILES and not bfloat16_tiles.permitted():
        return "the system does not let this process multiply tiles of bfloat16 numbers (AMX)"
    return None


def product(a, a_transposed: bool, b, b_transposed: bool, bias=None):
    """op(a) @ op(b) + bias, where op transposes if asked to; float32 (m, k), (k, n) and (n,) or None -> (m, n).

    a and b are rounded to bfloat16. The bias is not, nor are sums. Raises RuntimeError where `missing` says why not.
    """
    if why := missing():
        raise RuntimeError(f"bfloat16: {why}")
    a, b, bias, c, k = for_product(a, a_transposed, b, b_transposed, bias)
    m, n = c.shape
    if k == 0:
        c[...] = bias
    elif c.size:
        blocks = _parts(k, 2 * DEEP)
        deep = _parts(k, blocks * 2 * LANES) * LANES  # pairs, as many as are packed at a time or a multiple
        block = max(ROWS, LANES)
        a_packed = np.empty((_parts(min(m, WIDE), block) * (block // LANES), deep, LANES), PAIRS)
        b_packed = np.empty((_parts(min(n, WIDE), LANES), deep, LANES), PAIRS)
        for left in range(0, n, WIDE):
            for first in range(0, k, 2 * deep):
                for top in range(0, m, WIDE):
                    pairs = _parts(min(2 * deep, k - first), 2)
                    _pack(a_packed, b_packed, a, a_transposed, b, b_transposed, top, left, first)
                    _add(a_packed, b_packed, bias, c, top, left, pairs, first == 0)
    return c


def _parts(n: int, size: int) -> int:
    """How many parts of a size n takes."""
    return -(-n // size)


_OPERAND = read(types.float32, "_ _"), types.boolean  # (M, K) or (K, M), and (K, N) or (N, K)
_RESULT = read(types.float32, "N"), write(types.float32, "M N")
_PACKED = f"_ deep {LANES}"


@kernel(
    lambda pair: (write(pair, _PACKED), write(pair, _PACKED), *_OPERAND, *_OPERAND, *3 * (types.int64,)),
    dtypes=(PAIRS,),
)
def _pack(share, a_packed, b_packed, a, a_transposed, b, b_transposed, top, left, first):
    """Pack as many rows of a from `top` on, and columns of b from `left` on, as there is room for."""
    m, k = (a.shape[1], a.shape[0]) if a_transposed else a.shape
    n = b.shape[0] if b_transposed else b.shape[1]
    length = min(2 * a_packed.shape[1], k - first)
    a_groups, b_groups = min(a_packed.shape[0], _groups(m - top)), min(b_packed.shape[0], _groups(n - left))
    a_chunks, b_chunks = (a_groups + CHUNK_GROUPS - 1) // CHUNK_GROUPS, (b_groups + CHUNK_GROUPS - 1) // CHUNK_GROUPS
    if top > 0:
        b_chunks = 0  # packed already, for the rows above
    for chunk in my_part(share, a_chunks + b_chunks):
        if chunk < a_chunks:
            _pack_chunk(a_packed, a_groups, a, not a_transposed, TILES, top, first, length, chunk)
        else:
            _pack_chunk(b_packed, b_groups, b, b_transposed, False, left, first, length, chunk - a_chunks)


@kernel(
    lambda pair: (read(pair, _PACKED), read(pair, _PACKED), *_RESULT, *4 * (types.int64,)),
    dtypes=(PAIRS,),
)
def _add(share, a_packed, b_packed, bias, c, top, left, pairs, begins):
    """Add the products of what was packed to c; the sum begins with the bias."""
    m, n = c.shape
    rows, b_groups = min(a_packed.shape[0] * LANES, m - top), min(b_packed.shape[0], _groups(n - left))
    blocks, across = (rows + ROWS - 1) // ROWS, (b_groups + TILE_GROUPS - 1) // TILE_GROUPS
    fewest = (rows + TILE_ROWS - 1) // TILE_ROWS
    down = min(blocks, max(fewest, 2 * share[1] // across))  # as even as can be, and some for every thread
    begin()
    for tile in my_part(share, down * across):
        i, group = tile // across, tile % across * TILE_GROUPS
        first_row, end_row = i * blocks // down * ROWS, min((i + 1) * blocks // down * ROWS, rows)
        _add_tile(a_packed, b_packed, b_groups, c, bias, top, left, first_row, end_row, group, pairs, begins)
    end()


@helper()
def _groups(lines):
    """How many groups that many lines take."""
    return (lines + LANES - 1) // LANES


@helper(inlined=False)
def _pack_chunk(packed, groups, x, by_rows, turned, first_line, first, length, chunk):
    """Pack some lines of x (its rows, or its columns): `length` elements of each, from `first` on.

    packed[0] is for lines from `first_line` on; in it, a chunk of groups is filled. Zeros follow lines and elements
    where a group has room for more.
    """
    lines = x.shape[0] if by_rows else x.shape[1]
    step = 4 * x.shape[1]
    at_a_time = 2 * LANES
    block = np.empty((LANES, 2 * LANES), np.float32)
    for begin in range(0, length, at_a_time):
        for group in range(chunk * CHUNK_GROUPS, min((chunk + 1) * CHUNK_GROUPS, groups)):
            line, element = first_line + group * LANES, first + begin
            there = packed.ctypes.data + (group * packed.shape[1] + begin // 2) * VECTOR
            height, width = min(LANES, lines - line), min(at_a_time, length - begin)
            if height < LANES or width < at_a_time:
                block[:] = 0
                for i in range(height):
                    for j in range(width):
                        block[i, j] = x[line + i, element + j] if by_rows else x[element + j, line + i]
                if turned:
                    pack_rows_turned(block.ctypes.data, 2 * VECTOR, there)
                else:
                    pack_rows(block.ctypes.data, 2 * VECTOR, there)
            elif by_rows:
                here = x.ctypes.data + line * step + element * 4
                if turned:
                    pack_rows_turned(here, step, there)
                else:
                    pack_rows(here, step, there)
            else:
                here = x.ctypes.data + element * step + line * 4
                if turned:
                    pack_columns_turned(here, step, there)
                else:
                    pack_columns(here, step, there)


@helper(inlined=False)
def _add_tile(a_packed, b_packed, b_groups, c, bias, top, left, first_row, end_row, group, pairs, begins):
    """Add the products to a tile of c, or begin it with them and the bias.

    first_row, end_row  the tile's rows, counted from c[top]
    group               its first group of columns, counted from c[:, left]
    """
    n = c.shape[1]
    c_step, group_step = 4 * n, a_packed.shape[1] * VECTOR
    block = np.empty((ROWS, MOST_GROUPS * LANES), np.float32)
    groups = min(TILE_GROUPS, b_groups - group)
    abreast = (groups + (groups + MOST_GROUPS - 1) // MOST_GROUPS - 1) // ((groups + MOST_GROUPS - 1) // MOST_GROUPS)
    for g in range(group, group + groups, abreast):
        count = min(abreast, group + groups - g)
        j = left + g * LANES
        columns = min(count * LANES, n - j)
        b = b_packed.ctypes.data + g * group_step
        for r in range(first_row, end_row, ROWS):
            i = top + r
            rows = min(ROWS, end_row - r)
            a = a_packed.ctypes.data + r // LANES * group_step + r % LANES * 4
            here, here_step = c.ctypes.data + i * c_step + 4 * j, c_step
            start, start_step = (bias.ctypes.data + 4 * j, 0) if begins else (here, here_step)
            at_edge = rows < ROWS or columns < count * LANES
            if at_edge:  # in an array that has room for all of the block
                for y in range(rows):
                    for x in range(columns):
                        block[y, x] = bias[j + x] if begins else c[i + y, j + x]
                here, here_step = block.ctypes.data, MOST_GROUPS * VECTOR
                start, start_step = here, here_step
            add_products(count, pairs, a, b, group_step, start, start_step, here, here_step)
            if at_edge:
                for y in range(rows):
                    for x in range(columns):
                        c[i + y, j + x] = block[y, x]
