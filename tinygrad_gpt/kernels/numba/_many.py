"""One kernel over many arrays, for what is done to every parameter of a model.

A launch for each parameter would cost more than the work on a small one, and leave threads idle at the end of each. So
a kernel gets the addresses of all arrays, and a table of pieces of about equal size, which its threads share out.
"""

import ctypes
import functools

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from tinygrad_gpt.array import address
from tinygrad_gpt.kernels.numba._compile import helper
from tinygrad_gpt.kernels.numba._layout import CHUNK


def addresses(*lists) -> np.ndarray:
    """(N, lists) int64: where the N contiguous arrays of each list lie. The caller keeps them alive."""
    columns = [[_address(a) for a in arrays] for arrays in lists]
    return np.array(columns, dtype=np.int64).reshape(len(lists), -1).T.copy()


def _address(x: np.ndarray) -> int:
    """array.address, for most arrays four times as quick: there are four for each parameter, at every step."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(x))
    except (TypeError, ValueError):  # no elements, or read-only
        return address(x)


@functools.lru_cache(maxsize=8)
def pieces(sizes: tuple[int, ...]) -> np.ndarray:
    """(pieces, 3) int64: array number, first element, how many elements (at most CHUNK); in order."""
    table = [(i, at, min(CHUNK, n - at)) for i, n in enumerate(sizes) for at in range(0, n, CHUNK)]
    return np.array(table, dtype=np.int64).reshape(-1, 3)


@helper()
def vector_at(start, first, n, like):
    """Inside a kernel: elements first .. first + n of the array at address `start`, whose type is that of `like`."""
    return numba.carray(_pointer(start + first * like.itemsize, like), n)


@intrinsic
def _pointer(typingctx, start, like):
    pointer = types.CPointer(like.dtype)

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    return pointer(start, like), codegen
