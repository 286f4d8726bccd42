"""How a kernel is compiled: one decorator, so that the choices below are made once.

    @kernel(lambda f: (read(f, 2), write(f, 2), f))
    def scale_rows(x, y, factor): ...

    scale_rows(x, y, 0.5)          # made ready for the dtype of the first array when that is first used

Each kernel states its argument types, for a float type `f` that is float32 in training and float64 in gradient checks:
the same source serves both. Stating them has a purpose beyond telling the reader. Numba would otherwise compile anew
for each combination of layouts that it meets (a read-only array, an array that happens to be contiguous), and a
newcomer would wait for every one.

Floating-point rules. `error_model="numpy"`: division by zero gives inf, since Python's check for it keeps loops from
being vectorised. Sums may be reordered and products contracted to fused multiply-adds, which vectorising needs. But nan
and inf are NOT assumed away: a loss that is not finite must stay visible.

Parallel kernels give the same bits whatever the threads' timing: every iteration of a `prange` writes its own part of
the result, and partial sums are kept apart and added in a fixed order.
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable

import numba
import numpy as np
from numba import types

from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels.numba import _precompile

REORDERED = {"reassoc", "contract", "arcp", "nsz", "afn"}
EXACT_ORDER = {"contract", "nsz"}  # for code that relies on the order in which it rounds


def read(dtype, ndim: int, layout: str = "C") -> types.Array:
    """The type of an array that a kernel only reads: C-contiguous, or of any strides with layout "A"."""
    return types.Array(dtype, ndim, layout, readonly=True)


def write(dtype, ndim: int, layout: str = "C") -> types.Array:
    """The type of an array that a kernel writes to."""
    return types.Array(dtype, ndim, layout)


def helper(*, fastmath: set | bool = REORDERED, inlined: bool = True) -> Callable[[Callable], Callable]:
    """Decorator for a function that kernels call. A small one is inlined, so that the loop around it is vectorised."""
    return numba.njit(fastmath=fastmath, error_model="numpy", nogil=True, forceinline=inlined)


class Kernel:
    """A compiled function whose argument types are stated; see the top of this file.

    arguments  function from Numba's float32 or float64 to the tuple of argument types
    dtypes     those that the first argument may have
    """

    def __init__(self, function: Callable, arguments: Callable, parallel: bool, dtypes: tuple):
        functools.update_wrapper(self, function)
        self.arguments, self.dtypes = arguments, dtypes
        # Of parallel=True, only prange is wanted: looking for other things to make parallel costs compile time.
        prange_only = {"comprehension": False, "reduction": False, "inplace_binop": False, "setitem": False}
        prange_only |= {"numpy": False, "stencil": False, "fusion": False, "prange": True}
        options = {"fastmath": REORDERED, "error_model": "numpy", "nogil": True}
        options["parallel"] = prange_only if parallel else False
        try:
            self.dispatcher = numba.njit(cache=True, **options)(function)
            _stamp_with_content(self.dispatcher)
        except RuntimeError:  # no folder that the cache could be written to
            self.dispatcher = numba.njit(**options)(function)
        self._compiled = set()

    def __call__(self, *args):
        dtype = args[0].dtype
        if dtype not in self._compiled:
            self.compile(dtype)
        return self.dispatcher(*args)

    def compile(self, dtype) -> None:
        """Make ready for float32 or float64: load what is on disk, after having it made if need be."""
        if not self._is_on_disk(dtype):
            _precompile.make_all(dtype)
        self.compile_here(dtype)

    def compile_here(self, dtype) -> None:
        """Load from disk, or else compile in this process (and write to disk)."""
        self.dispatcher.disable_compile(False)
        self.dispatcher.compile(self._signature(dtype))
        self.dispatcher.disable_compile()  # from here on arguments are converted to the stated types, or refused
        self._compiled.add(dtype)

    def _signature(self, dtype) -> tuple:
        return self.arguments(numba.from_dtype(dtype))

    def _is_on_disk(self, dtype) -> bool:
        """Whether Numba's cache has this kernel. True where it cannot be told (no cache, or another Numba's inside)."""
        try:
            cache = self.dispatcher._cache
            return cache._index_key(self._signature(dtype), self.dispatcher.targetctx.codegen()) in (
                cache._cache_file._load_index()
            )
        except AttributeError:
            return True


def kernel(
    arguments: Callable, *, parallel: bool = True, dtypes: tuple[np.dtype, ...] = FLOATS
) -> Callable[[Callable], Kernel]:
    """Decorator that makes a Kernel; the first argument must be an array of the type that `arguments` is given.

    dtypes  of that array. Kernels for one dtype are made together when the first of them is used: what only some runs
            need has a dtype of its own, so that others don't wait for it
    """
    return lambda function: Kernel(function, arguments, parallel, dtypes)


@functools.cache
def _content_of_this_folder() -> str:
    """A hash of all kernel sources."""
    digest = hashlib.sha256()
    for file in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _stamp_with_content(dispatcher) -> None:
    """Make Numba's cache on disk valid only for these very sources.

    By default a cached kernel is valid while its own file keeps time and size. But its code also comes from the helpers
    in other files, and packages are installed with times that don't change between releases: an edited helper, or an
    upgrade, would go on running the old code.
    """
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = _content_of_this_folder()
