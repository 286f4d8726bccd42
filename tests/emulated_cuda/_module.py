"""The emulation as a module named cupy, with its submodules."""

import importlib.machinery
import sys
from types import ModuleType

import numpy as np

from tests.emulated_cuda import _cublas, _errors, _kernels, _runtime
from tests.emulated_cuda._array import ndarray

# Functions of cupy that do what NumPy's do, on arrays on the GPU and numbers.
_LIKE_NUMPY = """
    abs absolute add all allclose amax amin any arange arccos arcsin arctan arctan2 argmax argmin argsort
    array_equal bitwise_and bitwise_or bitwise_xor broadcast_arrays broadcast_to ceil clip concatenate copyto cos
    cosh cumsum diag diagonal divide dot einsum empty empty_like equal exp exp2 expand_dims expm1 eye flip floor
    floor_divide full full_like greater greater_equal hstack identity inner invert isclose isfinite isinf isnan
    left_shift less less_equal linspace log log10 log1p log2 logical_and logical_not logical_or logical_xor max
    maximum mean min minimum mod moveaxis multiply negative nonzero not_equal ones ones_like outer power prod ravel
    remainder repeat reshape right_shift roll rsqrt searchsorted sign sin sinh sort split sqrt square squeeze stack
    std subtract sum swapaxes take take_along_axis tan tanh tensordot tile transpose tri tril triu true_divide trunc
    unique var vstack where zeros zeros_like
"""
_SAME = """
    bool_ complex64 complex128 dtype e finfo float16 float32 float64 iinfo inf int8 int16 int32 int64 intp nan
    newaxis pi result_type uint8 uint16 uint32 uint64 uintp can_cast broadcast_shapes promote_types
"""


def _like_numpy(name: str):
    function = getattr(np, name)

    def run(*args, **settings):
        _runtime.check()
        out = settings.get("out")
        result = ndarray._run(function, *args, **settings)
        return result if out is None else out

    run.__name__ = name
    return run


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    _runtime.check()
    if isinstance(obj, ndarray):
        return ndarray._run(np.array, obj, dtype=dtype, copy=True if copy else None, order=order, ndmin=ndmin)
    if isinstance(obj, list | tuple) and any(isinstance(part, ndarray) for part in obj):
        return ndarray._run(np.stack, [asarray(part) for part in obj])
    return ndarray._from_numpy(np.array(obj, dtype=dtype, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None, *, blocking=False):
    if isinstance(a, ndarray) and (dtype is None or a.dtype == dtype) and order in (None, "K", "A"):
        return a
    return array(a, dtype, copy=False, order=order or "K")


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    if a.flags.c_contiguous and a.ndim:
        return a
    return ndarray._run(np.ascontiguousarray, a)


def asfortranarray(a, dtype=None):
    return ndarray._run(np.asfortranarray, asarray(a, dtype))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(order=order, out=out)
    return np.asarray(a)


def copy(a, order="K"):
    return a.copy(order)


def matmul(x1, x2, out=None):
    result = ndarray._run(np.matmul, x1, x2, **({} if out is None else {"out": out}))
    return result if out is None else out


def get_array_module(*args):
    return cupy if any(isinstance(a, ndarray) for a in args) else np


def as_strided(x, shape=None, strides=None):
    return ndarray._run(np.lib.stride_tricks.as_strided, x, shape, strides)


def may_share_memory(a, b, max_work=None) -> bool:
    return np.may_share_memory(a._a, b._a)


class _AddAt:
    """cupy.add: a ufunc has .at."""

    def __init__(self, ufunc):
        self._call, self._ufunc = _like_numpy(ufunc.__name__), ufunc

    def __call__(self, *args, **settings):
        return self._call(*args, **settings)

    def at(self, a, indices, b=None):
        ndarray._run(self._ufunc.at, a, indices, b)


def _module(name: str, **content) -> ModuleType:
    module = ModuleType(name, "Emulated: see tests/emulated_cuda.")
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.__dict__.update(content)
    return module


def _file_of_cublas(name: str) -> str:
    if name != "__file__":
        raise AttributeError(name)
    return _cublas.file()


def _public(source, *names) -> dict:
    return {name: getattr(source, name) for name in names}


def _build() -> dict[str, ModuleType]:
    cublas = {name: value for name, value in vars(_cublas).items() if name.startswith(("CUBLAS", "sgemm", "dgemm"))}
    cublas |= _public(_cublas, "gemmEx", "gemmStridedBatchedEx", "setMathMode", "getMathMode")
    cublas |= _public(_cublas, "setPointerMode", "getPointerMode")
    cublas = _module("cupy.cuda.cublas", **cublas, __getattr__=_file_of_cublas)
    runtime = _public(_runtime, "getDeviceCount", "getDevice", "setDevice", "getDeviceProperties", "driverGetVersion")
    runtime |= _public(_runtime, "runtimeGetVersion", "memGetInfo", "deviceSynchronize")
    runtime |= {k: v for k, v in vars(_runtime).items() if k.startswith(("CUDA_R_", "streamCaptureMode"))}
    runtime = _module("cupy.cuda.runtime", CUDARuntimeError=_errors.CUDARuntimeError, is_hip=False,
                      **runtime)  # fmt: skip
    compiler = _module("cupy.cuda.compiler", CompileException=_errors.CompileException)
    driver = _module("cupy.cuda.driver", CUDADriverError=_errors.CUDADriverError)
    graph = _module("cupy.cuda.graph", Graph=_runtime.Graph)
    stream = _module("cupy.cuda.stream", **_public(_runtime, "Stream", "Event", "get_current_stream"))
    device = _module("cupy.cuda.device", **_public(_runtime, "Device", "get_cublas_handle"))
    memory = _public(_runtime, "MemoryPool", "set_allocator", "get_allocator")
    memory["OutOfMemoryError"] = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    memory = _module("cupy.cuda.memory", **memory)
    nvrtc = _module("cupy.cuda.nvrtc", getVersion=lambda: (12, 9))
    parts = {"cublas": cublas, "runtime": runtime, "compiler": compiler, "driver": driver, "graph": graph}
    parts |= {"stream": stream, "device": device, "memory": memory, "nvrtc": nvrtc}
    names = "Device Stream Event MemoryPool PinnedMemoryPool set_allocator get_allocator using_allocator is_available"
    names += " set_pinned_memory_allocator"
    names = _public(_runtime, *names.split(), "get_current_stream", "get_elapsed_time", "Graph")
    cuda = _module("cupy.cuda", **names, **parts)

    functions = {name: _like_numpy(name) for name in _LIKE_NUMPY.split() if hasattr(np, name)}
    functions |= {name: _AddAt(getattr(np, name)) for name in ("add", "subtract", "maximum", "minimum")}
    own = (array, asarray, ascontiguousarray, asfortranarray, asnumpy, copy, matmul, get_array_module, may_share_memory)
    functions |= {f.__name__: f for f in own}
    pools = _public(_runtime, "get_default_memory_pool", "get_default_pinned_memory_pool")
    kernels = _public(_kernels, "RawModule", "RawKernel")
    lib = _module("cupy.lib", stride_tricks=_module("cupy.lib.stride_tricks", as_strided=as_strided))
    root = _module("cupy", cuda=cuda, lib=lib, ndarray=ndarray, __version__="14.2.0",
                   **functions, **_public(np, *_SAME.split()), **pools, **kernels)  # fmt: skip
    modules = {"cupy": root, "cupy.cuda": cuda, "cupy.lib": lib, "cupy.lib.stride_tricks": lib.stride_tricks}
    return modules | {f"cupy.cuda.{name}": part for name, part in parts.items()}


_modules = _build()
cupy = _modules["cupy"]


def install() -> None:
    """Make `import cupy` give the emulation, in this process. RuntimeError where the real one is imported already."""
    if not is_installed() and "cupy" in sys.modules:
        raise RuntimeError("install the emulation before anything imports cupy")
    sys.modules.update(_modules)


def is_installed() -> bool:
    return sys.modules.get("cupy") is cupy
