"""Compiling all kernels in processes of their own, side by side, into Numba's cache on disk.

    python -m tinygrad_gpt.kernels.numba._precompile float32 0 2      # the 1st of every 2 kernels, and so on

A process that needs a kernel which is not on disk yet has all of them made this way (`make_all`) and then loads them,
instead of compiling the one itself: the cores work side by side, and the newcomer who waits for the first step waits
about half as long.

Results don't depend on it. A process that compiled all kernels itself computed the same bits, in every op, as the next
one, which loaded them. A run that was stopped and resumed would otherwise differ from one that was not.
"""

import contextlib
import importlib
import os
import pathlib
import pkgutil
import subprocess
import sys

from tinygrad_gpt.kernels import compiling

MOST_PROCESSES = 4  # attention's two kernels take half of the time, and every process some 200 MB


def make_all(dtype) -> None:
    """Compile all kernels for `dtype` into the cache. Whoever needs one that fails compiles it, and sees the reason.

    Once for a dtype: where the cache could not be written to, all would be made again for every kernel.
    """
    if not sys.executable or dtype in _made:  # no executable: Python inside another program
        return
    _made.add(dtype)
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    package = str(pathlib.Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    # Away from the terminal's Ctrl-C, which is for the run that waits.
    apart = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
    compiling.tell()
    started = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(dtype), str(i), str(processes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            **apart,
        )
        for i in range(processes)
    ]
    try:
        for process in started:
            process.wait()
    finally:
        for process in started:
            process.kill()  # does nothing to one that has ended


_made: set = set()  # the dtypes for which this process has had it done


def all_kernels() -> list:
    """Every Kernel that the package's ops use on this machine, in the order of their files."""
    from tinygrad_gpt.kernels import numba as folder
    from tinygrad_gpt.kernels.numba._compile import KERNELS

    for module in pkgutil.iter_modules(folder.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{folder.__name__}.{module.name}")
    return KERNELS


def main() -> None:
    import numpy as np

    from tinygrad_gpt.kernels.numba._disk_cache import could_not_write

    dtype, first, every = np.dtype(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for kernel in [k for k in all_kernels() if dtype in k.dtypes][first::every]:
        with contextlib.suppress(Exception):
            kernel.compile_here(dtype)
        if could_not_write:  # then nobody has anything of it
            break


if __name__ == "__main__":
    main()
