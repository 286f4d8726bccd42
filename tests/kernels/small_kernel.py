"""A kernel that compiles in a moment, for tests of what kernels are made with."""

from contextlib import contextmanager
from unittest import mock

import numpy as np

from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels.numba.machine import compile, precompile
from tinygrad_gpt.kernels.numba.machine.compile import Kernel, my_part, read, write


def scale_rows(share, x, factors, pair, y):
    for i in my_part(share, len(x)):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * factors[i]


def _arguments(f):
    return read(f, "R C"), read(f, "R"), read(f, "2 _"), write(f, "R C")


@contextmanager
def a_kernel(function=scale_rows, arguments=_arguments, dtypes=FLOATS):
    """A Kernel that nothing was compiled for yet. It is made ready alone, and does not stay among the package's."""
    with mock.patch.object(compile, "KERNELS", []), mock.patch.object(precompile, "make_all", lambda dtype: None):
        yield Kernel(function, arguments, dtypes)


def compiled_here(team) -> bool:
    """Whether this process compiled it, since it was not on disk."""
    return sum(team.entry.stats.cache_misses.values()) > 0


def run(kernel: Kernel) -> bool:
    """Whether it computes what it should."""
    x, factors = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4, dtype=np.float32)
    y = np.zeros_like(x)
    kernel(x, factors, np.zeros((2, 1), np.float32), y)
    return (y == x * factors[:, None]).all()
