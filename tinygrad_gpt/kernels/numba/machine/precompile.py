"""Compile all kernels but those on demand in processes of their own, side by side, into Numba's cache on disk.

A process that needs a kernel which is not on disk yet has all of them made this way, by make_kernels.py, and then loads
them: the cores work side by side, and the first step comes sooner. Where several processes need them at once, as two
runs that are started together do, one has them made and the others wait.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinygrad_gpt.files import locks
from tinygrad_gpt.kernels.numba.machine import cores

MAKE_KERNELS = f"{__package__}.make_kernels"
MOST_PROCESSES = 4  # more would wait for attention's two kernels, the slowest, and each takes memory

_made: set = set()  # the dtypes for which this process has had it done


@contextmanager
def one_process_at_a_time(folder: str) -> Iterator[None]:
    """Wait until no other process is inside this block for this folder of Numba's cache. (On a system without locks, or
    with a folder that cannot be written to, nobody waits, and each makes its own.)"""
    lock = None
    with suppress(OSError):
        while (lock := locks.hold(Path(folder) / "being-made.lock")) is None:
            pass  # it has waited a moment
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def make_all(dtype) -> None:
    """Compile all kernels for `dtype` into the cache. Whoever needs one that fails compiles it, and sees the reason.

    Once for a dtype: where the cache cannot be written to, all would be made again for every kernel.
    """
    if not sys.executable or dtype in _made:  # no executable: Python inside another program
        return
    _made.add(dtype)
    with suppress(OSError), tempfile.TemporaryDirectory(prefix="tinygrad-gpt-") as taken:
        _run_makers(dtype, taken)


def _run_makers(dtype, taken: str) -> None:
    """Start the processes, which note in the folder `taken` which kernels they have taken on, and wait for them."""
    processes = min(cores.choose_here().threads, MOST_PROCESSES)
    package = str(Path(__file__).parents[4])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    # Away from the terminal's Ctrl-C, which is for the run that waits.
    apart = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
    started = [
        subprocess.Popen(
            [sys.executable, "-m", MAKE_KERNELS, str(dtype), taken, str(os.getpid())],
            stdin=subprocess.PIPE,  # open for as long as this process lives
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            **apart,
        )
        for _ in range(processes)
    ]
    try:
        for process in started:
            process.wait()
    finally:
        for process in started:
            process.kill()  # does nothing to one that has ended
            process.stdin.close()
