"""What the machine can do at most, as far as matrix products and memory go: the peaks of which `ops.py` reports shares.

python benchmarks/peers/peaks.py

gflops()  float32 matrix product of NumPy on all its threads, the best of some square sizes
gbytes()  a[i] = b[i] + s c[i] over arrays much larger than the cache, on all threads of Numba (the triad of
          McCalpin's STREAM, 1995); bytes of a, b and c
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numba
import numpy as np


def best(function, calls: int) -> float:
    """Seconds of the fastest of some calls."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def gflops() -> float:
    found = []
    for n in (1024, 1536):
        a = np.ones((n, n), np.float32)
        y = np.empty_like(a)
        found.append(2 * n**3 / best(lambda a=a, y=y: np.matmul(a, a, out=y), 5) / 1e9)
    return max(found)


@numba.njit(parallel=True, fastmath=True, nogil=True)
def triad(a, b, c, s):
    for i in numba.prange(a.size):
        a[i] = b[i] + s * c[i]


def gbytes(size: int = 1 << 24) -> float:
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    return 3 * 4 * size / best(lambda: triad(a, b, c, np.float32(0.5)), 10) / 1e9


if __name__ == "__main__":
    triad(*np.ones((3, 8), np.float32), np.float32(0.5))
    harness.serve({"gflops": gflops, "gbytes": gbytes})
