"""NumPy's own matrix product, callable from inside a kernel.

NumPy's wheels bring OpenBLAS along, already loaded when this file is. We look up the C functions in it by name and make
them known to Numba's linker under names of our own, so that compiled kernels call them directly and can be cached on
disk: a cached kernel remembers the name, and each process gives the name its address.

Where NumPy was built on something else (Accelerate on macOS, MKL in conda), the functions are not found, `AVAILABLE` is
False, and kernels that need them leave their op to the reference, which is NumPy's `@`.

OpenBLAS chooses among its own kernels by the processor's model, and for a model that it does not know yet it may choose
those of an old one: version 0.3.31 multiplies in AVX2's vectors on AMD's Zen 5, which has AVX-512's. Hence packed.py.
"""

import ctypes
import pathlib

import llvmlite.binding
import numpy as np
from numba import types
from numba.extending import overload

# How builds of OpenBLAS name their functions (prefix, suffix), and how wide the integers are that they take: NumPy's
# wheels, wheels with 32-bit integers, and the builds of Linux distributions and conda.
_NAMINGS = (("scipy_", "64_", 64), ("scipy_", "", 32), ("", "64_", 64), ("", "", 32))


def _libraries():
    """The files that may hold OpenBLAS: NumPy's core, through which Linux and macOS find what it is linked to, and the
    folders in which wheels put the libraries they bring."""
    package = pathlib.Path(np.__file__).parent
    yield np._core._multiarray_umath.__file__
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        yield from sorted(str(file) for file in folder.glob("*openblas*"))


def _find() -> tuple:
    """(sgemm, dgemm, openblas_set_num_threads, width of integers), or () unless one library has all three."""
    for file in _libraries():
        for prefix, suffix, width in _NAMINGS:
            names = (f"{prefix}{name}{suffix}" for name in ("cblas_sgemm", "cblas_dgemm", "openblas_set_num_threads"))
            try:
                library = ctypes.CDLL(file)
                return (*(getattr(library, name) for name in names), width)
            except (OSError, AttributeError):
                continue
    return ()


_found = _find() if ctypes.sizeof(ctypes.c_void_p) == 8 else ()
AVAILABLE = bool(_found)
_SYMBOLS = {"float32": "tinygrad_gpt_sgemm", "float64": "tinygrad_gpt_dgemm"}
for _symbol, _function in zip(_SYMBOLS.values(), _found, strict=False):
    llvmlite.binding.add_symbol(_symbol, ctypes.cast(_function, ctypes.c_void_p).value)


def use_one_thread() -> None:
    """Let OpenBLAS compute in the thread that calls it from now on (machine/threads.py says why)."""
    if AVAILABLE:
        _found[2](ctypes.c_int(1))


def numpy_product(a, a_transposed: bool, b, b_transposed: bool, bias=None, *, out=None, adds: bool = False):
    """op(a) @ op(b) + bias by NumPy's `@`, where op transposes if asked to. (To be called from Python.)

    out, adds  as those of blas_tiles.product
    """
    a, b = a.T if a_transposed else a, b.T if b_transposed else b
    if adds:
        out += a @ b
        return out
    c = np.matmul(a, b, out=out)
    if bias is not None:
        c += bias
    return c


def _cblas_gemm(f):
    c_int, pointer = types.int32, types.intp
    integer = types.int64 if _found[3] == 64 else types.int32
    signature = types.void(
        c_int, c_int, c_int, integer, integer, integer, f, pointer, integer, pointer, integer, f, pointer, integer
    )
    return types.ExternalFunction(_SYMBOLS[f.name], signature)


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
