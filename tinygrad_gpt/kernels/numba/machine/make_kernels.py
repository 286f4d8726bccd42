"""The program that precompile.py starts, several times side by side: compile a share of the kernels into the cache,
but for those that are compiled on demand.

    python -m tinygrad_gpt.kernels.numba.machine.make_kernels float32 0 2      # the 1st of every 2 kernels, and so on

Results don't depend on it: a process that compiles a kernel itself computes the same bits as one that loads it.
"""

import contextlib
import importlib
import pkgutil
import sys

import numpy as np

from tinygrad_gpt.kernels import numba as folder
from tinygrad_gpt.kernels.numba.machine.compile import KERNELS, Kernel
from tinygrad_gpt.kernels.numba.machine.disk_cache import could_not_write


def all_kernels() -> list[Kernel]:
    """Every Kernel that the package's ops use on this machine, in the order of their files."""
    for module in pkgutil.iter_modules(folder.__path__):
        if not module.ispkg:
            importlib.import_module(f"{folder.__name__}.{module.name}")
    return KERNELS


def main() -> None:
    dtype, first, every = np.dtype(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for kernel in [k for k in all_kernels() if dtype in k.dtypes and not k.on_demand][first::every]:
        with contextlib.suppress(Exception):
            kernel.compile_here(dtype)
        if could_not_write:  # nobody can load what this process compiles
            break


if __name__ == "__main__":
    main()
