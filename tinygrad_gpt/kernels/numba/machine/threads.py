"""How the threads of this package and those of NumPy share the cores.

The trouble. NumPy's matrix product runs on a pool of threads of its own (OpenBLAS's), Numba's kernels on another. A
thread that has finished its part does not sleep at once but spins for a while, waiting for more; so after each matrix
product one pool spins on the cores that the other wants. A small GPT trained that way is several times slower than it
should be.

The way out: one pool, Numba's. Matrix products are kernels like all others: our own, or tiles for which each thread
calls NumPy's OpenBLAS, which computes in the calling thread (packed.py, blas_tiles.py). OpenBLAS's own threads are
never woken, and sleep.

OpenBLAS has one number of threads for the whole process, and it is set to one when the first kernel loads, unless the
user set it (OPENBLAS_NUM_THREADS). So from then on `np.matmul` elsewhere in the program, the reference ops included,
runs on one core; `threadpoolctl.threadpool_limits(n, "blas")` sets it back. (Setting it to one before each product and
back after it was tried: in some processes both of our threads then shared a core, and products ran at half the speed.)

How long to wait awake. On Linux Numba's pool is OpenMP's, whose threads by default spin for a while as they wait for
the next kernel. On a busy machine (a browser, another training run) a thread that spins keeps its partner, which has
work, off the core. Thirty thousand turns bridge the gap between two kernels; after them a thread sleeps. (Measured for
a step of char-cpu, alone and beside a busy process on one of two cores: 10,000 turns 15.6 and 75 ms, 30,000 14.5 and
95, 100,000 14.3 and 280. With a thousand, products ran at half the speed: waking a thread takes longer than a small
kernel.) OMP_WAIT_POLICY and GOMP_SPINCOUNT, if set, are left as they are.

How many threads: NUMBA_NUM_THREADS or OMP_NUM_THREADS, if set, else one for each core that this process may use.
Numba keeps that number for each of Python's threads, so each begins with it. Kernels give the same bits on any number
of threads, except OpenBLAS's tiles, which follow that number.

One team at a time. Python's threads may call kernels side by side; the first has the pool, and whoever comes meanwhile
computes alone, in its own thread. More would not be quicker, as the cores are at work, and one of Numba's pools
(workqueue, for systems without OpenMP) ends the process when two threads use it at once. Alone is also what is left

- in a process that was forked from one with a pool, as multiprocessing's and a DataLoader's workers are on Linux: fork
  copies memory and one thread, and the rest of the pool that the copy would wait for is not there;
- where Numba has no threads to offer, as with NUMBA_THREADING_LAYER=tbb and no TBB.
"""

import os
import threading
import warnings

import numba
from numba.np.ufunc import parallel

from tinygrad_gpt.kernels.numba.product import blas
from tinygrad_gpt.kernels.numba.product.registers import AVX_512

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # read when OpenMP loads, which is when Numba's pool starts


class _Here(threading.local):
    """What is known of the thread that asks."""

    has_begun = False


_here = _Here()
_pool = threading.Lock()  # held by whoever has the team
_is_started = _is_forked = False
_why_alone: str | None = None  # why there are no threads to be had


def start() -> None:
    """Start the pool, so that the first kernel finds it running. Once: a number set since then by
    numba.set_num_threads stays, whatever kernels load later."""
    global _is_started, _why_alone
    if _is_started:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pools that it tried and did not find
            numba.get_num_threads()
    except Exception as error:  # ValueError or ImportError, by what is wrong
        _why_alone = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(f"kernels run on one thread: {_why_alone}", RuntimeWarning, stacklevel=2)
    _is_started = True
    count()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        blas.use_one_thread()


def are_available() -> bool:
    """Whether Numba has threads to offer."""
    start()
    return _why_alone is None


def count() -> int:
    """Among how many threads work is to be shared out that this thread asks for (see `take` for how many do it)."""
    if _why_alone is not None:
        return 1
    if not _here.has_begun:
        if _is_forked:  # and numba's locks may be held by a thread that is not here
            return _wanted()
        _here.has_begun = True
        most = numba.get_num_threads()
        if most == numba.config.NUMBA_NUM_THREADS and _wanted() < most:  # nobody has chosen another number yet
            numba.set_num_threads(_wanted())
    # numba.get_num_threads is this after a lock among processes, which takes longer than a small kernel.
    return parallel._get_num_threads()


def _wanted() -> int:
    """Numba's own number, which heeds NUMBA_NUM_THREADS, unless only OMP_NUM_THREADS is set and is less."""
    most = numba.config.NUMBA_NUM_THREADS
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if "NUMBA_NUM_THREADS" in os.environ or not wanted.isdigit():
        return most
    return max(1, min(most, int(wanted)))


def take() -> int:
    """How many threads this call may have: all of the pool, or if somebody else has it, one. To be given back."""
    threads = 1 if _is_forked else count()
    return threads if threads == 1 or _pool.acquire(blocking=False) else 1


def give_back(threads: int) -> None:
    """The call is over that `take` gave so many threads."""
    if threads > 1:
        _pool.release()


def hold_while_forking(lock) -> None:
    """Fork only while nobody holds this lock: the copy would find it locked, by a thread that it does not have."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def _after_fork() -> None:
    global _is_forked
    _is_forked = _is_forked or _is_started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def describe() -> dict[str, str]:
    """Facts for people: which threads run here and how matrix products are made."""
    start()
    pool = f"1, since {_why_alone}" if _why_alone else f"{count()} of Numba's ({numba.threading_layer()} layer)"
    return {
        "threads": pool,
        "matrix product": "our own, in AVX-512's vectors" if AVX_512 else blas.describe(),
    }
