"""The innermost steps of a product of bfloat16 numbers on a processor that multiplies tiles: Intel's AMX.

It has eight registers of 16 rows of 64 bytes. One instruction takes 16 pairs of each of 16 rows of a, 16 pairs of each
of 16 columns of b, and adds all 256 dot products to a tile of 16 x 16 float32 sums. (Intel 64 and IA-32 Architectures
Software Developer's Manual, volume 2, TDPBF16PS.) A block of the result is 2 x 2 tiles: so each tile of a and b, once
loaded, serves twice.

A tile register is named by its number, and is not among those that the compiler hands out. Each thread says first how
large they are (`begin`), and clears them at last (`end`), so that the system need not save them. On Linux a process has
to ask for them before that: they are kilobytes to save whenever it is interrupted.
"""

import ctypes
import functools
import sys

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product.bfloat16_registers import LANES, VECTOR
from tinygrad_gpt.kernels.numba.product.registers import has, register_loop

ROWS = 2 * LANES  # of the result, in tiles
MOST_GROUPS = 2  # of LANES columns of the result, in tiles
TILE = LANES * VECTOR  # bytes

_INT8, _INT64 = ir.IntType(8), ir.IntType(64)
_BYTES = _INT8.as_pointer()

FOUND = has("amx-bf16") and has("avx512bf16") and sys.platform == "linux"  # elsewhere nobody has tried


@functools.cache
def permitted() -> bool:
    """Whether the system lets this process, which asks here, use tiles."""
    arch_prctl, request_permission, tiles = 158, 0x1023, 18  # arch_prctl(2), ARCH_REQ_XCOMP_PERM
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tiles) == 0


def run(builder, name: str, *args) -> None:
    """Add the instruction of that name; `args` are values of LLVM's: tiles, addresses, steps in bytes."""
    kind = ir.FunctionType(ir.VoidType(), [arg.type for arg in args])
    name = f"llvm.x86.{name}"
    builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), args)


def tile(number: int):
    """The name of a tile register, 0 ... 7, in an instruction."""
    return ir.Constant(_INT8, number)


@intrinsic
def _set_sizes(typingctx):
    """All eight tiles are 16 rows of 64 bytes."""

    def codegen(context, builder, signature, args):
        sizes = bytes([1, *15 * [0], *8 * [VECTOR, 0], *16 * [0], *8 * [LANES], *8 * [0]])
        kind = ir.ArrayType(_INT8, 64)
        constant = cgutils.global_constant(builder, "tiles", ir.Constant(kind, bytearray(sizes)))
        run(builder, "ldtilecfg", builder.bitcast(constant, _BYTES))
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _clear(typingctx):
    def codegen(context, builder, signature, args):
        run(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


@helper()
def begin():
    """What a thread does before the first step."""
    _set_sizes()


@helper()
def end():
    """What a thread does after the last step."""
    _clear()


def _add_products(groups: int):
    """The step for 32 rows by 16 `groups` columns of the result: c = start + Σ_p a[p] b[p].

    pairs              how many there are in a sum; from the last one to a multiple of 16, zeros are packed
    a, b               addresses of the first packed group of rows, and of columns
    step               bytes from one group to the next
    start, start_step  address of what sums begin with, of c itself or of a bias; bytes from one row to the next
    c, c_step          the same of the result
    """

    @intrinsic
    def add_products(typingctx, pairs, a, b, step, start, start_step, c, c_step):
        def codegen(context, builder, signature, args):
            pairs, a, b, step, start, start_step, c, c_step = args
            sums = [(tile(2 * row + group), row, group) for row in range(2) for group in range(groups)]
            rows, columns = [tile(4), tile(5)], [tile(6), tile(7)][:groups]

            def number(n):
                return ir.Constant(_INT64, n)

            def for_each_sum(instruction, address, row_step):
                for sum_, row, group in sums:
                    there = builder.add(address, builder.mul(row_step, number(row * LANES)))
                    there = builder.add(there, number(group * VECTOR))
                    run(builder, instruction, sum_, builder.inttoptr(there, _BYTES), row_step)

            def load(into, first, which, here):
                there = builder.add(builder.add(first, here), builder.mul(step, number(which)))
                run(builder, "tileloadd64", into, builder.inttoptr(there, _BYTES), number(VECTOR))

            def add(here, nothing):  # 16 pairs are a tile of each group, here = so many bytes from the first
                for group, column in enumerate(columns):
                    load(column, b, group, here)
                for row, line in enumerate(rows):
                    load(line, a, row, here)
                    for group, column in enumerate(columns):
                        run(builder, "tdpbf16ps", tile(2 * row + group), line, column)
                return []

            for_each_sum("tileloadd64", start, start_step)
            register_loop(builder, builder.mul(pairs, number(VECTOR)), TILE, [], add)
            for_each_sum("tilestored64", c, c_step)
            return context.get_dummy_value()

        return types.void(*8 * (types.int64,)), codegen

    return add_products


_add_1, _add_2 = _add_products(1), _add_products(2)


@helper()
def add_products(groups, pairs, a, b, step, start, start_step, c, c_step):
    """The step for 1 or 2 groups of columns."""
    if groups == 2:
        _add_2(pairs, a, b, step, start, start_step, c, c_step)
    else:
        _add_1(pairs, a, b, step, start, start_step, c, c_step)
