"""cupy.cuda.cublas: products of matrices from addresses.

cuBLAS reads memory column by column: the element (i, j) of a matrix with leading dimension ld lies at i + j * ld.
"""

import ctypes
from functools import cache

import numpy as np

from tests.emulated_cuda import _capture, _memory
from tests.emulated_cuda._errors import CUDARuntimeError

CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C = 0, 1, 2
CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE = 0, 1
CUBLAS_DEFAULT_MATH, CUBLAS_TENSOR_OP_MATH = 0, 1
TF32_MATH = 3  # CUBLAS_TF32_TENSOR_OP_MATH, which CuPy takes and has no name for
CUBLAS_COMPUTE_16F, CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_PEDANTIC = 64, 68, 69
CUBLAS_COMPUTE_32F_FAST_16F, CUBLAS_COMPUTE_32F_FAST_16BF, CUBLAS_COMPUTE_32F_FAST_TF32 = 74, 75, 77
CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_64F_PEDANTIC = 70, 71
CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP = -1, 99
FLOAT, DOUBLE, BFLOAT16 = 0, 1, 14  # runtime.CUDA_R_32F, CUDA_R_64F, CUDA_R_16BF

_DTYPES = {FLOAT: np.dtype(np.float32), DOUBLE: np.dtype(np.float64), BFLOAT16: np.dtype(np.uint16)}
_state = {"math": CUBLAS_DEFAULT_MATH, "pointers": CUBLAS_POINTER_MODE_HOST}


class CUBLASError(RuntimeError):
    """What cuBLAS refuses."""

    __module__ = "cupy_backends.cuda.libs.cublas"

    def __init__(self, status: str):
        super().__init__(status)


def setMathMode(handle: int, mode: int) -> None:  # noqa: N802
    _state["math"] = mode


def getMathMode(handle: int) -> int:  # noqa: N802
    return _state["math"]


def setPointerMode(handle: int, mode: int) -> None:  # noqa: N802
    _state["pointers"] = mode


def getPointerMode(handle: int) -> int:  # noqa: N802
    return _state["pointers"]


def sgemm(handle, transa, transb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc):
    tf32 = _state["math"] == TF32_MATH
    compute = CUBLAS_COMPUTE_32F_FAST_TF32 if tf32 else CUBLAS_COMPUTE_32F
    gemmEx(handle, transa, transb, m, n, k, alpha, A, FLOAT, lda, B, FLOAT, ldb, beta, C, FLOAT, ldc, compute, -1)


def dgemm(handle, transa, transb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc):
    types = (DOUBLE, CUBLAS_COMPUTE_64F)
    gemmEx(handle, transa, transb, m, n, k, alpha, A, DOUBLE, lda, B, DOUBLE, ldb, beta, C, DOUBLE, ldc, types[1], -1)


def sgemmStridedBatched(  # noqa: N802
    handle, transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc, strideC, batchCount
):
    tf32 = _state["math"] == TF32_MATH
    compute = CUBLAS_COMPUTE_32F_FAST_TF32 if tf32 else CUBLAS_COMPUTE_32F
    a, b, c = (A, FLOAT, lda, strideA), (B, FLOAT, ldb, strideB), (C, FLOAT, ldc, strideC)
    gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, *a, *b, beta, *c, batchCount, compute, -1)


def dgemmStridedBatched(  # noqa: N802
    handle, transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc, strideC, batchCount
):
    a, b, c = (A, DOUBLE, lda, strideA), (B, DOUBLE, ldb, strideB), (C, DOUBLE, ldc, strideC)
    gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, *a, *b, beta, *c, batchCount, CUBLAS_COMPUTE_64F, -1)


def gemmEx(  # noqa: N802
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc, computeType, algo
):
    """C = alpha op(A) op(B) + beta C."""
    a, b, c = (A, Atype, lda, 0), (B, Btype, ldb, 0), (C, Ctype, ldc, 0)
    gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, *a, *b, beta, *c, 1, computeType, algo)


def gemmStridedBatchedEx(  # noqa: N802
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C, Ctype, ldc,
    strideC, batchCount, computeType, algo,
):  # fmt: skip
    """The same for batchCount matrices, each `stride` elements after the one before."""
    _capture.refuse_cublas()
    _products(
        handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C, Ctype, ldc,
        strideC, batchCount, computeType, algo,
    )  # fmt: skip


def _products(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C, Ctype, ldc,
    strideC, batchCount, computeType, algo,
):  # fmt: skip
    """cuBLAS itself, which has nothing against being captured."""
    _check(transa, transb, m, n, k, (Atype, Btype, Ctype), (lda, ldb, ldc), computeType)
    at_compute = np.dtype(
        np.float64 if computeType in (CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_64F_PEDANTIC) else np.float32
    )
    on_gpu = _state["pointers"] == CUBLAS_POINTER_MODE_DEVICE
    alpha_beta = None if on_gpu else [_scalar(p, at_compute) for p in (alpha, beta)]  # read when called
    tf32 = computeType == CUBLAS_COMPUTE_32F_FAST_TF32

    def step():
        x, y = alpha_beta or [_scalar(p, at_compute) for p in (alpha, beta)]
        for i in range(batchCount):
            a = _read(A, Atype, m, k, lda, transa, i * strideA, tf32)
            b = _read(B, Btype, k, n, ldb, transb, i * strideB, tf32)
            c = _columns(C, Ctype, m, n, ldc, i * strideC)
            product = x * (a @ b)
            if y != 0:  # with beta = 0, C may hold NaN
                product = product + y * _as_float(c, Ctype)
            c[...] = _bfloat16(product) if Ctype == BFLOAT16 else product

    def check(name, pointer, kind, rows, columns, ld, stride):
        elements = (batchCount - 1) * stride + (columns - 1) * ld + rows
        size = elements * _DTYPES[kind].itemsize
        if rows and columns and batchCount and _memory.containing(int(pointer), size) is None:
            raise CUDARuntimeError(700, f"cuBLAS goes beyond the memory of {name}: {size} bytes from {int(pointer):#x}")

    check("A", A, Atype, *((k, m) if transa else (m, k)), lda, strideA)
    check("B", B, Btype, *((n, k) if transb else (k, n)), ldb, strideB)
    check("C", C, Ctype, m, n, ldc, strideC)
    step()
    _capture.record(step)


def _check(transa, transb, m, n, k, types, lds, compute) -> None:
    a_type, b_type, c_type = types
    rows = (k if transa else m, n if transb else k, m)
    if min(m, n, k) < 0 or any(ld < max(1, r) for ld, r in zip(lds, rows, strict=True)):
        raise CUBLASError(f"CUBLAS_STATUS_INVALID_VALUE (m, n, k = {m, n, k}, leading dimensions {lds})")
    double = compute in (CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_64F_PEDANTIC)
    known = (DOUBLE,) * 3 if double else (FLOAT,) * 3
    bfloat16 = not double and a_type == b_type == BFLOAT16 and c_type in (BFLOAT16, FLOAT)
    bfloat16 = bfloat16 and compute in (CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_PEDANTIC)
    if types != known and not bfloat16:
        raise CUBLASError(f"CUBLAS_STATUS_NOT_SUPPORTED (types {types}, compute type {compute})")


def _scalar(pointer: int, dtype: np.dtype):
    return np.frombuffer(ctypes.string_at(pointer, dtype.itemsize), dtype)[0]


def _columns(address, kind, rows, columns, ld, offset=0) -> np.ndarray:
    """The matrix at an address, as an array (rows, columns)."""
    dtype = _DTYPES[kind]
    if rows == 0 or columns == 0:
        return np.empty((rows, columns), dtype)
    count = (columns - 1) * ld + rows
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(int(address) + offset * dtype.itemsize)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (dtype.itemsize, ld * dtype.itemsize))


def _read(address, kind, rows, columns, ld, transposed, offset, tf32) -> np.ndarray:
    shape = (columns, rows) if transposed else (rows, columns)
    x = _as_float(_columns(address, kind, *shape, ld, offset), kind)
    if tf32:
        x = _tf32(x)
    return x.T if transposed else x


def _as_float(x: np.ndarray, kind: int) -> np.ndarray:
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32) if kind == BFLOAT16 else x


def _rounded(x: np.ndarray, dropped: int) -> np.ndarray:
    """float32 to the nearest number whose last `dropped` bits are zero, ties to even; as bits."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    half = np.uint32((1 << (dropped - 1)) - 1)
    even = (bits >> np.uint32(dropped)) & np.uint32(1)
    rounded = (bits + half + even) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return np.where(np.isfinite(x), rounded, bits)


def _tf32(x: np.ndarray) -> np.ndarray:
    return _rounded(x, 13).view(np.float32)


def _bfloat16(x: np.ndarray) -> np.ndarray:
    return (_rounded(x, 16) >> np.uint32(16)).astype(np.uint16)


# --- the library itself, for those who call it without CuPy -----------------------------------------------------------

# A library of functions with cuBLAS's names and parameters, which call the function of Python's that `answer` holds.
SOURCE = """
typedef long long far;
typedef int (*Answer)(int, const void*, int, int, int, int, int, const void*, const void*, int, int, far, const void*,
                      int, int, far, const void*, void*, int, int, far, int, int, int);
extern "C" {
Answer answer;
int cublasSetStream_v2(void* handle, void* stream) {
    return answer(0, stream, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}
int cublasGemmEx(void* handle, int transa, int transb, int m, int n, int k, const void* alpha, const void* A, int Atype,
                 int lda, const void* B, int Btype, int ldb, const void* beta, void* C, int Ctype, int ldc,
                 int computeType, int algo) {
    return answer(1, handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta, C, Ctype, ldc, 0,
                  1, computeType, algo);
}
int cublasGemmStridedBatchedEx(void* handle, int transa, int transb, int m, int n, int k, const void* alpha,
                               const void* A, int Atype, int lda, far strideA, const void* B, int Btype, int ldb,
                               far strideB, const void* beta, void* C, int Ctype, int ldc, far strideC, int batchCount,
                               int computeType, int algo) {
    return answer(1, handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C,
                  Ctype, ldc, strideC, batchCount, computeType, algo);
}
}
"""
_int, _far, _pointer = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_matrix = (_pointer, _int, _int, _far)
_Answer = ctypes.PYFUNCTYPE(
    _int, _int, _pointer, *[_int] * 5, _pointer, *_matrix, *_matrix, _pointer, *_matrix, _int, _int, _int
)
SUCCESS, INVALID_VALUE, EXECUTION_FAILED = 0, 7, 13
_stream: int | None = None  # that was set last


@_Answer
def _answer(is_product, handle_or_stream, *arguments) -> int:
    global _stream
    if not is_product:
        _stream = handle_or_stream or 0
        return SUCCESS
    if _stream != _capture.current_streams[-1].ptr:
        return EXECUTION_FAILED
    try:
        _products(handle_or_stream, *arguments)
    except CUBLASError:
        return INVALID_VALUE
    except RuntimeError:
        return EXECUTION_FAILED
    return SUCCESS


@cache
def file() -> str:
    """Where the library is."""
    from tests.emulated_cuda._kernels import _compiled

    path = _compiled(SOURCE, ("-shared", "-fPIC", "-O1"))
    ctypes.c_void_p.in_dll(ctypes.PyDLL(str(path)), "answer").value = ctypes.cast(_answer, ctypes.c_void_p).value
    return str(path)
