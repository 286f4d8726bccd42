"""The program that precompile.py starts, several times side by side: compile kernels into the cache, until all are
there but those on demand.

    python -m tinygrad_gpt.kernels.numba.machine.make_kernels float32 FOLDER PID

In FOLDER, which is empty at first, there is a file for each kernel that one of these processes has taken on.
PID is the process that started it: when that ends, so does this one. Its standard input is a pipe that PID holds open.
Results don't depend on it: a process that compiles a kernel itself computes the same bits as one that loads it.
"""

import contextlib
import importlib
import os
import pkgutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinygrad_gpt.kernels import numba as folder
from tinygrad_gpt.kernels.numba.machine.compile import KERNELS, Kernel
from tinygrad_gpt.kernels.numba.machine.disk_cache import could_not_write

LONGEST = ("backward.attention_backward", "attention._forward", "packed._product")  # to compile


def all_kernels() -> list[Kernel]:
    """Every Kernel that the package's ops use on this machine, in the order of their files."""
    for module in pkgutil.iter_modules(folder.__path__):
        if not module.ispkg:
            importlib.import_module(f"{folder.__name__}.{module.name}")
    return KERNELS


def not_taken(kernels: list[Kernel], folder: Path) -> Iterator[Kernel]:
    """One kernel after the other, each to one process only; first those that take longest, so that at the end no
    process waits long for another."""
    for number, kernel in enumerate(sorted(kernels, key=lambda k: str(k) not in LONGEST)):
        with contextlib.suppress(FileExistsError):
            (folder / str(number)).touch(exist_ok=False)
            yield kernel


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
    dtype, folder, parent = np.dtype(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    end_with(parent)
    for kernel in not_taken([k for k in all_kernels() if dtype in k.dtypes and not k.on_demand], folder):
        with contextlib.suppress(Exception):
            kernel.compile_here(dtype)
        if could_not_write:  # nobody can load what this process compiles
            break


if __name__ == "__main__":
    main()
