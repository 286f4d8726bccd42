"""Launch one kernel for many arrays, for what is done to every parameter of a model (many.cuh)."""

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.cuda.machine.source import load

MOST = 64  # arrays of each list for one launch: the arguments of a kernel take 4 KiB at most
PIECE = 8192  # elements for one block


def launches(kernel: str, *lists: list[Array], numbers: list[float] | None = None):
    """Yields (kernels of KERNEL.cu, how many blocks, the table to pass to one of them) for each launch that it takes.

    lists    contiguous arrays of one dtype; those at the same place of each list have one size, which is not 0
    numbers  one for each place
    """
    table_type = np.dtype(
        [
            ("first", np.uint64, (MOST, len(lists))),
            ("size", np.int64, MOST),
            ("first_block", np.int64, MOST),
            ("number", np.float64, MOST),
            ("count", np.int64),
        ]
    )
    kernels = load(kernel, lists[0][0].dtype, MOST=MOST, LISTS=len(lists), PIECE=PIECE)
    for start in range(0, len(lists[0]), MOST):
        some = [one[start : start + MOST] for one in lists]
        count = len(some[0])
        sizes = np.array([a.size for a in some[0]])
        blocks = (sizes + PIECE - 1) // PIECE
        table = np.zeros((), table_type)
        table["first"][:count] = np.array([[a.data.ptr for a in one] for one in some], np.uint64).T
        table["size"][:count], table["count"] = sizes, count
        table["first_block"][:count] = np.cumsum(blocks) - blocks
        if numbers is not None:
            table["number"][:count] = numbers[start : start + MOST]
        yield kernels, int(blocks.sum()), table
