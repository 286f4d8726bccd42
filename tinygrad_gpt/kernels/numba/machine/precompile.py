"""Compile all kernels but those on demand in processes of their own, side by side, into Numba's cache on disk.

A process that needs a kernel which is not on disk yet has all of them made this way, by make_kernels.py, and then loads
them: the cores work side by side, and the first step comes sooner.
"""

import os
import pathlib
import subprocess
import sys

from tinygrad_gpt.kernels.numba.machine import cores

MAKE_KERNELS = f"{__package__}.make_kernels"
MOST_PROCESSES = 4  # more would wait for attention's two kernels, the slowest, and each takes memory

_made: set = set()  # the dtypes for which this process has had it done


def make_all(dtype) -> None:
    """Compile all kernels for `dtype` into the cache. Whoever needs one that fails compiles it, and sees the reason.

    Once for a dtype: where the cache cannot be written to, all would be made again for every kernel.
    """
    if not sys.executable or dtype in _made:  # no executable: Python inside another program
        return
    _made.add(dtype)
    processes = min(cores.choose(len(cores.allowed_cores()), cores.quota()).most, MOST_PROCESSES)
    package = str(pathlib.Path(__file__).parents[4])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    # Away from the terminal's Ctrl-C, which is for the run that waits.
    apart = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
    started = [
        subprocess.Popen(
            [sys.executable, "-m", MAKE_KERNELS, str(dtype), str(i), str(processes)],
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
