"""Memory of arrays: [closed page | filling | the array | up to 15 bytes of filling | closed page].

Whoever reads or writes past the end, or far before the beginning, is stopped by the system; whoever writes into the
filling has changed it, which is looked at after each launch of a kernel. Freed memory is kept and given out again, as
CuPy's pool does, full of 0xFF: NaN as a float of any kind, -1 as an integer.
"""

import ctypes
import mmap
import weakref

import numpy as np

PAGE, ALIGNMENT, POISON = mmap.PAGESIZE, 16, 0xFF
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

_free: dict[int, list[int]] = {}  # pages -> addresses of mappings that are not in use
counters = {"used": 0, "held": 0}  # bytes in arrays; bytes asked of the system
alive: "weakref.WeakSet[Memory]" = weakref.WeakSet()


class Memory:
    """`size` bytes between two closed pages."""

    def __init__(self, size: int):
        self.size = size
        self.pages = max(-(-size // PAGE), 1)
        kept = _free.get(self.pages)
        if kept:
            self.start = kept.pop()
        else:
            self.start = _map(self.pages)
            counters["held"] += self.pages * PAGE
        end = self.start + self.pages * PAGE
        self.address = end - -(-size // ALIGNMENT) * ALIGNMENT
        if size == 0:  # a place that nobody may look at
            self.address = end
        ctypes.memset(self.start, POISON, self.pages * PAGE)
        counters["used"] += size
        self.root = None  # weak reference to the array that this memory was taken for
        alive.add(self)

    @property
    def __array_interface__(self):
        return {"shape": (self.size,), "typestr": "|u1", "data": (self.address, False), "version": 3}

    def overwritten(self) -> str | None:
        """Where the filling around the array has been changed, in words, or None."""
        before, after = self.address - self.start, self.start + self.pages * PAGE - self.address - self.size
        for name, place, size in (("before", self.start, before), ("behind", self.address + self.size, after)):
            if size and ctypes.string_at(place, size).count(POISON) != size:
                return name
        return None

    def poison(self) -> None:
        """Fill it with NaN, as another array in its place would."""
        ctypes.memset(self.address, POISON, self.size)

    def __del__(self):
        if hasattr(self, "address"):
            counters["used"] -= self.size
            _free.setdefault(self.pages, []).append(self.start)


def _map(pages: int) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = _libc.mmap(None, (pages + 2) * PAGE, 0, flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"emulated GPU: no room for {pages * PAGE} bytes")
    if _libc.mprotect(address + PAGE, pages * PAGE, mmap.PROT_READ | mmap.PROT_WRITE):
        raise MemoryError("emulated GPU: too many arrays for this system's number of mappings")
    return address + PAGE


def free_all() -> None:
    """Give back to the system what is not in use."""
    for pages, starts in _free.items():
        while starts:
            _libc.munmap(starts.pop() - PAGE, (pages + 2) * PAGE)
            counters["held"] -= pages * PAGE


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
    buffer = np.asarray(Memory(size))
    if size == 0:
        strides = None
    return np.ndarray(shape, dtype, buffer, 0, strides)
