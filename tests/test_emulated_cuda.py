"""The emulated CuPy refuses what CuPy refuses; its products and its graphs are cuBLAS's and CUDA's.

None of these tests installs it: sys.modules stays as it is.
"""

import ctypes
import importlib.util
import subprocess
import sys
import types

import numpy as np
import pytest

from tests import emulated_cuda, strict_array
from tests.emulated_cuda import _errors, _memory, _runtime, cupy
from tests.emulated_cuda._cublas import CUBLASError
from tests.test_strict_array import REFUSED
from tinygrad_gpt import array

runtime, cublas = cupy.cuda.runtime, cupy.cuda.cublas
needs_compiler = pytest.mark.skipif(emulated_cuda.COMPILER is None, reason="the emulation needs g++ on Linux")


def refused(match: str):
    return pytest.raises(_errors.CUDARuntimeError, match=match)


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [how for how in REFUSED if how != "np.array of a list"])
def test_refuses_silent_conversion(how):
    with pytest.raises((TypeError, IndexError)):
        REFUSED[how](cupy.asarray(np.arange(1.0, 4.0)))


def test_the_package_takes_its_arrays_for_cupys():
    x = cupy.asarray(np.arange(3.0))
    assert array.place(x) == "cuda" and array.is_float(x)
    for y in (x + 1, 2 * x, x[1:], x[0], np.exp(x), cupy.exp(x), np.zeros_like(x), x.sum(), x @ x, cupy.sum(x), x.T):
        assert type(y) is cupy.ndarray
    assert x.sum().item() == 3 and float(x[2]) == 2 and x.get().tolist() == [0, 1, 2]
    assert isinstance(x, cupy.ndarray) and cupy.ndarray.__module__ == "cupy"


def test_new_memory_is_full_of_nan():
    assert np.isnan(cupy.empty((2, 3), np.float32).get()).all()
    assert np.isnan(np.empty_like(cupy.ones(5)).get()).all()
    kept = [cupy.ones(1000) for _ in range(9)]
    del kept
    assert np.isnan(cupy.empty(1000).get()).all()


def test_views_have_a_base_and_copies_none():
    x = cupy.zeros((4, 6))
    view = x[1:, ::2].T
    assert x.base is None and view.base is x and (view + 0).base is None
    view[...] = 1
    assert x.sum().item() == 9
    assert view.data.ptr == x.data.ptr + 48 and not view.flags.owndata and x.flags.owndata
    assert cupy.ascontiguousarray(view).flags.c_contiguous and cupy.ascontiguousarray(x) is x


def test_ways_in_and_out():
    x = cupy.empty(3, np.float32)
    x.set(np.ones(3, np.float32))
    for wrong in (np.ones(3), np.ones(4, np.float32), [1.0, 1.0, 1.0]):
        with pytest.raises((TypeError, ValueError)):
            x.set(wrong)
    assert cupy.asnumpy(x).tolist() == [1, 1, 1] and cupy.asarray(x) is x and cupy.array(x) is not x
    with pytest.raises(AttributeError):
        cupy.ediff1d  # noqa: B018


def test_pools_count_and_give_back():
    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        x = cupy.zeros(1000)
    assert pool.used_bytes() == 8000 and pool.total_bytes() >= 8000
    outside = cupy.get_default_memory_pool().used_bytes()
    y = cupy.zeros(10)
    assert cupy.get_default_memory_pool().used_bytes() == outside + y.nbytes and pool.used_bytes() == x.nbytes
    del x
    assert pool.used_bytes() == 0 and pool.n_free_blocks() == 1
    if _memory.may_unmap:
        pool.free_all_blocks()
        assert pool.total_bytes() == 0


def test_machines_without_a_gpu():
    for status, name in ((35, "cudaErrorInsufficientDriver"), (100, "cudaErrorNoDevice")):
        with _runtime.broken(status):
            assert not cupy.cuda.is_available()
            for call in (runtime.getDeviceCount, cupy.cuda.Stream, lambda: cupy.zeros(1), lambda: cupy.array([1])):
                with refused(name) as caught:
                    call()
                assert caught.value.status == status
    with refused("cudaErrorInvalidDevice"):
        cupy.cuda.Device(1).use()
    assert cupy.cuda.Device().compute_capability == "90"


# --- the module ------------------------------------------------------------------------------------------------------


def test_install_takes_the_place_of_cupy():
    code = (
        "from tests import emulated_cuda; emulated_cuda.install(); emulated_cuda.install()\n"
        "import importlib.util, cupy, cupy.cuda.cublas\n"
        "from cupy.cuda import runtime\n"
        "from cupy.cuda.compiler import CompileException\n"
        "assert importlib.util.find_spec('cupy') and cupy is emulated_cuda.cupy and runtime.getDeviceCount() == 1\n"
        "from tinygrad_gpt.kernels import registry\n"
        "print(*(v.name for v in registry.versions('gelu', 'cuda')))"
    )
    assert _python(code).stdout.split() == ["cuda", "reference"]
    late = _python("import sys, types; sys.modules['cupy'] = types.ModuleType('cupy')\n" + code)
    assert "before anything imports cupy" in late.stderr


def _python(code: str):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def _public_names(module, path="") -> set[str]:
    names = set()
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        names.add(path + name)
        if isinstance(value, types.ModuleType):
            names |= _public_names(value, f"{path}{name}.")
        elif isinstance(value, type) and value.__module__.startswith("cupy"):
            names |= {f"{path}{name}.{method}" for method in vars(value) if not method.startswith("_")}
    return names


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupy_has_all_that_the_emulation_has():
    code = (
        "import sys, operator, cupy\n"
        "for name in sys.stdin.read().split():\n"
        "    try: operator.attrgetter(name)(cupy)\n"
        "    except AttributeError: print(name)\n"
        "    except (ImportError, RuntimeError): pass"  # of cuBLAS, say, which is not installed here
    )
    names = " ".join(sorted(_public_names(cupy) | strict_array._FUNCTIONS))
    missing = subprocess.run([sys.executable, "-c", code], input=names, capture_output=True, text=True, check=True)
    assert missing.stdout.split() == []


# --- cuBLAS ----------------------------------------------------------------------------------------------------------

M, N, K = 5, 7, 6
FLOAT, DOUBLE, BFLOAT16 = runtime.CUDA_R_32F, runtime.CUDA_R_64F, runtime.CUDA_R_16BF
KINDS = {
    "float32": (np.float32, FLOAT, cublas.CUBLAS_COMPUTE_32F, 1e-6),
    "float64": (np.float64, DOUBLE, cublas.CUBLAS_COMPUTE_64F, 1e-14),
    "tf32": (np.float32, FLOAT, cublas.CUBLAS_COMPUTE_32F_FAST_TF32, 1e-6),
}


def by_columns(shape: tuple, ld: int, dtype, seed: int):
    """(memory on the GPU, the matrix in it): a matrix whose columns lie `ld` elements apart."""
    memory = np.random.default_rng(seed).standard_normal((shape[1], ld)).astype(dtype)
    # The last column ends with its last row: beyond it nothing may be read.
    flat = memory.ravel()[: (shape[1] - 1) * ld + shape[0]]
    return cupy.asarray(flat), memory[:, : shape[0]].T


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """float32 to the nearest number with `bits` bits behind the first, by another way than the emulation's."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(mantissa * 2 ** (bits + 1)), exponent - bits - 1)


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("turn_b", [0, 1])
@pytest.mark.parametrize("turn_a", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_products(kind, turn_a, turn_b, beta):
    dtype, number, compute, tolerance = KINDS[kind]
    a_memory, a = by_columns((K, M) if turn_a else (M, K), 9, dtype, 1)
    b_memory, b = by_columns((N, K) if turn_b else (K, N), 8, dtype, 2)
    c_memory, c = by_columns((M, N), 11, dtype, 3)
    before = c_memory.get()
    if beta == 0:
        c_memory[...] = np.nan
    a, b = (x.T if turn else x for x, turn in ((a, turn_a), (b, turn_b)))
    right = 2.0 * (rounded(a, 10) @ rounded(b, 10) if kind == "tf32" else a.astype(float) @ b.astype(float)) + beta * c
    alpha, beta = np.array(2, dtype), np.array(beta, dtype)
    cublas.gemmEx(
        1, turn_a, turn_b, M, N, K, alpha.ctypes.data, a_memory.data.ptr, number, 9, b_memory.data.ptr, number, 8,
        beta.ctypes.data, c_memory.data.ptr, number, 11, compute, cublas.CUBLAS_GEMM_DEFAULT,
    )  # fmt: skip
    got = np.resize(c_memory.get(), (N, 11))
    np.testing.assert_allclose(got[:, :M].T, right, rtol=0, atol=50 * tolerance)
    if beta:
        between = np.resize(np.arange(before.size), (N, 11))[:-1, M:].ravel()
        np.testing.assert_array_equal(c_memory.get()[between], before[between])


@pytest.mark.parametrize("out", [FLOAT, BFLOAT16])
def test_products_of_bfloat16_in_batches(out):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, K, M), (4, N, K)))
    a, b = ((x.view(np.uint32) >> 16 << 16).view(np.float32) for x in (a, b))  # numbers that bfloat16 has
    a_gpu, b_gpu = (cupy.asarray((x.view(np.uint32) >> 16).astype(np.uint16)) for x in (a, b))
    c = cupy.empty((4, N, M), np.float32 if out == FLOAT else np.uint16)
    one, zero = np.float32([1]), np.float32([0])
    cublas.gemmStridedBatchedEx(
        1, 0, 0, M, N, K, one.ctypes.data, a_gpu.data.ptr, BFLOAT16, M, M * K, b_gpu.data.ptr, BFLOAT16, K, K * N,
        zero.ctypes.data, c.data.ptr, out, M, M * N, 4, cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_GEMM_DEFAULT,
    )  # fmt: skip
    right = b @ a  # by rows, what is a b by columns
    if out == FLOAT:
        np.testing.assert_allclose(c.get(), right, rtol=1e-5, atol=1e-5)
    else:
        got = (c.get().astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_allclose(got, rounded(right, 7), rtol=2**-7, atol=1e-6)
        assert np.mean(got == rounded(right, 7)) > 0.95


def test_products_with_wrong_arguments():
    x, one = cupy.zeros(30, np.float32), np.float32([1])

    def product(m=5, n=5, k=6, lda=5, kinds=(FLOAT, FLOAT, FLOAT), compute=cublas.CUBLAS_COMPUTE_32F):
        pointers = (x.data.ptr, kinds[0], lda, x.data.ptr, kinds[1], 6, one.ctypes.data, x.data.ptr, kinds[2], 5)
        cublas.gemmEx(1, 0, 0, m, n, k, one.ctypes.data, *pointers, compute, -1)

    product()
    for settings in ({"m": 6}, {"m": -1}, {"lda": 4}):
        with pytest.raises(CUBLASError, match="INVALID_VALUE"):
            product(**settings)
    for settings in ({"kinds": (FLOAT, DOUBLE, FLOAT)}, {"compute": cublas.CUBLAS_COMPUTE_64F}):
        with pytest.raises(CUBLASError, match="NOT_SUPPORTED"):
            product(**settings)
    for settings in ({"n": 6}, {"lda": 6}):
        with refused("beyond the memory"):
            product(**settings)


# --- graphs ----------------------------------------------------------------------------------------------------------


def captured(work, stream=None):
    stream = stream or cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            result = work()
        except BaseException:
            with pytest.raises(_errors.CUDARuntimeError):  # a capture that failed has no graph
                stream.end_capture()
            raise
        return stream.end_capture(), result


@needs_compiler
def test_a_graph_repeats_everything_on_the_same_memory():
    code = 'extern "C" __global__ void twice(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }'
    twice = cupy.RawModule(code=code).get_function("twice")
    x, total, one = cupy.ones((3, 3), np.float32), cupy.zeros((), np.float32), np.float32([1])
    pointer = ctypes.c_void_p

    def work():
        y = cupy.empty_like(x)
        twice((1,), (9,), (x, y))  # a kernel
        z = cupy.ascontiguousarray(np.exp(y.T) + y[0])  # functions, views
        z[1:] *= 3  # in place
        product = cupy.ones((3, 3), np.float32)
        operands = ((pointer(a.data.ptr), FLOAT, 3) for a in (x, z, product))
        (*x_z, to), factor = operands, pointer(one.ctypes.data)
        library = ctypes.PyDLL(cublas.__file__)  # cuBLAS itself, since CuPy would refuse
        assert library.cublasSetStream_v2(pointer(1), pointer(cupy.cuda.get_current_stream().ptr)) == 0
        arguments = (3, 3, 3, factor, *x_z[0], *x_z[1], factor, *to, cublas.CUBLAS_COMPUTE_32F, -1)
        assert library.cublasGemmEx(pointer(1), 0, 0, *arguments) == 0
        np.add.at(total, (), product.sum())
        return product

    graph, result = captured(work)
    for value in (0.5, -1.0):
        x[...] = value
        before = total.item()
        graph.launch()
        y = np.full((3, 3), 2 * value)
        z = np.exp(y) + y
        z[1:] *= 3
        np.testing.assert_allclose(result.get(), z * 3 * value + 1, rtol=1e-5)
        assert total.item() == pytest.approx(before + np.sum(z * 3 * value + 1), rel=1e-5)


PRODUCTS = {
    "gemmEx": lambda x: cublas.gemmEx(1, 0, 0, 1, 1, 1, 0, 0, FLOAT, 1, 0, FLOAT, 1, 0, 0, FLOAT, 1, 68, -1),
    "@": lambda x: x @ x,
    "matmul": lambda x: cupy.matmul(x, x),
    "dot": lambda x: x.dot(x),
}


@needs_compiler
@pytest.mark.parametrize("how", PRODUCTS)
def test_cupy_refuses_products_while_a_stream_captures(how):
    x = cupy.ones((3, 3))
    with cupy.cuda.Stream() as stream:
        stream.begin_capture()
        with pytest.raises(NotImplementedError, match="calling cuBLAS API"):
            PRODUCTS[how](x)
        y = x + 1
        graph = stream.end_capture()  # no harm was done
    graph.launch()
    assert (y.get() == 2).all()


def test_a_graph_uses_the_memory_of_arrays_that_are_gone():
    x = cupy.ones(7)
    graph, result = captured(lambda: (x + 1) * 2 + 3)
    others = [cupy.zeros(7) for _ in range(8)]  # from the same pool
    x[...] = 5
    graph.launch()
    assert (result.get() == 15).all()
    assert any(other.any() for other in others), "what the graph had for itself lay beside its result"


WAITING = {
    "get": lambda x: x.get(),
    "item": lambda x: x[0].item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool(x.any()),
    "print": lambda x: repr(x) and x.tolist(),
    "set": lambda x: x.set(np.ones(3)),
    "synchronize the stream": lambda x: cupy.cuda.get_current_stream().synchronize(),
    "synchronize the device": lambda x: cupy.cuda.Device().synchronize(),
}


@pytest.mark.parametrize("what", WAITING)
def test_what_waits_cannot_be_captured(what):
    x = cupy.ones(3)
    with refused("cudaErrorStreamCaptureUnsupported"):
        captured(lambda: WAITING[what](x))
    graph, y = captured(lambda: x + 1)
    graph.launch()
    assert (y.get() == 2).all()


@pytest.mark.parametrize("copy", [lambda: cupy.asarray(np.ones(3)), lambda: cupy.array([1.0])], ids=["array", "list"])
@pytest.mark.parametrize("then", [lambda x, y: x + 1, lambda x, y: y.get(), lambda x, y: None])
def test_a_copy_from_the_cpu_ends_a_capture_without_a_word(copy, then):
    """The next call of the driver says so, or the end."""
    x = cupy.ones(3)
    with pytest.raises(RuntimeError) as caught:
        captured(lambda: then(x, copy()))
    if isinstance(caught.value, _errors.CUDADriverError):
        assert "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" in str(caught.value)
    else:
        assert "cudaErrorStreamCapture" in str(caught.value)


def test_a_number_from_the_cpu_is_captured():
    x = cupy.ones(3)
    graph, y = captured(lambda: x + cupy.asarray(np.float64(2)))
    for value in (5, 7):
        x[...] = value
        graph.launch()
        assert (y.get() == value + 2).all()


def test_memory_for_copies_from_the_cpu_may_be_refused():
    def refuse(size):
        raise MemoryError(f"no {size} bytes")

    cupy.cuda.set_pinned_memory_allocator(refuse)
    try:
        with pytest.raises(MemoryError, match="no 24 bytes"):
            cupy.asarray(np.ones(3))
        assert cupy.asarray(2.0) == 2 and cupy.ones(3).sum() == 3
    finally:
        cupy.cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)
    assert cupy.asarray(np.ones(3)).sum() == 3


def test_captures_on_streams_that_cannot():
    with pytest.raises(RuntimeError, match="default"):
        cupy.cuda.Stream.null.begin_capture()
    stream, x = cupy.cuda.Stream(), cupy.ones(3)
    stream.begin_capture()
    with refused("cudaErrorStreamCaptureImplicit"):
        x + 1  # on the default stream
    with refused("cudaErrorStreamCaptureInvalidated"):
        stream.end_capture()
    with refused("cudaErrorIllegalState"):
        stream.end_capture()
