"""Memory of arrays: [closed page | filling | the array | up to 15 bytes of filling | closed page].

Whoever reads or writes past the end, or far before the beginning, is stopped by the system; whoever writes into the
filling has changed it, which is looked at after each launch of a kernel. Freed memory goes back to the pool that it
came from and is given out again, as CuPy does, full of 0xFF: NaN as a float of any kind, -1 as an integer.
"""

import bisect
import ctypes
import mmap
import weakref
from collections.abc import Callable

import numpy as np

PAGE, ALIGNMENT, POISON = mmap.PAGESIZE, 16, 0xFF
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

on_new: "Callable[[Memory], None] | None" = None  # called with each new Memory
may_unmap = True
allocate_pinned: Callable[[int], object]  # memory of the CPU's that the GPU can read; _runtime says how
_starts: list[int] = []  # of all mappings, in order
_owners: "dict[int, weakref.ref[Memory]]" = {}  # start of a mapping -> who has it, or had it last


class Pool:
    """Mappings that can be used again."""

    def __init__(self):
        self.free: dict[int, list[int]] = {}  # pages -> starts
        self.used = self.held = 0  # bytes in arrays; bytes asked of the system

    def take(self, pages: int) -> int:
        if self.free.get(pages):
            return self.free[pages].pop()
        start = _map(pages)
        bisect.insort(_starts, start)
        self.held += pages * PAGE
        return start

    def free_all(self) -> None:
        """Give back to the system what is not in use."""
        for pages, starts in self.free.items():
            while starts and may_unmap:
                start = starts.pop()
                _libc.munmap(start - PAGE, (pages + 2) * PAGE)
                _starts.remove(start)
                self.held -= pages * PAGE


default_pool = Pool()
current_pools = [default_pool]


class Memory:
    """`size` bytes between two closed pages, from the current pool."""

    def __init__(self, size: int):
        self.size, self.pool = size, current_pools[-1]
        self.pages = max(-(-size // PAGE), 1)
        self.start = self.pool.take(self.pages)
        self.end = self.start + self.pages * PAGE
        self.address = self.end - -(-size // ALIGNMENT) * ALIGNMENT
        ctypes.memset(self.start, POISON, self.pages * PAGE)
        self.pool.used += size
        self.root = None  # weak reference to the array that this memory was taken for
        _owners[self.start] = weakref.ref(self)
        if on_new is not None:
            on_new(self)

    @property
    def __array_interface__(self):
        return {"shape": (self.size,), "typestr": "|u1", "data": (self.address, False), "version": 3}

    def overwritten(self) -> str | None:
        """On which side the filling around the array has been changed, or None."""
        behind = self.address + self.size
        for side, place, size in (
            ("before", self.start, self.address - self.start),
            ("behind", behind, self.end - behind),
        ):
            if size and ctypes.string_at(place, size).count(POISON) != size:
                return side
        return None

    def poison(self) -> Callable[[], None]:
        """A function that fills this memory with garbage, whoever has it then."""
        address, size = self.address, self.size
        return lambda: ctypes.memset(address, POISON, size) and None

    def __del__(self):
        if hasattr(self, "end"):
            self.pool.used -= self.size
            self.pool.free.setdefault(self.pages, []).append(self.start)


def _map(pages: int) -> int:
    address = _libc.mmap(None, (pages + 2) * PAGE, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"emulated GPU: no room for {pages * PAGE} bytes")
    if _libc.mprotect(address + PAGE, pages * PAGE, mmap.PROT_READ | mmap.PROT_WRITE):
        raise MemoryError("emulated GPU: too many arrays for this system's number of mappings")
    return address + PAGE


def containing(address: int, size: int) -> Memory | None:
    """The Memory of an array, if all `size` bytes from this address lie in it."""
    place = bisect.bisect_right(_starts, address) - 1
    memory = _owners.get(_starts[place], lambda: None)() if place >= 0 else None
    if memory is None or not memory.address <= address <= address + size <= memory.address + memory.size:
        return None
    return memory


def memory_of(a: np.ndarray) -> Memory | None:
    """The Memory in which an array or a view lies, or None for an array of NumPy's own."""
    while isinstance(a, np.ndarray):
        a = a.base
    return a if isinstance(a, Memory) else None


def new(shape, dtype, strides=None) -> np.ndarray:
    """A NumPy array in memory of this kind, uninitialised: full of NaN. `strides` must be those of a dense array."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for n in shape:
        size *= n
    return np.ndarray(shape, dtype, np.asarray(Memory(size)), 0, strides if size else None)
