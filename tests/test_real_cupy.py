"""CuPy's own arrays, where CuPy is installed and there is no driver: what can be seen of them without a GPU.

CuPy makes an array of memory that somebody else has without asking CUDA for anything, and so it does its views.
Whatever would compute ends in CUDA's error that there is no driver: proof at least that NumPy has handed the call to
CuPy.
"""

import importlib.util
import sys

import numpy as np
import pytest

from tinygrad_gpt import array, memory, random_stream
from tinygrad_gpt.autograd import Tensor


def _why_not() -> str | None:
    if getattr(sys.modules.get("cupy"), "__file__", None) is None and "cupy" in sys.modules:
        return "the emulation has taken CuPy's place"
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    return "there is a driver: tests/gpu tests more" if cupy.cuda.runtime.driverGetVersion() else None


pytestmark = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


def cupy_array(shape, dtype=np.float64):
    """An array of CuPy's, whose elements lie in a NumPy array."""
    import cupy

    host = np.zeros(shape, dtype)
    memory = cupy.cuda.UnownedMemory(host.ctypes.data, host.nbytes, host, 0)  # it keeps `host` alive
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0))


def test_what_the_package_makes_of_it():
    x = cupy_array((4, 6))
    assert array.is_array(x) and array.is_float(x) and array.place(x) == "cuda"
    assert str(Tensor(x).device) == "cuda" and array.if_on_cpu(x).size == 0
    assert array.as_array(x) is x


def test_views_know_whose_memory_they_show():
    x = cupy_array((4, 6))
    part = x[1:, 2:4]
    assert memory.owner(part) is x and memory.owner(part[:, None].T) is x and memory.owner(x) is x
    assert memory.address(part) - memory.address(x) == 8 * (6 + 2)
    assert memory.is_view_of_all(x) and memory.is_view_of_all(x.reshape(2, 12).T) and not memory.is_view_of_all(part)
    assert not memory.is_view_of_all(np.broadcast_to(x[:1, :1], (4, 6)))


def test_who_else_holds_memory():
    saved = (cupy_array((2, 3)),)
    assert memory.nobody_else_holds(saved, 0)
    for hold in (lambda x: x, lambda x: x.reshape(6), lambda x: x[:1]):
        held = hold(saved[0])
        assert not memory.nobody_else_holds(saved, 0)
        del held
    assert memory.nobody_else_holds(saved, 0) and memory.nobody_else_holds((cupy_array((2, 3)).reshape(6),), 0)


def test_cuts_of_one_array_are_joined_without_a_copy():
    qkv = cupy_array((2, 5, 9, 4)).transpose(0, 2, 1, 3)  # (B, T, 3H, D) -> (B, 3H, T, D)
    joined = memory.concatenate_views([qkv[:, :3], qkv[:, 3:6], qkv[:, 6:]], 1)
    assert (joined.shape, joined.strides, memory.address(joined)) == (qkv.shape, qkv.strides, memory.address(qkv))
    assert memory.owner(joined) is memory.owner(qkv)


CALLS = {
    "np.exp": lambda x, ids: np.exp(x),
    "np.where": lambda x, ids: np.where(x, x, 0.0),
    "np.sum": lambda x, ids: np.sum(x, axis=(0,), keepdims=True),
    "np.max": lambda x, ids: np.max(x, axis=-1, keepdims=True),
    "np.mean": lambda x, ids: np.mean(x, axis=-1),
    "np.argmax": lambda x, ids: np.argmax(x, axis=-1),
    "np.allclose": lambda x, ids: np.allclose(x, 1, atol=1e-3),
    "np.isfinite": lambda x, ids: np.isfinite(x),
    "np.clip": lambda x, ids: np.clip(x, -1, 1),
    "np.concatenate": lambda x, ids: np.concatenate([x, x], axis=1),
    "np.add.at": lambda x, ids: np.add.at(x, ids, x[:2]),
    "np.add with out": lambda x, ids: np.add(x, x, out=x),
    "np.zeros_like": lambda x, ids: np.zeros_like(x, shape=(3,), dtype=np.float32),
    "np.empty_like": lambda x, ids: np.empty_like(x, shape=(3,)),
    "np.full_like": lambda x, ids: np.full_like(x, 0.5),
    "np.asarray like": lambda x, ids: np.asarray(np.ones(3), like=x),
    "np.asarray of a number like": lambda x, ids: np.asarray(2, dtype=x.dtype, like=x),
    "np.arange like": lambda x, ids: np.arange(1, 5, dtype=np.uint64, like=x),
    "index": lambda x, ids: x[ids],
    "indices": lambda x, ids: x[ids, ids],
    "assign": lambda x, ids: x.__setitem__(slice(None), 0.5),
    "matmul": lambda x, ids: x @ x.T,
    "number times": lambda x, ids: 2 * x,
    "in place": lambda x, ids: x.__iadd__(x),
    "astype": lambda x, ids: x.astype(np.float32),
    "copy": lambda x, ids: x.copy(),
    "get": lambda x, ids: array.to_numpy(x),
    "random bits": lambda x, ids: random_stream.random_bits(3, (4,), like=x),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_reach_cuda(call):
    import cupy

    # the driver is missing; cuBLAS, which a product asks for first, may be missing too
    missing = "cudaErrorInsufficientDriver|libcublas"
    with pytest.raises((cupy.cuda.runtime.CUDARuntimeError, ImportError), match=missing):
        CALLS[call](cupy_array((4, 6)), cupy_array(2, np.int64))


def test_the_functions_of_cupy_that_devices_need_are_there():
    import cupy

    assert cupy.cuda.runtime.runtimeGetVersion() > 12000 and cupy.__version__
    for function in (
        cupy.cuda.get_current_stream,
        cupy.cuda.runtime.memGetInfo,
        cupy.cuda.runtime.getDeviceProperties,
        cupy.get_default_memory_pool().used_bytes,
    ):
        assert callable(function)
