"""How the threads of this package and those of NumPy share the cores.

There is one pool of threads, ours (pool.py). OpenBLAS, behind NumPy's matrix product, has another. A thread that has
finished its part spins for a while, waiting for more, before it sleeps: with two pools, one would spin on the cores
that the other wants, and a small GPT would train several times slower. So matrix products are kernels too: our own, or
tiles for which each thread calls OpenBLAS, which computes in the calling thread (product/).

OpenBLAS has one number of threads for the whole process. It is set to one when the first kernel loads, unless the user
set it (OPENBLAS_NUM_THREADS). From then on `np.matmul` elsewhere in the program, the reference ops included, runs on
one core; `threadpoolctl.threadpool_limits(n, "blas")` sets it back. (Setting it to one for each product and back after
it is worse: in some processes two of our threads then shared a core.)

How many threads: NUMBA_NUM_THREADS or OMP_NUM_THREADS, if set; else one for each core that this process may count on
(cores.py), chosen once, at the first kernel. Numba keeps that number for each of Python's threads, and
numba.set_num_threads changes it.

One team at a time. Python's threads may call kernels side by side. The first has the pool; any other computes alone, in
its own thread: the cores are at work anyhow. A thread computes alone also

- in a process that was forked from one with a pool, as multiprocessing's and a DataLoader's workers are on Linux: a
  fork copies memory and one thread, and the copy would wait for threads that it does not have;
- where Numba cannot say how many threads, as with NUMBA_THREADING_LAYER=tbb and no TBB.
"""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numba
from numba.np.ufunc import parallel

from tinygrad_gpt.kernels.numba.machine import cores
from tinygrad_gpt.kernels.numba.machine.pool import POOL
from tinygrad_gpt.kernels.numba.product import blas

_here = threading.local()  # has_begun: whether this thread has its number from Numba
_pool = threading.Lock()  # held by the thread whose kernel runs on the pool
_is_started = _is_forked = False
_why_alone: str | None = None  # why Numba does not say how many threads
_choice: cores.Choice | None = None  # for this process, once it has begun


def start() -> None:
    """Choose how many threads. Once: a number that numba.set_num_threads sets later stays, whatever kernels load after
    it."""
    global _is_started, _why_alone, _choice
    if _is_started:
        return
    _choice = _choose()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pools of its own that it tried and did not find
            numba.get_num_threads()
    except Exception as error:  # ValueError or ImportError
        _why_alone = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(f"kernels run on one thread: {_why_alone}", RuntimeWarning, stacklevel=2)
    _is_started = True
    count()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        blas.use_one_thread()


def count() -> int:
    """How many threads share the work of a kernel that this thread calls, if it gets the pool (see `take`)."""
    start()
    if _why_alone is not None:
        return 1
    if not hasattr(_here, "has_begun"):
        if _is_forked:  # and numba's locks may be held by a thread that this process does not have
            return _choice.threads
        _here.has_begun = True
        most = numba.get_num_threads()
        if most == numba.config.NUMBA_NUM_THREADS and _choice.threads < most:  # the user chose no other number
            numba.set_num_threads(_choice.threads)
    # numba.get_num_threads is this after a lock among processes, which takes longer than a small kernel.
    return parallel._get_num_threads()


def why_fewer() -> str | None:
    """Why kernels don't use all cores although nobody said so, as a clause, and what to do. None where they do."""
    start()
    if _why_alone is not None or not _choice.why or _set_by():
        return None
    takes_all = f"the environment variable NUMBA_NUM_THREADS={numba.config.NUMBA_NUM_THREADS} takes them all"
    return f"{_choice.why} ({takes_all})"


@contextmanager
def limited_to(number: int) -> Iterator[None]:
    """Inside this block kernels that this thread calls run on so many threads, at most Numba's NUMBA_NUM_THREADS."""
    before = count()
    numba.set_num_threads(number)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _choose() -> cores.Choice:
    """The user's number, if there is one; else that of cores.py."""
    most = numba.config.NUMBA_NUM_THREADS
    setting = _set_by()
    if setting is None:
        choice = cores.choose_here()
        return choice._replace(threads=min(most, choice.threads))
    if setting == "OMP_NUM_THREADS":
        most = max(1, min(most, int(os.environ[setting].split(",")[0])))
    return cores.Choice(most, "")


def _set_by() -> str | None:
    """Where the user set the number of threads: the name of an environment variable or file, or None."""
    if "NUMBA_NUM_THREADS" in os.environ:
        return "NUMBA_NUM_THREADS"
    if numba.config.NUMBA_NUM_THREADS != numba.config.NUMBA_DEFAULT_NUM_THREADS:
        return ".numba_config.yaml"
    return "OMP_NUM_THREADS" if os.environ.get("OMP_NUM_THREADS", "").split(",")[0].isdigit() else None


def take() -> int:
    """How many threads this call may have: all of the pool, or one if the pool is taken. Give them back after it."""
    threads = 1 if _is_forked else count()
    if threads == 1 or not _pool.acquire(blocking=False):
        return 1
    try:
        POOL.call(threads)
    except BaseException:  # Ctrl-C, while helpers start
        _pool.release()
        raise
    return threads


def give_back(threads: int) -> None:
    """End the call that `take` gave this many threads."""
    if threads > 1:
        _pool.release()


def hold_while_forking(lock) -> None:
    """Fork only while no thread holds this lock: the copy would find it locked, by a thread that it does not have."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def _after_fork() -> None:
    global _is_forked
    _is_forked = _is_forked or _is_started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def describe() -> str:
    """How many threads kernels run on, and why, for people to read."""
    start()
    pool = f"1, since {_why_alone}" if _why_alone else str(count())
    if why := _set_by():
        pool += f", as {why} says"
    elif why := why_fewer():
        pool += f": {why}"
    return pool
