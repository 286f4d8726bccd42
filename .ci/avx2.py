"""Pin this machine, which is an x86-64, to AVX2:  eval "$(python .ci/avx2.py)"  in a shell.

Prints the environment in which

    Numba     compiles for Haswell, the first processor with AVX2, and without what came after it
    OpenBLAS  multiplies with Haswell's kernels
    NumPy     runs no loop of its own that was made for AVX-512
"""

import shlex

import llvmlite.binding
from numpy._core._multiarray_umath import __cpu_dispatch__ as numpys_loops

LATER = ("avx512", "avx10", "amx")  # as LLVM's names of features begin

features = llvmlite.binding.get_host_cpu_features().flatten().split(",")
settings = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": ",".join(f"-{f[1:]}" if f[1:].startswith(LATER) else f for f in features),
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in numpys_loops if "512" in name or name == "X86_V4"),
}
for name, value in settings.items():
    print(f"export {name}={shlex.quote(value)}")
