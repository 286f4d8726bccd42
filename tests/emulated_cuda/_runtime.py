"""Devices, streams, events, pools: cupy.cuda.

`broken(35)` makes every call fail as on a machine whose driver is too old, `broken(100)` as on one without a GPU.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulated_cuda import _capture, _memory
from tests.emulated_cuda._errors import CUDARuntimeError

TOTAL = 141 << 30  # bytes that the device says it has
_broken: int | None = None


@contextmanager
def broken(status: int) -> Iterator[None]:
    """Inside this block the runtime answers every call with this error."""
    global _broken
    before, _broken = _broken, status
    try:
        yield
    finally:
        _broken = before


def check() -> None:
    if _broken is not None:
        raise CUDARuntimeError(_broken)


# --- cupy.cuda.runtime -----------------------------------------------------------------------------------------------


def getDeviceCount() -> int:  # noqa: N802
    check()
    return 1


def getDevice() -> int:  # noqa: N802
    check()
    return 0


def setDevice(device: int) -> None:  # noqa: N802
    Device(device).use()


def getDeviceProperties(device: int) -> dict:  # noqa: N802
    Device(device).use()
    properties = {"name": b"emulated GPU", "major": 9, "minor": 0, "totalGlobalMem": TOTAL, "multiProcessorCount": 132}
    properties |= {"warpSize": 32, "maxThreadsPerBlock": 1024, "sharedMemPerBlock": 48 << 10}
    return properties | {"sharedMemPerBlockOptin": 227 << 10, "regsPerBlock": 65536}


def driverGetVersion() -> int:  # noqa: N802
    if _broken == 100:
        return 0
    return 12000 if _broken == 35 else 12090


def runtimeGetVersion() -> int:  # noqa: N802
    return 12090


def memGetInfo() -> tuple[int, int]:  # noqa: N802
    check()
    return TOTAL - _memory.default_pool.held, TOTAL


def deviceSynchronize() -> None:  # noqa: N802
    check()
    _capture.refuse("deviceSynchronize")


CUDA_R_32F, CUDA_R_64F, CUDA_R_16F, CUDA_R_8I, CUDA_R_8U, CUDA_R_16BF = 0, 1, 2, 3, 8, 14  # types of numbers
streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = 0, 1, 2  # noqa: N816


def is_available() -> bool:
    return _broken is None


# --- Device ----------------------------------------------------------------------------------------------------------


def get_cublas_handle() -> int:
    check()
    return Device.cublas_handle


class Device:
    """cupy.cuda.Device(number); there is number 0 only."""

    __module__ = "cupy.cuda.device"
    cublas_handle = 1

    def __init__(self, device=None):
        self.id = 0 if device is None else int(device)

    def use(self) -> None:
        check()
        if self.id != 0:
            raise CUDARuntimeError(101)

    def __enter__(self):
        self.use()
        return self

    def __exit__(self, *error) -> None:
        pass

    def __eq__(self, other) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def synchronize(self) -> None:
        self.use()
        _capture.refuse("Device.synchronize")

    @property
    def compute_capability(self) -> str:
        self.use()
        return "90"

    @property
    def mem_info(self) -> tuple[int, int]:
        self.use()
        return memGetInfo()

    @property
    def attributes(self) -> dict[str, int]:
        self.use()
        limits = {"MaxThreadsPerBlock": 1024, "WarpSize": 32, "MultiProcessorCount": 132, "L2CacheSize": 50 << 20}
        limits |= {"ComputeCapabilityMajor": 9, "ComputeCapabilityMinor": 0, "MaxSharedMemoryPerBlock": 48 << 10}
        return limits | {"MaxSharedMemoryPerBlockOptin": 227 << 10, "MaxSharedMemoryPerMultiprocessor": 228 << 10}


# --- Stream, Graph, Event --------------------------------------------------------------------------------------------


class Stream:
    """cupy.cuda.Stream: an order of work. Here all work is done at once, in the order in which it is given."""

    __module__ = "cupy.cuda.stream"
    null: "Stream"
    ptds: "Stream"

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        check()
        self.null, self.ptr = null, 0 if null else id(self)

    def __enter__(self):
        _capture.current_streams.append(self)
        return self

    def __exit__(self, *error) -> None:
        _capture.current_streams.pop()

    def use(self):
        _capture.current_streams[-1] = self
        return self

    def synchronize(self) -> None:
        check()
        _capture.refuse("Stream.synchronize")

    @property
    def done(self) -> bool:
        return True

    def record(self, event=None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event) -> None:
        pass

    def begin_capture(self, mode=None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        _capture.begin(self)

    def end_capture(self) -> "Graph":
        return Graph(_capture.end(self))

    def is_capturing(self) -> bool:
        return _capture.is_capturing(self)


class Graph:
    """cupy.cuda.graph.Graph: what a stream was asked to do while it captured."""

    __module__ = "cupy.cuda.graph"

    def __init__(self, steps: list):
        self._steps = steps

    def launch(self, stream=None) -> None:
        _capture.refuse("launching a graph")
        for step in self._steps:
            step()

    def upload(self, stream=None) -> None:
        pass


class Event:
    """cupy.cuda.Event: a moment of a stream."""

    __module__ = "cupy.cuda.stream"

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.time = None

    def record(self, stream=None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        _capture.refuse("Event.synchronize")

    @property
    def done(self) -> bool:
        return True


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds."""
    return 1000 * (end_event.time - start_event.time)


Stream.null = Stream(null=True)
Stream.ptds = Stream.null
_capture.current_streams.append(Stream.null)


def get_current_stream(device_id: int = -1) -> Stream:
    return _capture.current_streams[-1]


# --- MemoryPool ------------------------------------------------------------------------------------------------------


class MemoryPool:
    """cupy.cuda.MemoryPool: memory that was freed, to be used again."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, allocator=None):
        self._pool = _memory.Pool()

    def malloc(self, size: int):
        with using_allocator(self.malloc):
            return _memory.Memory(size)

    def used_bytes(self) -> int:
        return self._pool.used

    def total_bytes(self) -> int:
        return self._pool.held

    def free_bytes(self) -> int:
        return self.total_bytes() - self.used_bytes()

    def n_free_blocks(self) -> int:
        return sum(map(len, self._pool.free.values()))

    def free_all_blocks(self, stream=None) -> None:
        self._pool.free_all()

    def set_limit(self, size=None, fraction=None) -> None:
        pass

    def get_limit(self) -> int:
        return 0


class PinnedMemoryPool:
    """cupy.cuda.PinnedMemoryPool: nothing is pinned here."""

    __module__ = "cupy.cuda.pinned_memory"

    def malloc(self, size: int) -> None:
        pass

    def free_all_blocks(self) -> None:
        pass

    def n_free_blocks(self) -> int:
        return 0


_pool, _pinned_pool = MemoryPool(), PinnedMemoryPool()
_pool._pool = _memory.default_pool
_allocators = [_pool.malloc]


def set_allocator(allocator=None) -> None:
    """`allocator` is the malloc of a MemoryPool, or None for the system's, which here is the default pool."""
    _allocators[-1] = allocator or _pool.malloc
    _memory.current_pools[-1] = _allocators[-1].__self__._pool


def get_allocator():
    return _allocators[-1]


@contextmanager
def using_allocator(allocator=None) -> Iterator[None]:
    _allocators.append(None)
    _memory.current_pools.append(None)
    set_allocator(allocator)
    try:
        yield
    finally:
        _allocators.pop()
        _memory.current_pools.pop()


def get_default_memory_pool() -> MemoryPool:
    return _pool


def set_pinned_memory_allocator(allocator=None) -> None:
    _memory.allocate_pinned = allocator or _pinned_pool.malloc


set_pinned_memory_allocator()


def get_default_pinned_memory_pool() -> PinnedMemoryPool:
    return _pinned_pool
