"""How a kernel is compiled: one decorator, so that the choices below are made once.

    @kernel(lambda f: (read(f, 2), write(f, 2), f))
    def scale_rows(share, x, y, factor):
        for i in of(share, len(x)):      # this thread's part of the rows
            ...

    scale_rows(x, y, 0.5)                # all threads run it, each with its own share

Each kernel states its argument types, for a float type `f` that is float32 in training and float64 in gradient checks:
the same source serves both, and is made ready for the dtype of the first array when that is first used. Stating them
has a purpose beyond telling the reader. Numba would otherwise compile anew for each combination of layouts that it
meets (a read-only array, an array that happens to be contiguous), and a newcomer would wait for every one.

Floating-point rules. `error_model="numpy"`: division by zero gives inf, since Python's check for it keeps loops from
being vectorised. Sums may be reordered and products contracted to fused multiply-adds, which vectorising needs. But nan
and inf are NOT assumed away: a loss that is not finite must stay visible.

Kernels give the same bits whatever the number of threads and their timing: every piece of work writes its own part of
the result, and partial sums are kept apart and added in a fixed order. (_blas_tiles.py is the exception: BLAS's bits
follow its tiles.)
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable

import numba
import numpy as np
from numba import types

from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels.numba import _parallel, _precompile
from tinygrad_gpt.kernels.numba._parallel import of

__all__ = ["EXACT_ORDER", "KERNELS", "REORDERED", "Kernel", "helper", "kernel", "of", "pasted", "read", "write"]

REORDERED = {"reassoc", "contract", "arcp", "nsz", "afn"}
EXACT_ORDER = {"contract", "nsz"}  # for code that relies on the order in which it rounds
OPTIONS = {"fastmath": REORDERED, "error_model": "numpy", "nogil": True}

KERNELS: list["Kernel"] = []  # all that have been loaded


def read(dtype, ndim: int, layout: str = "C") -> types.Array:
    """The type of an array that a kernel only reads: C-contiguous, or of any strides with layout "A"."""
    return types.Array(dtype, ndim, layout, readonly=True)


def write(dtype, ndim: int, layout: str = "C") -> types.Array:
    """The type of an array that a kernel writes to."""
    return types.Array(dtype, ndim, layout)


def helper(*, fastmath: set | bool = REORDERED, inlined: bool = True) -> Callable[[Callable], Callable]:
    """Decorator for a function that kernels call. A small one is inlined, so that the loop around it is vectorised.

    It cannot be called from Python: leaving out what that would need saves a third of its compile time.
    """
    options = OPTIONS | {"fastmath": fastmath, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(forceinline=inlined, **options)


def pasted(function: Callable) -> Callable:
    """Decorator for the part of a kernel that is a function for readability only: its source is pasted where it is
    called. (A helper is compiled on its own, with all it calls, and then again as a part of each caller.)"""
    return numba.njit(inline="always", **OPTIONS)(function)


class Kernel:
    """A function that all threads run, compiled; see the top of this file.

    arguments  function from Numba's float32 or float64 to the tuple of argument types
    dtypes     those that the first argument may have
    """

    def __init__(self, function: Callable, arguments: Callable, dtypes: tuple):
        functools.update_wrapper(self, function)
        self.arguments, self.dtypes = arguments, dtypes
        self.team = _parallel.Team(function, OPTIONS, _content_of_this_folder)
        self._compiled = set()
        KERNELS.append(self)

    def __call__(self, *args):
        self._made_ready(args[0].dtype)
        self.team.entry(numba.get_num_threads(), *args)

    def alone(self, *args):
        """The same in the calling thread, for work so small that the other threads would come too late."""
        self._made_ready(args[0].dtype)
        self.team.entry(1, *args)

    def _made_ready(self, dtype) -> None:
        if dtype not in self._compiled:
            self.compile(dtype)

    def compile(self, dtype) -> None:
        """Make ready for float32 or float64: load what is on disk, after having it made if need be."""
        if not self.team.is_on_disk(self._types(dtype)):
            _precompile.make_all(dtype)
        self.compile_here(dtype)

    def compile_here(self, dtype) -> None:
        """Load from disk, or else compile in this process (and write to disk)."""
        self.team.compile(self._types(dtype))
        self._compiled.add(dtype)

    def _types(self, dtype) -> tuple:
        return self.arguments(numba.from_dtype(dtype))


def kernel(arguments: Callable, *, dtypes: tuple[np.dtype, ...] = FLOATS) -> Callable[[Callable], Kernel]:
    """Decorator that makes a Kernel; the first argument after `share` is an array of the type `arguments` is given.

    dtypes  of that array. Kernels for one dtype are made together when the first of them is used: what only some runs
            need has a dtype of its own, so that others don't wait for it
    """
    return lambda function: Kernel(function, arguments, dtypes)


@functools.cache
def _content_of_this_folder() -> str:
    """A hash of all kernel sources, by which Numba's cache on disk is valid only for these very sources.

    By default a cached kernel is valid while its own file keeps time and size. But its code also comes from the helpers
    in other files, and packages are installed with times that don't change between releases: an edited helper, or an
    upgrade, would go on running the old code.
    """
    digest = hashlib.sha256()
    for file in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
