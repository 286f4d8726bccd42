"""Call cuBLAS while CUDA records a graph.

cuBLAS lets its matrix products be recorded, and reads their factors from the CPU's memory once, at that time. CuPy
refuses to call cuBLAS during a recording (NotImplementedError), since not all of cuBLAS can be recorded. So this module
calls the same functions with the same arguments itself, with the handle that CuPy made.
"""

import ctypes
from functools import cache

from cupy.cuda import cublas, get_current_stream

NUMBER, FAR, POINTER = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
MATRIX, MATRICES = (POINTER, NUMBER, NUMBER), (POINTER, NUMBER, NUMBER, FAR)  # address, type, how far apart columns are
PARAMETERS = {
    "cublasSetStream_v2": (POINTER, POINTER),
    "cublasGemmEx": (POINTER, *[NUMBER] * 5, POINTER, *MATRIX, *MATRIX, POINTER, *MATRIX, NUMBER, NUMBER),
    "cublasGemmStridedBatchedEx": (
        *(POINTER, *[NUMBER] * 5, POINTER, *MATRICES, *MATRICES, POINTER, *MATRICES),
        *(NUMBER, NUMBER, NUMBER),
    ),
}


def call(name: str, handle: int, *arguments) -> None:
    """Call a function of cuBLAS by CuPy's name for it, gemmEx or gemmStridedBatchedEx, with the arguments that CuPy's
    takes. Raises CUBLASError as CuPy's does."""
    try:
        getattr(cublas, name)(handle, *arguments)
    except NotImplementedError:  # a graph is recorded
        _check(_function("cublasSetStream_v2")(handle, get_current_stream().ptr))
        _check(_function(f"cublas{name[0].upper()}{name[1:]}")(handle, *arguments))


def _check(status: int) -> None:
    if status != 0:
        raise cublas.CUBLASError(status)


@cache
def _function(name: str):
    """A function of cuBLAS itself, found through CuPy's library that is linked with it."""
    function = ctypes.PyDLL(cublas.__file__)[name]
    function.argtypes = PARAMETERS[name]
    return function
