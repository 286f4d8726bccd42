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


def cannot_round(precision: str) -> str | None:
    """Why this processor has no products in this precision, tf32 or bfloat16, or None where it has."""
    from tinygrad_gpt.kernels.numba.product import bfloat16

    return bfloat16.missing() if precision == "bfloat16" else f"no kernel for the CPU multiplies in {precision}"
