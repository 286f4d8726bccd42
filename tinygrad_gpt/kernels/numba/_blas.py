"""NumPy's own matrix product, callable from inside a kernel.

NumPy's wheels bring OpenBLAS along, already loaded when this file is. We look up the C functions in it by name and make
them known to Numba's linker under names of our own, so that compiled kernels call them directly and can be cached on
disk: a cached kernel remembers the name, and each process gives the name its address.

    gemm(m, n, k, a, lda, a_transposed, b, ldb, b_transposed, beta, c, ldc)     c = a @ b + beta c

Where NumPy was built on something else (Accelerate on macOS, MKL in conda), the functions are not found, `AVAILABLE` is
False, and kernels that need them leave their op to the reference, which is NumPy's `@`.
"""

import ctypes
import pathlib

import llvmlite.binding
import numpy as np
from numba import types
from numba.extending import overload

_GEMM = {"float32": "scipy_cblas_sgemm64_", "float64": "scipy_cblas_dgemm64_"}
_SET_THREADS, _GET_THREADS = "scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"


def _libraries():
    """The files that may hold OpenBLAS: NumPy's core, through which Linux and macOS find what it is linked to, and the
    folders in which wheels put the libraries they bring."""
    package = pathlib.Path(np.__file__).parent
    yield np._core._multiarray_umath.__file__
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        yield from sorted(str(file) for file in folder.glob("*openblas*"))


def _find() -> dict[str, int]:
    """Address of each function that we need, or nothing unless all are in one library."""
    names = (*_GEMM.values(), _SET_THREADS, _GET_THREADS)
    for file in _libraries():
        try:
            library = ctypes.CDLL(file)
            return {name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in names}
        except (OSError, AttributeError):
            continue
    return {}


_addresses = _find()
AVAILABLE = bool(_addresses) and ctypes.sizeof(ctypes.c_void_p) == 8
for _name, _address in _addresses.items():
    llvmlite.binding.add_symbol("tinygrad_gpt_" + _name, _address)


def describe() -> str:
    """Which product linear layers use here, and why."""
    if AVAILABLE:
        return "NumPy's OpenBLAS, one tile for each thread, called from inside kernels"
    return "np.matmul (no OpenBLAS with 64-bit integers in this NumPy that kernels could call)"


def _cblas_gemm(f):
    c_int, integer, pointer = types.int32, types.int64, types.intp
    signature = types.void(
        c_int, c_int, c_int, integer, integer, integer, f, pointer, integer, pointer, integer, f, pointer, integer
    )
    return types.ExternalFunction("tinygrad_gpt_" + _GEMM[f.name], signature)


set_blas_threads = types.ExternalFunction("tinygrad_gpt_" + _SET_THREADS, types.void(types.int32))
get_blas_threads = types.ExternalFunction("tinygrad_gpt_" + _GET_THREADS, types.int32())

_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112  # CBLAS's constants


def gemm(m, n, k, a, lda, a_transposed, b, ldb, b_transposed, beta, c, ldc):
    """c = a @ b + beta c for m x n elements of c, in the calling thread; only inside kernels.

    a, b, c        addresses of the first elements
    lda, ldb, ldc  elements from one row in memory to the next
    transposed     whether a lies in memory as (k, m) instead of (m, k), b as (n, k) instead of (k, n)
    beta           float32 or float64: the type of all elements
    """
    raise NotImplementedError("for kernels")


@overload(gemm, jit_options={"nogil": True})
def _gemm(m, n, k, a, lda, a_transposed, b, ldb, b_transposed, beta, c, ldc):
    cblas_gemm = _cblas_gemm(beta)

    def call(m, n, k, a, lda, a_transposed, b, ldb, b_transposed, beta, c, ldc):
        a_order = _TRANSPOSED if a_transposed else _PLAIN
        b_order = _TRANSPOSED if b_transposed else _PLAIN
        cblas_gemm(_ROW_MAJOR, a_order, b_order, m, n, k, 1.0, a, lda, b, ldb, beta, c, ldc)

    return call
