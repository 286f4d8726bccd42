"""A stand-in for CuPy on a machine that has no GPU: the package's GPU path runs on it, Python and CUDA C++ alike.

    from tests import emulated_cuda
    emulated_cuda.install()      # before anything has imported cupy: from now on `import cupy` gives the emulation

What is real: the package's own Python, down to each call of CuPy; the very text of its kernels, which g++ compiles and
runs. What is not: speed, and CuPy and cuBLAS themselves, in whose place NumPy works. The emulation is stricter than a
GPU where it can be, since all it is for is to show mistakes:

    _array      the array: refuses silent conversion, as tests/strict_array.py does; new memory is full of NaN
    _memory     each array ends at a page that cannot be read, so that a kernel that goes too far is caught in the act
    _kernels    RawModule and RawKernel: compile, check the arguments, launch
    cuda_on_cpu.h, fibers.h   CUDA C++ for g++: the threads of a block run in turn, in an order that a test chooses
    _cublas     products of matrices, from addresses, with cuBLAS's meaning of its arguments
    _capture    streams, and graphs: what was launched while capturing runs again
    _runtime    devices, and the errors of machines that have none
    _module     puts it all together as a module named cupy
"""

from tests.emulated_cuda._array import calls
from tests.emulated_cuda._kernels import COMPILER, compiled, in_every_order, order
from tests.emulated_cuda._module import cupy, install, is_installed

__all__ = ["COMPILER", "calls", "compiled", "cupy", "in_every_order", "install", "is_installed", "order"]
