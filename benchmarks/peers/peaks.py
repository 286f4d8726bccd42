"""What the machine can do at most, as far as matrix products and memory go: the peaks of which `ops.py` reports shares.

python benchmarks/peers/peaks.py

gflops()     float32 matrix product of NumPy on all its threads, the best of some square sizes
gbytes()     memory, read and written on all threads of Numba (roofs.py)
registers()  GFLOP/s of multiply-adds on one core, on numbers in registers (roofs.py)
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
import roofs


def gflops() -> float:
    found = []
    for n in (1024, 1536):
        a = np.ones((n, n), np.float32)
        y = np.empty_like(a)
        found.append(2 * n**3 / roofs.fastest(lambda a=a, y=y: np.matmul(a, a, out=y), 5) / 1e9)
    return max(found)


if __name__ == "__main__":
    harness.serve({"gflops": gflops, "gbytes": roofs.peak_gbytes, "registers": partial(roofs.peak_gflops, 1)})
