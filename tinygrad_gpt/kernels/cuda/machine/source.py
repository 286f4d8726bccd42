"""Compile kernels/cuda/NAME.cu for a dtype, and call its kernels.

    kernels = load("gelu", x.dtype)
    kernels.forward(blocks, threads, x, y, x.size)

NVRTC, CUDA's compiler as a library, compiles the source when one of its kernels is first called. CuPy keeps the result
on disk for the next process.
"""

import re
import time
from functools import cache
from pathlib import Path

import cupy
import numpy as np

from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.random_stream import LaterSeed

FOLDER = Path(__file__).parents[1]  # from which sources and what they include are named
LOADED_WITHIN = 0.2  # seconds: what takes longer to load was compiled. CuPy does not say which it was
FREE_SHARED = 48 << 10  # bytes of dynamic shared memory that a block may have; for more, its kernel must ask
C_NAMES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


class Kernels:
    """The kernels of one source compiled for one dtype, as methods named like them:

    kernels.NAME(blocks, threads, *arguments, shared=0)

    blocks, threads  sizes of the grid and of a block: an integer, or a tuple of up to three
    arguments        arrays, which arrive as the address of their first element (contiguous, unless the kernel gets
                     strides too); None, a null pointer; integers, which arrive as int64; floats, which arrive as `real`
    shared           bytes of dynamic shared memory for each block
    """

    def __init__(self, module, real: np.dtype):
        self._module, self._real = module, real

    def __getattr__(self, name: str):
        began = time.perf_counter()
        function, real = self._module.get_function(name), self._real
        if time.perf_counter() - began > LOADED_WITHIN:
            compiling.tell()
        granted = FREE_SHARED

        def launch(blocks, threads, *arguments, shared: int = 0) -> None:
            nonlocal granted
            grid = blocks if isinstance(blocks, tuple) else (blocks,)
            block = threads if isinstance(threads, tuple) else (threads,)
            if 0 in grid:  # nothing to do, which CUDA would refuse
                return
            if shared > granted:
                function.max_dynamic_shared_size_bytes = granted = shared
            function(grid, block, tuple([_argument(a, real) for a in arguments]), shared_mem=shared)

        setattr(self, name, launch)
        return launch


def _argument(x, real: np.dtype):
    if x is None:
        return np.intp(0)
    if isinstance(x, float):
        return real.type(x)
    return np.int64(x) if isinstance(x, int) else x


def seed_arguments(seed: int | LaterSeed) -> tuple:
    """A seed as the two arguments that kernels pass to seed_of (common.cuh): where its value will be, or its value."""
    return (seed.place, 0) if isinstance(seed, LaterSeed) else (None, seed)


def _text(file: str) -> str:
    """A source with the files that it includes in their places, since NVRTC looks for none."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    return re.sub(r'^#include "(.+)"$', lambda included: _text(included[1]), text, flags=re.MULTILINE)


@cache
def load(name: str, dtype, **definitions) -> Kernels:
    """The kernels of NAME.cu with `real` = dtype, float32 or float64, and NAME defined as VALUE for each of the
    `definitions`."""
    code = _text("machine/common.cuh") + _text(f"{name}.cu")
    macros = {"REAL": C_NAMES[np.dtype(dtype)], **definitions}
    options = ("-std=c++17", *(f"-D{macro}={value}" for macro, value in macros.items()))
    return Kernels(cupy.RawModule(code=code, options=options), np.dtype(dtype))
