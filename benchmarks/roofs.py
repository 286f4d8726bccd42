"""The roofs under which all programs on this machine stand: its arithmetic, and its memory.

Multiply-adds, and dot products of bfloat16 where the processor has them (in tiles, where it has those), on numbers that
never leave the registers, in vectors as wide as Numba was told to use; and the triad of J. McCalpin's STREAM (1995)
over arrays that no cache holds.
"""

import time

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.product import bfloat16_tiles
from tinygrad_gpt.kernels.numba.product.registers import VECTOR_BYTES

CHAINS = 12  # sums side by side: more than fit in the time that an instruction takes, fewer than AVX2 has registers
TURNS = 1_000_000


def in_registers(bfloat16: bool):
    """A function for kernels, spin(turns, address): CHAINS multiply-adds per turn, on vectors that stay in registers.

    It is built by hand, because a compiler that sees what is computed would find a way to compute less.
    """
    lanes = VECTOR_BYTES // 4
    floats, words, count = ir.VectorType(ir.FloatType(), lanes), ir.VectorType(ir.IntType(32), lanes), ir.IntType(64)

    @intrinsic
    def spin(typingctx, turns, address):
        def codegen(context, builder, signature, args):
            turns, address = args
            place = builder.inttoptr(address, floats.as_pointer())
            x = builder.load(place, align=4)
            if bfloat16:
                name, x_as = "llvm.x86.avx512bf16.dpbf16ps.512", builder.bitcast(x, words)
                kind = ir.FunctionType(floats, (floats, words, words))
            else:
                name, x_as, kind = f"llvm.fma.v{lanes}f32", x, ir.FunctionType(floats, 3 * (floats,))
            step = builder.module.declare_intrinsic(name, (), kind)
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            turn = builder.phi(count)
            sums = [builder.phi(floats) for _ in range(CHAINS)]
            added = [builder.call(step, (s, x_as, x_as) if bfloat16 else (x_as, x_as, s)) for s in sums]
            next_turn = builder.add(turn, ir.Constant(count, 1))
            builder.cbranch(builder.icmp_signed("<", next_turn, turns), loop, after)
            for phi, new in zip([turn, *sums], [next_turn, *added], strict=True):
                phi.add_incoming(x if phi is not turn else ir.Constant(count, 0), before)
                phi.add_incoming(new, loop)
            builder.position_at_end(after)
            total = added[0]
            for more in added[1:]:
                total = builder.fadd(total, more)
            builder.store(total, place, align=4)  # so that none of it is for nothing
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    operations = 2 * (2 if bfloat16 else 1) * lanes * CHAINS
    return spin, operations


def in_tiles():
    """The same for tiles of bfloat16 numbers: four sums, as in the kernel."""
    tile, lanes = bfloat16_tiles.tile, bfloat16_tiles.LANES

    @intrinsic
    def multiply(typingctx, turns):
        def codegen(context, builder, signature, args):
            for number in range(8):
                bfloat16_tiles.run(builder, "tilezero", tile(number))
            with cgutils.for_range(builder, args[0]):
                for total in range(4):
                    bfloat16_tiles.run(builder, "tdpbf16ps", tile(total), tile(4 + total // 2), tile(6 + total % 2))
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    @numba.njit
    def spin(turns, address):
        bfloat16_tiles.begin()
        multiply(turns)
        bfloat16_tiles.end()

    return spin, 4 * 2 * lanes * lanes * 2 * lanes  # sums of 16 x 16, and 16 pairs of numbers for each


def peak_gflops(threads: int, bfloat16: bool = False) -> float:
    """Billions of operations per second on numbers in registers."""
    tiles = bfloat16 and bfloat16_tiles.FOUND and bfloat16_tiles.permitted()
    spin, operations = in_tiles() if tiles else in_registers(bfloat16)

    @numba.njit(parallel=True, nogil=True)
    def run(turns, places):
        for thread in numba.prange(places.shape[0]):
            spin(turns, places[thread].ctypes.data)

    places = np.zeros((threads, 64), np.float32)
    run(1, places)
    return threads * operations * TURNS / fastest(lambda: run(TURNS, places), 60) / 1e9


@numba.njit(parallel=True, nogil=True, fastmath=True)
def triad(a, b, c):
    for i in numba.prange(a.size):
        a[i] = b[i] + 0.5 * c[i]


def peak_gbytes(size: int = 1 << 25) -> float:
    """Billions of bytes per second read and written on all threads."""
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    triad(a[:8], b[:8], c[:8])
    return 3 * a.nbytes / fastest(lambda: triad(a, b, c), 5) / 1e9


def fastest(function, calls: int) -> float:
    """Seconds of the fastest of some calls."""
    return min(seconds(function) for _ in range(calls))


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
