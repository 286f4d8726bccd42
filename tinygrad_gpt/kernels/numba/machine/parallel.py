"""How all threads run a compiled function: the machinery behind `kernel` (compile.py).

A kernel is written as what one thread does, `function(share, *arguments)`, where `my_part(share, n)` is this thread's
part of the n pieces of work. Three pieces of machine code run it:

    body    (thread, threads, block): the function, with a door before it that takes its arguments from memory
    run     (plan, sizes, threads, block) -> status: compares the arrays' sizes, and has body run by this thread and
            helpers (pool.py), or for one thread calls it; one for all kernels
    entry   (plan, threads, arguments) -> status: what Python calls. It puts the arguments into memory, and calls run

The block of memory that they share is (failed, taken, *arguments); sharing.py says what is at the address `taken`. The
plan holds what else is to be known about a kernel:

    plan = [run's address, body's address, pool's address, how many pairs of sizes, pair, pair, ...]

where the sizes of all arrays are counted from 0, in order, and a pair (i, j) says that size i should be size j, or
-1 - j where j < 0. The status is 0 when all is done, n if the n-th pair differs (and nothing was done), and -1 if the
function failed. It fails for one reason only: no memory for an array that it works with.

The three call each other by address instead of being linked into one, so that run is compiled once.
"""

from functools import cache
from types import FunctionType

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc, _CFuncCompiler
from numba.core.compiler import Compiler
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.machine.disk_cache import DiskCache
from tinygrad_gpt.kernels.numba.machine.pool import POOL, call_body, compiled, lead, load
from tinygrad_gpt.kernels.numba.machine.sharing import CACHE_LINE, SHARE

_WORD = ir.IntType(64)
_BODY = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
_RUN = ir.FunctionType(_WORD, [_WORD.as_pointer()] * 2 + [_WORD] * 2)
_WORDS = types.CPointer(types.int64)
BODY, POOL_ADDRESS, PAIRS = 1, 2, 3  # in the plan
FAILED = -1


class Team:
    """The compiled form of one kernel for one tuple of argument types: `entry(plan, threads, arguments)` runs it.

    function   what one thread does, function(share, *arguments)
    arguments  their Numba types
    pairs      which sizes should be equal (see the top of this file)
    options    Numba's, for compiling it
    stamp      what is on disk is valid while this text stays the same
    """

    def __init__(self, function, arguments: tuple, pairs: list, options: dict, stamp: str):
        self._body = _Body(function, arguments, options, stamp)
        self.entry = _entry_for(function, stamp)
        self._signature = types.int64, types.int64, types.Tuple(arguments)
        self._pairs, self._stamp = pairs, stamp
        self.plan, self._words = 0, None

    def compile(self) -> None:
        """Load from disk, or else compile and write to disk."""
        self._body.compile()
        self.entry.compile(self._signature)
        self.entry.disable_compile()  # from here on arguments are converted to the stated types, or refused
        POOL.compile(self._stamp)
        addresses = [_compiled_run(self._stamp).address, self._body.address, POOL.address]
        self._words = np.array([*addresses, len(self._pairs), *np.ravel(self._pairs)], np.int64)
        self.plan = self._words.ctypes.data

    @property
    def folder(self) -> str:
        """That of Numba's cache where all kernels' entries are kept; "" where there is none."""
        return self.entry._cache.cache_path

    def is_on_disk(self) -> bool:
        """Whether loading is enough. True too where there is no folder on disk for it."""
        return self.entry._cache.has(self._signature) and self._body._cache.has(self._body._sig)


# --- body --------------------------------------------------------------------------------------------------------


class _BodyCompiler(_CFuncCompiler):
    def _customize_flags(self, flags):
        flags = super()._customize_flags(flags)
        flags.no_cfunc_wrapper = True  # _Body makes its own
        return flags


class _Body(CFunc):
    """A kernel's function, to be called by address as body(thread, threads, block).

    Numba's CFunc makes a C function of the same arguments, named `llvm_cfunc_wrapper_name`. This one has three integers
    instead; the last is the address of the arguments.
    """

    def __init__(self, function, arguments: tuple, options: dict, stamp: str):
        super().__init__(function, ((SHARE, *arguments), types.void), {}, options)
        self._compiler = _BodyCompiler(function, self._targetdescr, options, {}, pipeline_class=Compiler)
        self._cache = DiskCache(function, stamp)

    def _compile_uncached(self):
        compiled = super()._compile_uncached()
        _add_door(compiled)
        return compiled


def _add_door(compiled) -> None:
    """Add the C function that takes the arguments from the block and calls the compiled function."""
    context, description = compiled.target_context, compiled.fndesc
    module = context.create_module("door")
    function = context.declare_function(module, description)
    door = ir.Function(module, _BODY, description.llvm_cfunc_wrapper_name)
    builder = ir.IRBuilder(door.append_basic_block("entry"))
    thread, threads, address = door.args
    share, *arguments = description.argtypes
    block = builder.inttoptr(address, _block_type(context, arguments).as_pointer())
    taken, *fields = [builder.load(cgutils.gep_inbounds(builder, block, 0, 1 + i)) for i in range(1 + len(arguments))]
    values = [context.make_tuple(builder, share, [thread, threads, taken]), *fields]
    status, _ = context.call_conv.call_function(
        builder, function, description.restype, description.argtypes, values, attrs=("noinline",)
    )
    with builder.if_then(status.is_error, likely=False):
        builder.store(_WORD(1), cgutils.gep_inbounds(builder, block, 0, 0))
    builder.ret_void()
    compiled.library.add_ir_module(module)


def _block_type(context, arguments):
    return ir.LiteralStructType([_WORD, _WORD, *[context.get_value_type(kind) for kind in arguments]])


# --- run ---------------------------------------------------------------------------------------------------------


def _run(plan, sizes, threads, block):
    for pair in range(plan[PAIRS]):
        i, j = plan[PAIRS + 1 + 2 * pair], plan[PAIRS + 2 + 2 * pair]
        if sizes[i] != (-1 - j if j < 0 else sizes[j]):
            return pair + 1
    if threads == 1:
        call_body(plan[BODY], 0, 1, block)
    else:
        lead(plan[POOL_ADDRESS], plan[BODY], threads, block)
    return FAILED if load(block) else 0


@cache
def _compiled_run(stamp: str) -> CFunc:
    return compiled(_run, types.int64(_WORDS, _WORDS, types.int64, types.int64), stamp)


# --- entry -------------------------------------------------------------------------------------------------------


def _entry_for(function, stamp: str):
    """A copy of `entry` under a name of its own, by which Numba's cache tells it from those of other kernels."""
    name = f"{function.__module__}.{function.__qualname__}.entry"
    copy = FunctionType(entry.__code__, globals(), name)
    copy.__qualname__, copy.__module__ = name, __name__
    compiled = numba.njit(nogil=True, no_cfunc_wrapper=True)(copy)
    compiled._cache = DiskCache(copy, stamp)
    return compiled


def entry(plan, threads, arguments):
    return _launch(plan, threads, arguments)


@intrinsic
def _launch(typingctx, plan, threads, arguments):
    def codegen(context, builder, signature, args):
        plan, threads, packed = args
        block = cgutils.alloca_once(builder, _block_type(context, arguments))
        sizes = []
        for i, (kind, value) in enumerate(zip(arguments, cgutils.unpack_tuple(builder, packed), strict=True)):
            if isinstance(kind, types.Array):  # the caller owns it: no references are counted while threads run
                array = context.make_array(kind)(context, builder, value)
                sizes += cgutils.unpack_tuple(builder, array.shape)
                array.meminfo = array.meminfo.type(None)
                array.parent = array.parent.type(None)
                value = array._getvalue()
            builder.store(value, cgutils.gep_inbounds(builder, block, 0, 2 + i))
        taken = builder.alloca(_WORD, size=builder.mul(threads, _WORD(CACHE_LINE // 8)))
        cgutils.memset(builder, taken, builder.mul(threads, _WORD(CACHE_LINE)), 0)
        for i, value in enumerate((_WORD(0), builder.ptrtoint(taken, _WORD))):
            builder.store(value, cgutils.gep_inbounds(builder, block, 0, i))
        table = cgutils.alloca_once_value(builder, cgutils.pack_array(builder, sizes, _WORD))
        plan = builder.inttoptr(plan, _WORD.as_pointer())
        run = builder.inttoptr(builder.load(plan), _RUN.as_pointer())
        sizes = builder.bitcast(table, _WORD.as_pointer())
        return builder.call(run, [plan, sizes, threads, builder.ptrtoint(block, _WORD)])

    return types.int64(types.int64, types.int64, arguments), codegen
