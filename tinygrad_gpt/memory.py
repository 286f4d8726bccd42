"""Memory: which array owns it, whether it may be written over, and how freed memory stays in the process.

Nothing here changes a result. It saves copies, and the time that the system takes to hand out memory.
"""

import ctypes
import functools
import sys
from contextlib import suppress

import numpy as np

from tinygrad_gpt.array import Array, place


def owner(x):
    """The array that owns the memory of x: x itself, or the array that x is a view of. (None for None.)"""
    while getattr(x, "base", None) is not None:
        x = x.base
    return x


def is_view_of_all(x: Array) -> bool:
    """Whether x is a NumPy or CuPy array that shows each element of its owner's memory once."""
    mine = owner(x)
    return place(mine) != "elsewhere" and mine.size == x.size and is_writeable(x)


def is_writeable(x: Array) -> bool:
    """False if elements of x may share memory, as after broadcasting. (CuPy shows it in the strides only.)"""
    return x.flags.writeable if isinstance(x, np.ndarray) else 0 not in x.strides


_example = (np.empty(0),)
_ONE_HOLDER = sys.getrefcount(_example[0])  # the tuple, and what the call itself adds


def nobody_else_holds(saved: tuple, i: int) -> bool:
    """Whether only the tuple `saved` can reach the memory of saved[i], so that backward may write over it.

    BEWARE: this asks Python's reference counts. A view refers to the array that owns its memory, so a Tensor, a view or
    another op that still has this memory shows in the counts. Any further reference, such as a debugger's or a variable
    that holds saved[i], makes the answer False, which costs memory. So do other kinds of arrays.
    """
    if place(saved[i]) == "elsewhere" or sys.getrefcount(saved[i]) != _ONE_HOLDER:
        return False
    if saved[i].base is None:
        return is_writeable(saved[i])
    views_all = place(saved[i].base) != "elsewhere" and saved[i].base.base is None
    return views_all and sys.getrefcount(saved[i].base) == _ONE_HOLDER and is_writeable(saved[i])


class _Holder:
    __slots__ = ("data",)


_holder = _Holder()
_holder.data = np.empty(0)
_ONE_ATTRIBUTE = sys.getrefcount(_holder.data)


def only_one_holds(thing) -> bool:
    """Whether the attribute `thing.data` alone can reach its memory: no view of it, no graph, no variable. (BEWARE: see
    nobody_else_holds.)"""
    if place(thing.data) == "elsewhere" or sys.getrefcount(thing.data) != _ONE_ATTRIBUTE:
        return False
    if thing.data.base is None:
        return True
    is_all = place(thing.data.base) != "elsewhere" and thing.data.base.base is None
    return is_all and sys.getrefcount(thing.data.base) == _ONE_ATTRIBUTE


def address(x: Array) -> int:
    """Where in memory, the CPU's or the GPU's, the first element of x lies."""
    return x.__array_interface__["data"][0] if isinstance(x, np.ndarray) else x.data.ptr


def concatenate_views(pieces, axis: int) -> Array:
    """np.concatenate(pieces, axis), as a view where the pieces lie in one array as its cuts would; `axis` is from 0."""
    first, *rest = pieces
    whole, strides = getattr(first, "base", None), first.strides
    if place(whole) == "elsewhere" or not whole.flags.c_contiguous or whole.dtype != first.dtype:
        return np.concatenate(pieces, axis=axis)
    start, length = address(first), first.shape[axis]
    for piece in rest:
        expected = start + length * strides[axis]
        if piece.base is not whole or piece.strides != strides or address(piece) != expected:
            return np.concatenate(pieces, axis=axis)
        length += piece.shape[axis]
    # Together they should be one stretch of `whole`: from the slowest axis in memory to the quickest, without a gap.
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    order = sorted(range(first.ndim), key=lambda i: -strides[i])
    size = 1
    for i in reversed(order):
        if shape[i] != 1 and strides[i] != size * first.itemsize:
            return np.concatenate(pieces, axis=axis)
        size *= shape[i]
    begin = (start - address(whole)) // first.itemsize
    stretch = whole.reshape(-1)[begin : begin + size].reshape([shape[i] for i in order])
    return stretch.transpose([order.index(i) for i in range(first.ndim)])


ROOM = 1 << 29  # bytes


@functools.cache
def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory in the process: every training step asks for the same large arrays, and by default
    the system maps each one afresh and zeroes its pages. And ask Linux for large pages for the next ROOM bytes, whose
    addresses the processor finds more quickly; none is taken before it is used. Does nothing outside glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_threshold, madv_hugepage = -1, -3, 14  # mallopt(3), madvise(2)
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, 1 << 30)
        libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
        begin = libc.sbrk(0)  # the end of the memory that malloc has so far
        libc.free(ctypes.c_void_p(libc.malloc(ctypes.c_size_t(ROOM))))
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(libc.sbrk(0) - begin), madv_hugepage)
