"""Run one kernel over many arrays, for what is done to every parameter of a model.

A launch for each parameter would cost more than the work on a small one, and leave threads idle at the end of each. So
a kernel gets the addresses of all arrays, and a table of pieces of about equal size, which its threads share out. An
address has no size, dtype or lock: the arrays are checked before they become addresses.
"""

import ctypes
import functools
from itertools import zip_longest

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.machine.layout import CHUNK
from tinygrad_gpt.memory import address


def check_alike(op: str, **lists) -> None:
    """Raise ValueError unless all arrays are of one dtype, and those at the same place of each list of one shape."""
    shapes = [[a.shape for a in arrays] for arrays in lists.values()]
    if any([s != shapes[0] for s in shapes]):
        i, got = next((i, s) for i, s in enumerate(zip_longest(*shapes)) if len(set(s)) > 1)
        given = ", ".join(f"{name}[{i}] of {shape}" for name, shape in zip(lists, got, strict=True))
        raise ValueError(f"{op}: expected arrays of one shape, got {given}")
    dtypes = {a.dtype for arrays in lists.values() for a in arrays}
    if len(dtypes) > 1:
        raise ValueError(f"{op}: expected arrays of one dtype, got {', '.join(sorted(map(str, dtypes)))}")


def check_writeable(op: str, arrays: list) -> None:
    """Raise ValueError unless each is contiguous, aligned and may be written to."""
    for a in arrays:
        if not a.flags.carray:
            why = "not contiguous and aligned" if a.flags.writeable else "read-only"
            raise ValueError(f"{op}: expected contiguous arrays to write to, got one of shape {a.shape} that is {why}")


def overlap(starts: np.ndarray, sizes: np.ndarray, written: list[int]) -> bool:
    """Whether an array that is written to shares memory with another one: then it matters which comes first.

    starts   (N, lists) as `addresses` gives them
    sizes    (N,) in bytes
    written  which of the lists are written to; the others may share memory among themselves
    """
    starts, sizes = starts[sizes > 0], sizes[sizes > 0, np.newaxis]
    begins, ends = starts[:, written].ravel(), (starts[:, written] + sizes).ravel()
    order = np.argsort(begins)
    begins, ends = begins[order], ends[order]
    if (ends[:-1] > begins[1:]).any():
        return True
    read = np.delete(starts, written, axis=1)
    before = np.searchsorted(begins, read + sizes) - 1  # the last one written to that begins before this one ends
    return bool(((before >= 0) & (ends[before] > read)).any()) if begins.size else False


def addresses(*lists) -> np.ndarray:
    """(N, lists) int64: where the N contiguous arrays of each list lie. The caller keeps them alive."""
    columns = [[_address(a) for a in arrays] for arrays in lists]
    return np.array(columns, dtype=np.int64).reshape(len(lists), -1).T.copy()


def _address(x: np.ndarray) -> int:
    """What memory.address gives, faster for most arrays. (Every step asks four times for each parameter.)"""
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
