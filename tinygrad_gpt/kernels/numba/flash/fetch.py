"""Rows of a result called into the cache while there is still arithmetic to do, so that writing them waits for nothing.

A core writes into its own cache only. A line that is not there is fetched first, from the last-level cache or from
memory, even if all of it is then written over. A core fetches several lines at once, but has no guess which ones a
head's rows are: they lie a row of all heads apart. So each asks for its own, a product or two before it writes.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product.registers import at
from tinygrad_gpt.kernels.numba.product.tile import CACHE_LINE


@helper(inlined=False)
def fetch_to_write(x, start, count):
    """Ask for the cache lines of rows start ... start + count of x (T, D), as far as there are such rows."""
    for i in range(start, min(start + count, x.shape[0])):
        for j in range(0, x.shape[1], CACHE_LINE // x.itemsize):
            _fetch_line(at(x, i, j))


@intrinsic
def _fetch_line(typingctx, place):
    """Ask for the cache line of a place (registers.at), and go on without it."""

    def codegen(context, builder, signature, args):
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", (byte,), function)
        to_write, second_level, data = number(1), number(2), number(1)
        address = builder.bitcast(builder.extract_value(args[0], 0), byte)
        builder.call(prefetch, [address, to_write, second_level, data])
        return context.get_dummy_value()

    return types.void(place), codegen
