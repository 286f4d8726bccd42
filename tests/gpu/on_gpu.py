"""What the GPU's tests share: whether there is a GPU, real or emulated, and bringing arrays there and back.

With TINYGRAD_GPT_EMULATE_GPU=1 in the environment the emulation (tests/emulated_cuda) takes CuPy's place.
"""

import os

import numpy as np

from tinygrad_gpt.cases import cases

emulated = os.environ.get("TINYGRAD_GPT_EMULATE_GPU") == "1"


def why_not() -> str | None:
    """Why the GPU's tests cannot run here, or None."""
    if emulated:
        from tests import emulated_cuda

        if emulated_cuda.COMPILER is None:
            return "the emulation of a GPU needs g++ on Linux"
        emulated_cuda.install()
        return None
    try:
        import cupy

        cupy.zeros(1).get()
    except Exception as error:  # not installed, no driver, no GPU: whatever it is, it is the reason
        return f"no GPU: {type(error).__name__}: {error} (TINYGRAD_GPT_EMULATE_GPU=1 runs these tests on the CPU)"
    return None


WHY_NOT = why_not()


def cases_of(op: str) -> list:
    """The cases of an op; of attention without the large ones where one thread runs after the other, which takes
    minutes (test_attention.py has sizes around its blocks)."""
    return cases(op, large=not (emulated and op == "attention"))


def to_gpu(x):
    """NumPy arrays in `x` (an array, or tuples and lists of some) on the GPU; everything else as it is."""
    import cupy

    if isinstance(x, tuple | list):
        return type(x)(to_gpu(part) for part in x)
    return cupy.asarray(x) if isinstance(x, np.ndarray) else x


def to_cpu(x):
    """The same back. AssertionError for a NumPy array: what a GPU computes is to lie on the GPU."""
    import cupy

    if isinstance(x, tuple | list):
        return type(x)(to_cpu(part) for part in x)
    assert not isinstance(x, np.ndarray), "a NumPy array where one on the GPU is expected"
    return x.get() if isinstance(x, cupy.ndarray) else x
