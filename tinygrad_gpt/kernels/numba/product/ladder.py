"""The matrix product seven times over, each faster than the one before, by one idea each.

    c = a @ b        (m, k) @ (k, n) -> (m, n)        c_ij = Σ_p a_ip b_pj        2 m k n operations

A product of n x n matrices does 2n³ operations on 3n² numbers. A core can do dozens of operations in the time that a
number takes to arrive from its memory, so nearly all of the ladder is about using a number again while it is near: in
a register (one step away), in the first-level cache (a few), the second, the third, memory (hundreds).

    naive         the formula as it stands
    reordered     the innermost loop runs along rows
    tiled         a tile of b stays in the second-level cache
    registers     16 elements of a stay in registers; tiles are packed
    BLAS tiles    NumPy's BLAS, on every core: one tile for each thread
    packed        a block of c stays in registers; b is packed for it (packed.py)
    bfloat16      the same with half the bits: two products in one instruction (train --dtype bfloat16)

How fast each of them is, `python benchmarks/matmul.py` measures on your machine; benchmarks/results/matmul.md has the
table of ours.

Every rung is also a pair of the op `linear`, so that it is checked like any other version, and may run your GPT:

    tg.register("linear", **LADDER["tiled"].pair())
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import EXACT_ORDER, REORDERED
from tinygrad_gpt.kernels.numba.machine.layout import not_ours, rows
from tinygrad_gpt.kernels.numba.product import bfloat16, blas, blas_tiles, packed

# Not @kernel: only who calls these waits until they are compiled.
_compiled = partial(numba.njit, error_model="numpy", nogil=True)


# --- 1 -----------------------------------------------------------------------------------------------------------


@_compiled(fastmath=EXACT_ORDER)
def _naive(a, b, c):
    """The formula. Each b[p, j] lies a row after the one before: a cache line of 16 numbers is fetched to use one. And
    each addition waits for the one before it, four cycles."""
    m, n = c.shape
    k = a.shape[1]
    for i in range(m):
        for j in range(n):
            total = c.dtype.type(0)
            for p in range(k):
                total += a[i, p] * b[p, j]
            c[i, j] = total


# --- 2 -----------------------------------------------------------------------------------------------------------


@_compiled(fastmath=REORDERED)
def _reordered(a, b, c):
    """The same additions in another order: p before j. The innermost loop runs along a row of b and of c, so that the
    compiler makes vectors of it, 16 independent sums in one instruction. But each takes two loads and a store."""
    m, n = c.shape
    k = a.shape[1]
    for i in range(m):
        c_row = c[i]
        c_row[:] = 0
        for p in range(k):
            factor, b_row = a[i, p], b[p]
            for j in range(n):
                c_row[j] += factor * b_row[j]


# --- 3 -----------------------------------------------------------------------------------------------------------

TILE_I, TILE_P, TILE_J = 64, 64, 768  # a tile of b: 192 KB of float32


@_compiled(fastmath=REORDERED)
def _tiled(a, b, c):
    """All rows of c meet one tile of b, which stays in the second-level cache, before the next tile is fetched. Within
    it, four steps of the sum at a time: a vector of c is loaded and stored once for four multiply-adds."""
    m, n = c.shape
    k = a.shape[1]
    c[:] = 0
    for left in range(0, n, TILE_J):
        for first in range(0, k, TILE_P):
            for i in range(m):
                c_row = c[i, left : left + TILE_J]
                last = min(first + TILE_P, k)
                fours = first + (last - first) // 4 * 4
                for p in range(first, fours, 4):
                    a0, a1, a2, a3 = a[i, p], a[i, p + 1], a[i, p + 2], a[i, p + 3]
                    b0, b1 = b[p, left : left + TILE_J], b[p + 1, left : left + TILE_J]
                    b2, b3 = b[p + 2, left : left + TILE_J], b[p + 3, left : left + TILE_J]
                    for j in range(c_row.size):
                        c_row[j] += a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
                for p in range(fours, last):  # the last three or fewer
                    factor, b_row = a[i, p], b[p, left : left + TILE_J]
                    for j in range(c_row.size):
                        c_row[j] += factor * b_row[j]


# --- 4 -----------------------------------------------------------------------------------------------------------


@_compiled(fastmath=REORDERED)
def _registers(a, b, c):
    """Four rows of c as well as four steps of the sum at a time. The 16 elements of a that this takes stay
    in registers; a vector of b, once loaded, serves four multiply-adds, and so does one of c.

    Tiles are packed: copied to where their rows follow one another, and filled up with zeros to a whole tile. So there
    are no edges to look after, and rows of a large matrix, which are a page apart, don't compete for the same places
    in the cache.
    """
    m, n = c.shape
    k = a.shape[1]
    a_tile, b_tile = np.empty((TILE_I, TILE_P), a.dtype), np.empty((TILE_P, TILE_J), a.dtype)
    c_tile = np.empty((TILE_I, TILE_J), a.dtype)
    for top in range(0, m, TILE_I):
        for left in range(0, n, TILE_J):
            c_tile[:] = 0
            for first in range(0, k, TILE_P):
                _copy_tile(a, top, first, a_tile)
                _copy_tile(b, first, left, b_tile)
                _add_product(c_tile, a_tile, b_tile)
            for i in range(min(TILE_I, m - top)):
                for j in range(min(TILE_J, n - left)):
                    c[top + i, left + j] = c_tile[i, j]


@_compiled(fastmath=REORDERED)
def _add_product(c, a, b):
    """c += a @ b for tiles whose sizes are multiples of four."""
    for i in range(0, c.shape[0], 4):
        c0, c1, c2, c3 = c[i], c[i + 1], c[i + 2], c[i + 3]
        for p in range(0, a.shape[1], 4):
            b0, b1, b2, b3 = b[p], b[p + 1], b[p + 2], b[p + 3]
            a00, a01, a02, a03 = a[i, p], a[i, p + 1], a[i, p + 2], a[i, p + 3]
            a10, a11, a12, a13 = a[i + 1, p], a[i + 1, p + 1], a[i + 1, p + 2], a[i + 1, p + 3]
            a20, a21, a22, a23 = a[i + 2, p], a[i + 2, p + 1], a[i + 2, p + 2], a[i + 2, p + 3]
            a30, a31, a32, a33 = a[i + 3, p], a[i + 3, p + 1], a[i + 3, p + 2], a[i + 3, p + 3]
            for j in range(c.shape[1]):
                x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
                c0[j] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                c1[j] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                c2[j] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                c3[j] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3


@_compiled()
def _copy_tile(x, top, left, tile):
    """The part of x that begins there, as large as the tile; zeros where x ends before."""
    tile[:] = 0
    for i in range(min(tile.shape[0], x.shape[0] - top)):
        for j in range(min(tile.shape[1], x.shape[1] - left)):
            tile[i, j] = x[top + i, left + j]


# --- the ladder --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rung:
    """One way to multiply.

    multiply  contiguous (m, k), (k, n) of one float dtype -> (m, n)
    missing   dtype -> why it cannot run on this machine, or None
    parallel  whether it uses all threads, or one
    """

    name: str
    multiply: Callable
    missing: Callable = lambda dtype: None
    parallel: bool = False

    def pair(self) -> dict[str, Callable]:
        """forward, backward, why_not and name of the op `linear`, whose products are made this way."""
        return {"forward": self._forward, "backward": self._backward, "why_not": self._why_not, "name": self.name}

    def _why_not(self, x, weight, bias=None):
        return not_ours(x, weight, bias) or self.missing(x.dtype)

    def _forward(self, x, weight, bias=None):
        y = self._product(rows(x, x.shape[-1]), weight.T)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
        if bias is not None:
            y += bias
        return y.reshape((*x.shape[:-1], len(weight))), (x, weight, bias is not None)

    def _backward(self, dy, saved):
        x, weight, has_bias = saved
        dy_rows = rows(dy, len(weight))
        # y = x @ weight.T + bias
        dx = self._product(dy_rows, weight)  # (R, C_out) @ (C_out, C_in) -> (R, C_in)
        dweight = self._product(dy_rows.T, rows(x, x.shape[-1]))  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
        return dx.reshape(x.shape), dweight, dy_rows.sum(axis=0) if has_bias else None

    def _product(self, a, b):
        return self.multiply(np.ascontiguousarray(a), np.ascontiguousarray(b))


def _into_new(fill: Callable) -> Callable:
    def multiply(a, b):
        c = np.empty((a.shape[0], b.shape[1]), a.dtype)
        fill(a, b, c)
        return c

    return multiply


def _needs_blas(dtype) -> str | None:
    return None if blas.AVAILABLE else "this NumPy has no OpenBLAS that kernels can call"


def _needs_bfloat16(dtype) -> str | None:
    return bfloat16.missing() if dtype == np.float32 else f"rounds float32, not {dtype}"


LADDER = {
    rung.name: rung
    for rung in (
        Rung("naive", _into_new(_naive)),
        Rung("reordered", _into_new(_reordered)),
        Rung("tiled", _into_new(_tiled)),
        Rung("registers", _into_new(_registers)),
        Rung("BLAS tiles", lambda a, b: blas_tiles.product(a, False, b, False), _needs_blas, parallel=True),
        Rung("packed", lambda a, b: packed.product(a, False, b, False), parallel=True),
        Rung("bfloat16", lambda a, b: bfloat16.product(a, False, b, False), _needs_bfloat16, parallel=True),
    )
}
