"""How the threads of this package and those of NumPy share the cores.

The trouble. NumPy's matrix product runs on a pool of threads of its own (OpenBLAS's), Numba's kernels on another. A
thread that has finished its part does not sleep at once but spins for a while, waiting for more; so after each matrix
product one pool spins on the cores that the other wants. A small GPT trained that way is several times slower than it
should be.

The way out: one pool, Numba's. Matrix products are kernels like all others: our own, or tiles for which each thread
calls NumPy's OpenBLAS, which computes in the calling thread (_product.py, _blas_tiles.py). OpenBLAS's own threads are
never woken, and sleep.

OpenBLAS has one number of threads for the whole process, and it is set to one when the first kernel loads. So from then
on `np.matmul` elsewhere in the program, the reference ops included, runs on one core; threadpoolctl, or OpenBLAS's own
function, sets it back. (Setting it to one before each product and back after it was tried: in some processes both of
our threads then shared a core, and products ran at half the speed.)

How long to wait awake. On Linux Numba's pool is OpenMP's, whose threads by default spin for a while as they wait for
the next kernel. On a busy machine (a browser, another training run) a thread that spins keeps its partner, which has
work, off the core. Thirty thousand turns bridge the gap between two kernels; after them a thread sleeps. (Measured for
a step of char-cpu, alone and beside a busy process on one of two cores: 10,000 turns 15.6 and 75 ms, 30,000 14.5 and
95, 100,000 14.3 and 280. With a thousand, products ran at half the speed: waking a thread takes longer than a small
kernel.) OMP_WAIT_POLICY and GOMP_SPINCOUNT, if set, are left as they are.

How many threads: NUMBA_NUM_THREADS or OMP_NUM_THREADS, if set, else one for each core that this process may use.
Kernels give the same bits on any number of threads, except OpenBLAS's tiles, which follow that number.
"""

import functools
import os

import numba

from tinygrad_gpt.kernels.numba import _blas
from tinygrad_gpt.kernels.numba._blocks import AVX_512

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # read when OpenMP loads, which is when Numba's pool starts


def _wanted() -> int:
    """Numba's own number, which heeds NUMBA_NUM_THREADS, unless only OMP_NUM_THREADS is set and is less."""
    most = numba.config.NUMBA_NUM_THREADS
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if "NUMBA_NUM_THREADS" in os.environ or not wanted.isdigit():
        return most
    return max(1, min(most, int(wanted)))


@functools.cache
def start() -> None:
    """Start the pool, so that the first kernel finds it running. Once: a number set since then by
    numba.set_num_threads stays, whatever kernels load later."""
    numba.set_num_threads(_wanted())
    _blas.use_one_thread()


def describe() -> dict[str, str]:
    """Facts for people: which threads run here and how matrix products are made."""
    start()
    return {
        "threads": f"{numba.get_num_threads()} of Numba's ({numba.threading_layer()} layer)",
        "matrix product": "our own, in AVX-512's vectors" if AVX_512 else _blas.describe(),
    }
