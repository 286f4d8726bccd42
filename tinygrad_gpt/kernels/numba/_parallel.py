"""How all threads run a compiled function: the machinery behind `kernel` (_compile.py).

A kernel is written as what one thread does, `function(share, *arguments)`, where `of(share, n)` is this thread's part
of the n pieces of work. Three functions are compiled for it:

    body    (thread, threads, address of the arguments): takes the arguments from memory and runs `function`
    team    (body, threads, address of the arguments): calls body for each thread, side by side; one for all kernels
    entry   (threads, *arguments): what Python calls; puts the arguments into memory and calls `team`, or for one
            thread `body` itself

They find each other by address, not by being linked into one. With a prange in every kernel, Numba would optimise the
same code about four times on the way from loop to threads, once for each level of its own machinery.
"""

from types import FunctionType

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

_WORD = ir.IntType(64)
_BODY = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
_TEAM = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
_TEAM_SYMBOL = "tinygrad_gpt.team"
# Of Numba's parallel=True only prange is wanted: looking for other things to make parallel costs compile time.
_OTHERS = ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")
_PRANGE_ONLY = dict.fromkeys(_OTHERS, False) | {"prange": True}


@numba.njit(nogil=True, forceinline=True)
def of(share, n):
    """This thread's part of range(n), inside a kernel: as good as equal and adjacent parts, in the threads' order."""
    thread, threads = share
    return range(n * thread // threads, n * (thread + 1) // threads)


# --- the arguments in memory -------------------------------------------------------------------------------------


def _launch(name: str):
    """The intrinsic launch(threads, arguments): the team runs the body of the kernel `name`; one thread does alone."""

    @intrinsic
    def launch(typingctx, threads, arguments):
        def codegen(context, builder, signature, args):
            fields = []
            for kind, value in zip(arguments, cgutils.unpack_tuple(builder, args[1]), strict=True):
                if isinstance(kind, types.Array):  # the caller owns it: no references are counted while threads run
                    array = context.make_array(kind)(context, builder, value)
                    array.meminfo = array.meminfo.type(None)
                    array.parent = array.parent.type(None)
                    value = array._getvalue()
                fields.append(value)
            memory = cgutils.alloca_once_value(builder, context.make_tuple(builder, arguments, fields))
            body = cgutils.get_or_insert_function(builder.module, _BODY, _symbol_of(name, arguments))
            team = cgutils.get_or_insert_function(builder.module, _TEAM, _TEAM_SYMBOL)
            threads, address = args[0], builder.ptrtoint(memory, _WORD)
            with builder.if_else(builder.icmp_signed("==", threads, _WORD(1))) as (alone, together):
                with alone:
                    builder.call(body, [_WORD(0), _WORD(1), address])
                with together:
                    builder.call(team, [builder.ptrtoint(body, _WORD), threads, address])
            return context.get_dummy_value()

        return types.void(types.int64, arguments), codegen

    return launch


def _take(arguments: types.Tuple):
    """The intrinsic take(address): the tuple of arguments that lies there."""

    @intrinsic
    def take(typingctx, address):
        def codegen(context, builder, signature, args):
            place = builder.inttoptr(args[0], context.get_value_type(arguments).as_pointer())
            return impl_ret_borrowed(context, builder, arguments, builder.load(place))

        return arguments(types.int64), codegen

    return take


@intrinsic
def _call_body(typingctx, body, thread, threads, arguments):
    def codegen(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], _BODY.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


# --- the three functions -----------------------------------------------------------------------------------------


class Team:
    """The compiled form of one kernel: `entry(threads, *arguments)` runs it on so many threads.

    function  what one thread does, function(share, *arguments)
    options   Numba's, for compiling it
    stamp     returns a text; what is on disk is valid while that stays the same
    """

    def __init__(self, function, options: dict, stamp):
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._function, self._options, self._stamp = numba.njit(inline="always", **options)(function), options, stamp
        launch = _named(_entry(function.__code__.co_argcount - 1), f"{self.name}.entry", LAUNCH=_launch(self.name))
        self.entry = numba.njit(nogil=True)(launch)
        _cache_on_disk(self.entry, stamp)

    def compile(self, arguments: tuple) -> None:
        """Load from disk, or else compile and write to disk, for these types of arguments."""
        _symbol(_team, _TEAM_SYMBOL, {"parallel": _PRANGE_ONLY, "nogil": True}, self._stamp)
        symbol = _symbol_of(self.name, arguments)  # part of the name, by which the cache tells the dtypes apart
        take = _take(types.Tuple(arguments))
        body = _named(_body(len(arguments)), f"{symbol}.body", FUNCTION=self._function, TAKE=take)
        _symbol(body, symbol, self._options, self._stamp)
        self.entry.disable_compile(False)
        self.entry.compile((types.int64, *arguments))
        self.entry.disable_compile()  # from here on arguments are converted to the stated types, or refused

    @property
    def compiled_here(self) -> int:
        """How many times this process had to compile it, since it was not on disk."""
        return sum(self.entry.stats.cache_misses.values())

    def is_on_disk(self, arguments: tuple) -> bool:
        """Whether Numba's cache has it. True where that cannot be told (no cache, or another Numba's inside)."""
        try:
            cache = self.entry._cache
            key = cache._index_key((types.int64, *arguments), self.entry.targetctx.codegen())
            return key in cache._cache_file._load_index()
        except AttributeError:
            return True


_BODY_SOURCE = """
def body(thread, threads, address):
    arguments = TAKE(address)
    FUNCTION((thread, threads), {each})
"""


def _body(count: int):
    """A function of thread, threads, and the address of `count` arguments: it runs one thread's share."""
    names, each = {}, ", ".join(f"arguments[{i}]" for i in range(count))
    exec(compile(_BODY_SOURCE.format(each=each), __file__, "exec"), names)
    return names["body"]


def _team(body, threads, arguments):
    for thread in numba.prange(threads):
        _call_body(body, thread, threads, arguments)


def _entry(count: int):
    """A function of the number of threads and `count` arguments. (Numba would make a tuple of *arguments, slowly.)"""
    names = ", ".join(f"argument_{i}" for i in range(count))
    return eval(compile(f"lambda threads, {names}: LAUNCH(threads, ({names},))", __file__, "eval"))


def _named(template, name: str, **filled_in):
    """A copy of a template with its names filled in, and a name of its own, by which Numba's cache knows it."""
    copy = FunctionType(template.__code__, globals() | filled_in, name)
    copy.__qualname__, copy.__module__ = name, __name__
    return copy


def _symbol_of(name: str, arguments: tuple) -> str:
    return f"{name}.{arguments[0].dtype}"


_symbols: dict[str, CFunc] = {}  # kept, since the linker only knows their addresses


def _symbol(function, symbol: str, options: dict, stamp) -> None:
    """Compile a function of three integers, body or team, and make it known to the linker as `symbol`."""
    if symbol not in _symbols:
        compiled = CFunc(function, (3 * (types.int64,), types.void), {}, options)
        _cache_on_disk(compiled, stamp)
        compiled.compile()
        llvmlite.binding.add_symbol(symbol, compiled.address)
        _symbols[symbol] = compiled


def _cache_on_disk(compiled, stamp) -> None:
    """Keep machine code on disk, where there is a folder for it."""
    try:
        compiled.enable_caching()
    except RuntimeError:
        return
    cache_file = getattr(compiled._cache, "_cache_file", None)
    if hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = stamp()
