"""The fast pairs for the CPU, compiled by Numba.

A file holds plain Python that brings arrays into the layout that its kernels expect, and the kernels.

    machine/    what every kernel is made with: how it is compiled, cached and run by all threads; layouts; exp
    product/    matrix products, from vector instructions to the ladder that explains them
    flash/      parts of attention.py, and the ladder that explains it
"""

from tinygrad_gpt.kernels.numba.machine import cores  # noqa: F401 - it watches them while Numba loads

PRECISIONS = {"linear": ("bfloat16",), "gelu_linear": ("bfloat16",)}  # the ops whose kernels also round


def missing() -> str | None:
    """Why no kernel can run in this process, or None. Raises whatever loading Numba's compiler raises."""
    from numba import config

    if config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT switches Numba's compiler off"
    from tinygrad_gpt.kernels.numba.machine import compile  # noqa: F401 - to see whether it loads

    return None


def fewer_threads() -> str | None:
    """Why kernels run on fewer threads than there are cores, and what to do; or None. Starts the threads."""
    from tinygrad_gpt.kernels.numba.machine import threads

    return threads.why_fewer()


def chosen() -> str:
    """What the kernels compute with on this processor, and why, in a line for people to read."""
    from tinygrad_gpt.kernels.numba import linear
    from tinygrad_gpt.kernels.numba.product import registers

    names = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "neon": "NEON"}
    vectors = next((name for feature, name in names.items() if registers.has(feature)), "SSE")
    floats = registers.VECTOR_BYTES // 4
    products = {  # by where the layer's product comes from
        "packed": "our own matrix product, which is faster with them",
        "blas_tiles": "matrix products by NumPy's OpenBLAS, in tiles, as ours needs wider vectors",
        "blas": "matrix products by NumPy, in which no OpenBLAS was found that kernels can call",
    }
    block = f"blocks of {registers.TALL} x {registers.VECTORS * floats} sums in its {registers.REGISTERS} registers"
    product = products[linear.product.__module__.rpartition(".")[2]]
    return f"{vectors}: vectors of {floats} float32, {block}; {product}"


def rounds_by() -> str:
    """What multiplies bfloat16 numbers on a processor that can."""
    from tinygrad_gpt.kernels.numba.product import bfloat16

    return "tiles (AMX)" if bfloat16.TILES else "dot products (AVX512_BF16)"


def cannot_round(precision: str) -> str | None:
    """Why this processor has no products in this precision, tf32 or bfloat16, or None where it has."""
    from tinygrad_gpt.kernels.numba.product import bfloat16

    return bfloat16.missing() if precision == "bfloat16" else f"no kernel for the CPU multiplies in {precision}"
