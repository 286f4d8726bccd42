"""Small arrays are NumPy's: which kernels for the CPU leave them to the reference.

Ops that are a few of NumPy's loops gain from a kernel what its threads and one pass over memory gain. On small arrays
that is nothing, and Numba would have to be loaded, and the kernel compiled: whoever adds two numbers does not wait.
"""

from collections.abc import Callable

LEAST = 1 << 12  # elements
OPS = {
    "add", "div", "exp", "log_softmax", "matmul", "max", "maximum", "mean", "mul", "neg", "pow", "relu", "sigmoid",
    "silu", "softmax", "sqrt", "sub", "sum", "tanh", "where",
}  # fmt: skip


def why_not(op: str, arrays: tuple) -> str | None:
    """Why the kernel of this op, if it has one, leaves these arrays to the reference, as far as their sizes go; or
    None."""
    if op in OPS and all([a.size < LEAST for a in arrays]):
        return f"on fewer than {LEAST} elements NumPy's loops are as quick"
    return None


def asked_first(op: str, folder: str, kernels_own: Callable) -> Callable:
    """A kernel's `why_not`, which asks the one above first where that is about this op and this folder."""
    if folder != "numba" or op not in OPS:
        return kernels_own
    return lambda *arrays, **settings: why_not(op, arrays) or kernels_own(*arrays, **settings)
