"""The program that precompile.py starts, several times side by side: compile a share of the kernels into the cache,
but for those that are compiled on demand.

    python -m tinygrad_gpt.kernels.numba.machine.make_kernels float32 0 2 PID   # the 1st of every 2 kernels, and so on

PID is the process that started it: when that ends, so does this one. Its standard input is a pipe that PID holds open.
Results don't depend on it: a process that compiles a kernel itself computes the same bits as one that loads it.
"""

import contextlib
import importlib
import os
import pkgutil
import sys
import threading

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


def end_with(pid: int) -> None:
    """End this process when the one that started it has ended, in whatever way."""

    def wait() -> None:
        wait_for(pid)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def wait_for(pid: int) -> None:
    """Return when the process that started this one has ended. Until then the system lets the thread sleep."""
    if sys.platform == "win32":
        # Not by reading the pipe: a library that is loaded meanwhile may ask what standard input is, and hang.
        import ctypes

        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.OpenProcess.restype = ctypes.c_void_p
        kernel32.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        process = kernel32.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE; None: it has ended
        if process:
            kernel32.WaitForSingleObject(process, 0xFFFFFFFF)  # for ever
        return
    os.read(0, 1)  # nobody writes: it ends with the last who holds the other end


def main() -> None:
    dtype, first, every, parent = np.dtype(sys.argv[1]), *map(int, sys.argv[2:])
    end_with(parent)
    for kernel in [k for k in all_kernels() if dtype in k.dtypes and not k.on_demand][first::every]:
        with contextlib.suppress(Exception):
            kernel.compile_here(dtype)
        if could_not_write:  # nobody can load what this process compiles
            break


if __name__ == "__main__":
    main()
