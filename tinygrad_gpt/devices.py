"""Devices: the CPU and the GPU, and why the GPU cannot be used.

    device("cpu")     # where arrays are NumPy's
    device("cuda")    # where they are CuPy's; if no GPU can be used, a UserError that says what is missing
    device("auto")    # the GPU if one can be used, else the CPU

Beside the kernels in kernels/cuda this is the only file that imports CuPy. The import takes a second, so it waits until
a GPU is asked for.
"""

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tinygrad_gpt.errors import UserError, did_you_mean

NAMES = ("cpu", "cuda", "auto")
EXTRAS = {12: "tinygrad-gpt[cuda12]", 13: "tinygrad-gpt[cuda13]"}  # CUDA's version -> what to install


@dataclass(frozen=True)
class Device:
    """A place for arrays, like PyTorch's device, but with one GPU: CUDA_VISIBLE_DEVICES says which.

    kind  "cpu" or "cuda"
    """

    kind: str

    def __str__(self) -> str:
        return self.kind

    @property
    def type(self) -> str:
        """`kind` by PyTorch's name."""
        return self.kind

    @property
    def title(self) -> str:
        """The device's name: "the CPU", "NVIDIA H200"."""
        return "the CPU" if self.kind == "cpu" else _properties()["name"].decode()

    def move_here(self, x):
        """The array x on this device: itself if it is there already, else a copy."""
        if self.kind == "cpu":
            return x.get() if hasattr(x, "get") else x
        return _cupy().asarray(x)

    def as_strided(self, x, shape, strides):
        """A view of the memory of x, an array on this device, with the given shape and strides (NumPy's as_strided)."""
        library = np if self.kind == "cpu" else _cupy()
        return library.lib.stride_tricks.as_strided(x, shape, strides)

    def synchronize(self) -> None:
        """Wait for all work of the device, on every stream. (The GPU computes while Python continues.)"""
        if self.kind == "cuda":
            _cupy().cuda.Device().synchronize()

    def memory(self) -> int | None:
        """Bytes of the device's memory, or this process's share of them; None if the system does not say."""
        return _memory_of_the_cpu() if self.kind == "cpu" else _properties()["totalGlobalMem"]

    def memory_in_use(self) -> int:
        """Bytes of the GPU's memory that arrays use; 0 for the CPU, which does not keep count."""
        return _cupy().get_default_memory_pool().used_bytes() if self.kind == "cuda" else 0

    def memory_kept(self) -> int:
        """Bytes of the GPU's memory in use: CuPy's pool (the most that arrays ever needed at once, and the memory of
        recorded steps), CUDA's own, and other processes'."""
        if self.kind == "cpu":
            return 0
        free, total = _cupy().cuda.runtime.memGetInfo()
        return total - free


def device(name: "str | Device") -> Device:
    """The device of this name: "cpu", "cuda" or "auto" (see above). A Device is returned as it is.

    Raises ValueError for another name, UserError for "cuda" where no GPU can be used.
    """
    if isinstance(name, Device):
        return name
    if name == "cuda:0":  # as PyTorch calls the first, and here only, one
        name = "cuda"
    if name not in NAMES:
        other_gpu = isinstance(name, str) and name.startswith("cuda:")
        hint = "; another GPU than the first is chosen by CUDA_VISIBLE_DEVICES" if other_gpu else ""
        raise ValueError(f"device: expected one of {', '.join(NAMES)}, got {name!r}{hint or did_you_mean(name, NAMES)}")
    if name != "cpu":
        reason = why_no_gpu()
        if reason is None:
            return Device("cuda")
        if name == "cuda":
            raise UserError(f"the device cuda cannot be used, cpu can: {reason}")
    return Device("cpu")


def usable() -> tuple[Device, ...]:
    """The CPU, and the GPU if one can be used."""
    return tuple(dict.fromkeys((device("cpu"), device("auto"))))


def is_device_name(name) -> bool:
    """Whether this is a Device or reads like a device's name. (`device()` may still reject it.)"""
    return isinstance(name, Device) or (isinstance(name, str) and name.partition(":")[0] in NAMES)


def _memory_of_the_cpu() -> int | None:
    """The computer's memory, or the container's share of it (https://docs.kernel.org/admin-guide/cgroup-v2.html)."""
    try:
        built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows, or a system that does not say
        return None
    try:
        share = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return built_in
    return min(built_in, int(share)) if share.isdecimal() else built_in


@cache
def why_no_gpu() -> str | None:
    """Why no GPU can be used, and what to do about it, in a line; None if one can be used."""
    if importlib.util.find_spec("cupy") is None:
        extras = " or ".join(f'pip install "{extra}" for CUDA {version}' for version, extra in EXTRAS.items())
        return f"CuPy is not installed: {extras} (nvidia-smi shows which CUDA the driver takes)"
    try:
        cupy = _cupy()
    except Exception as error:  # whatever a broken installation raises
        return f'CuPy does not load ({_in_a_line(error)}): install it again, pip install "{EXTRAS[12]}"'
    runtime = cupy.cuda.runtime
    try:
        runtime.getDeviceCount()
    except Exception as error:
        return _why_none_is_found(runtime.driverGetVersion(), runtime.runtimeGetVersion(), error)
    try:  # what every model needs: kernels compiled on the spot, and a matrix product
        x = cupy.arange(4, dtype=np.float32).reshape(2, 2)
        float((x @ x).sum())
    except Exception as error:
        extra = EXTRAS.get(runtime.runtimeGetVersion() // 1000, EXTRAS[12])
        return (
            f"CuPy finds the GPU, but cannot compute on it ({_in_a_line(error)}): "
            f'pip install "{extra}" brings the libraries of CUDA that it needs'
        )
    return None


def _why_none_is_found(driver: int, built_for: int, error: Exception) -> str:
    """driver, built_for: the newest CUDA version that the driver supports (0: no driver), and CuPy's version."""
    if driver == 0:
        return "there is no NVIDIA driver (in a container: start it with the GPU, as docker's --gpus all does)"
    if driver < built_for and "InsufficientDriver" in str(error):
        extra = EXTRAS.get(driver // 1000, "") if driver // 1000 < built_for // 1000 else ""
        return (
            f"the driver takes CUDA up to {_version(driver)}, and the CuPy that is installed is for CUDA "
            f"{_version(built_for)}: install a newer driver" + (f", or in CuPy's place {extra!r}" if extra else "")
        )
    return f"CUDA finds none ({_in_a_line(error)}): nvidia-smi should list it, and CUDA_VISIBLE_DEVICES not hide it"


def describe_gpu() -> str:
    """The GPU's name, memory, compute capability, driver and CuPy; or why there is none."""
    reason = why_no_gpu()
    if reason is not None:
        return f"none: {reason}"
    cupy, gpu = _cupy(), _properties()
    runtime, gib = cupy.cuda.runtime, gpu["totalGlobalMem"] / 2**30
    return (
        f"{gpu['name'].decode()}, {gib:.0f} GiB, compute capability {gpu['major']}.{gpu['minor']}, driver for CUDA "
        f"{_version(runtime.driverGetVersion())}, CuPy {cupy.__version__} for CUDA "
        f"{_version(runtime.runtimeGetVersion())}"
    )


def compute_capability() -> tuple[int, int]:
    """The GPU's compute capability: (8, 0) for an A100, (9, 0) for an H100 or H200."""
    gpu = _properties()
    return gpu["major"], gpu["minor"]


def most_shared_memory() -> int:
    """Bytes of shared memory that a block of threads may have: 64 KiB on a T4, 99 on an RTX 4090, 227 on an H100."""
    return _properties()["sharedMemPerBlockOptin"]


@cache
def _properties() -> dict:
    return _cupy().cuda.runtime.getDeviceProperties(0)


def _cupy():
    import cupy  # type: ignore

    return cupy


def _version(number: int) -> str:
    """12090 is CUDA 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _in_a_line(error: Exception) -> str:
    """An error's name and its last line, which holds the point of CuPy's long ones."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
