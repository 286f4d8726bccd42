"""How a kernel is compiled: one decorator, so that the choices below are made once.

    @kernel(lambda f: (read(f, "R C"), write(f, "R C"), f))
    def scale_rows(share, x, y, factor):
        for i in my_part(share, len(x)):      # this thread's part of the rows
            ...

    scale_rows(x, y, 0.5)                # all threads run it, each with its own share

Each kernel states its argument types, for a float type `f` that is float32 in training and float64 in gradient checks.
One source serves both, and is compiled for the dtype of the first array when a call first brings it. Without stated
types Numba would compile a kernel again for each combination of layouts that it meets (a read-only array, an array that
happens to be contiguous), and a newcomer would wait for every one.

Sizes that have one letter must be equal: compiled code follows an index wherever it points, into others' memory too.
Each call first compares them (in machine code, where it costs next to nothing), and raises ValueError if they differ.

Floating-point rules. `error_model="numpy"`: division by zero gives inf, since Python's check for it keeps loops from
being vectorised. Sums may be reordered and products contracted to fused multiply-adds, which vectorising needs. But nan
and inf are NOT assumed away: a loss that is not finite must stay visible.

Kernels give the same bits whatever the number of threads and their timing: every piece of work writes its own part of
the result, and partial sums stay apart and are added in a fixed order.
"""

import functools
import hashlib
import inspect
import pathlib
import threading
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numba
import numpy as np
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.kernels.numba.machine import parallel, precompile, threads
from tinygrad_gpt.kernels.numba.machine.disk_cache import first_line
from tinygrad_gpt.kernels.numba.machine.sharing import my_part, use_whole_vectors

__all__ = ["EXACT_ORDER", "KERNELS", "REORDERED", "Kernel", "helper", "kernel", "my_part", "pasted", "read", "write"]

REORDERED = {"reassoc", "contract", "arcp", "nsz", "afn"}
EXACT_ORDER = {"contract", "nsz"}  # for code that relies on the order in which it rounds
OPTIONS = {"fastmath": REORDERED, "error_model": "numpy", "nogil": True}

KERNELS: list["Kernel"] = []  # all that have been loaded

# One thread compiles at a time, and the others wait: many may use a kernel for the first time at once.
_compiling = threading.RLock()
threads.hold_while_forking(_compiling)


class Sized(NamedTuple):
    """An array argument: its Numba type, and what its sizes are called."""

    type: types.Array
    sizes: tuple[str, ...]


def read(dtype, sizes: str, layout: str = "C", readonly: bool = True) -> Sized:
    """An array that a kernel only reads: C-contiguous, or of any strides with layout "A".

    sizes  a letter, word or number for each axis. Axes with the same letter are equally long; "_" stands for any length
    """
    names = tuple(sizes.split())
    return Sized(types.Array(dtype, len(names), layout, readonly=readonly), names)


write = functools.partial(read, readonly=False)  # an array that a kernel writes to


def helper(*, fastmath: set | bool = REORDERED, inlined: bool = True) -> Callable[[Callable], Callable]:
    """Decorator for a function that kernels call. A small one is inlined, so that the loop around it is vectorised.

    It cannot be called from Python: it compiles faster without what that would need.
    """
    options = OPTIONS | {"fastmath": fastmath, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled = numba.njit(forceinline=inlined, pipeline_class=_HelperCompiler, **options)
    return lambda function: _one_for_all_constants(compiled(function))


def _one_for_all_constants(compiled):
    """A helper, compiled once for int64. Numba would compile it again for each constant that it is called with."""
    for_types = compiled.get_call_template
    compiled.get_call_template = lambda args, names: for_types([types.unliteral(a) for a in args], names)
    return compiled


class _HelperCompiler(Compiler):
    """Numba's, but for machine code: a helper is only ever a part of kernels, which have theirs."""

    def define_pipelines(self):
        self.state.library = _HelperLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


class _HelperLibrary(JITCodeLibrary):
    """Where Numba keeps a helper's code, to be linked into that of kernels. Python finds nothing in it to call."""

    codegen = SimpleNamespace(set_env=lambda name, environment: None)  # errors in Python need it, and there are none

    def add_ir_module(self, module):
        for function in module.functions:
            use_whole_vectors(function)
        super().add_ir_module(module)

    def _finalize_final_module(self):
        self._finalized = True

    def get_pointer_to_function(self, name):
        return 0


def pasted(function: Callable) -> Callable:
    """Decorator for a part of a kernel that is a function for readability only: its source is pasted into the caller.
    (A helper is compiled on its own, with all it calls, and then again as a part of each caller.)"""
    return numba.njit(inline="always", **OPTIONS)(function)


class CannotCompile(RuntimeError):  # noqa: N818 - it says what Numba cannot do
    """Numba could not compile a kernel. A process tries once."""


class Kernel:
    """A function that all threads run, compiled (see the top of this file). Its first argument after `share` is an
    array, and decides for which float type it is compiled.

    arguments    function from Numba's float32 or float64 to the tuple of arguments: Numba types, or Sized
    dtypes       of the first array. All kernels for one dtype are compiled when the first of them is used. Kernels that
                 few runs need together have a dtype of their own, so that others don't wait for them
    alone_below  elements of the first array: with fewer, other threads would come too late to help
    on_demand    whether it is compiled alone, when it is used itself: not needed to train a GPT or BERT
    """

    def __init__(self, function: Callable, arguments: Callable, dtypes=FLOATS, alone_below=0, on_demand=False):
        threads.start()
        functools.update_wrapper(self, function)
        self.arguments, self.dtypes, self.alone_below, self.on_demand = arguments, dtypes, alone_below, on_demand
        self.names = list(inspect.signature(function).parameters)[1:]
        self.teams: dict[np.dtype, parallel.Team] = {}  # those that are ready
        KERNELS.append(self)

    def __str__(self) -> str:
        return f"{self.__module__.rpartition('.')[2]}.{self.__name__}"

    def __call__(self, *args):
        """Raises ValueError for sizes that don't fit, TypeError for types that the kernel does not state."""
        # Numba takes the byte order of the first array in a tuple for that of all the others.
        for a in args:
            if type(a) is np.ndarray and not a.dtype.isnative:
                raise TypeError(f"{self}: expected arrays in the processor's byte order")
        first = args[0]
        team = self.teams.get(first.dtype) or self.compile(first.dtype)
        taken = 1 if first.size < self.alone_below else threads.take()
        try:
            status = team.entry(team.plan, taken, args)
        finally:
            threads.give_back(taken)
        if status:
            raise self._error(status, args)

    def compile(self, dtype) -> parallel.Team:
        """Load from disk the code for this dtype, float32 or float64, once it, and all kernels that are not on_demand
        unless this one is, are compiled if need be.

        Raises CannotCompile, and TypeError for a dtype that the kernel does not have.
        """
        if dtype not in self.dtypes:
            raise TypeError(f"{self}: expected {' or '.join(map(str, self.dtypes))}, got {dtype}")
        with _compiling:
            if dtype not in self.teams and dtype not in _cannot:
                team = self._team(dtype)
                if not team.is_on_disk():
                    compiling.tell()
                    if not self.on_demand:
                        with precompile.one_process_at_a_time(team.folder):
                            if not team.is_on_disk():  # nor made while this process waited
                                precompile.make_all(dtype)
                self.compile_here(dtype)
            if dtype in _cannot:
                raise CannotCompile(_cannot[dtype])
            return self.teams[dtype]

    def compile_here(self, dtype) -> None:
        """Load from disk, or else compile in this process (and write to disk)."""
        team = self._team(dtype)
        try:
            team.compile()
        except MemoryError:
            raise
        except Exception as error:  # whatever Numba or LLVM raise
            why = f"{type(error).__name__}: {first_line(error)}"
            _cannot[dtype] = f"Numba cannot compile {self} for {dtype}: {why}"
            raise CannotCompile(_cannot[dtype]) from error
        self.teams[dtype] = team

    def _team(self, dtype) -> parallel.Team:
        stated = self.arguments(numba.from_dtype(dtype))
        kinds = tuple([a.type if isinstance(a, Sized) else a for a in stated])
        pairs = [(i, j) for i, j, _ in self._pairs(stated)]
        stamp = _content_of_all_sources()
        return parallel.Team(self.__wrapped__, kinds, pairs, OPTIONS, stamp)

    def _pairs(self, stated: tuple):
        """(i, j, arguments) for each size i that should equal an earlier size j, or the number -1 - j where j < 0. All
        arrays' sizes are counted in order; `arguments` are the numbers of the arguments that i and j belong to."""
        first, i = {}, 0
        for argument, a in enumerate(stated):
            for name in a.sizes if isinstance(a, Sized) else ():
                if name.isdigit():
                    yield i, -1 - int(name), [argument]
                elif name in first:
                    j, other = first[name]
                    yield i, j, [other, argument]
                elif name != "_":
                    first[name] = i, argument
                i += 1

    def _error(self, status: int, args: tuple) -> Exception:
        if status == parallel.FAILED:
            return MemoryError(f"{self}: no memory for the arrays that it works with")
        stated = self.arguments(numba.from_dtype(args[0].dtype))
        _, _, arguments = list(self._pairs(stated))[status - 1]
        wanted = " and ".join(f"{self.names[a]} ({', '.join(stated[a].sizes)})" for a in arguments)
        given = " and ".join(str(args[a].shape) for a in arguments)
        return ValueError(f"{self}: expected {wanted}, got {given}")


def kernel(arguments: Callable, **options) -> Callable[[Callable], Kernel]:
    """Decorator that makes a Kernel, which says what these are."""
    return lambda function: Kernel(function, arguments, **options)


# --- where kernels cannot be compiled ----------------------------------------------------------------------------

_cannot: dict[np.dtype, str] = {}  # dtype -> why its kernels cannot be compiled here
_seen: set[np.dtype] = set()  # those for which that is known


def cannot_run(dtype) -> str | None:
    """Why this machine runs no kernel on arrays of this dtype, or None. The first call compiles one to see."""
    if dtype not in _seen:
        with _compiling:
            if KERNELS and dtype not in _seen:
                try:
                    next(k for k in KERNELS if dtype in k.dtypes).compile(dtype)
                except CannotCompile as error:
                    warnings.warn(f"{error}; the reference runs instead, slower", RuntimeWarning, stacklevel=2)
                _seen.add(dtype)
    return _cannot.get(dtype) if _cannot else None


@functools.cache
def _content_of_all_sources() -> str:
    """A hash of all kernel sources, by which Numba's cache on disk is valid only for these very sources.

    By default a cached kernel is valid while its own file keeps its time and size. But its code also comes from helpers
    in other files, and the files of two releases may carry the same times.
    """
    digest = hashlib.sha256()
    folder = pathlib.Path(__file__).parents[1]
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
