"""The precision of float32 matrix products, in the whole process.

    set_matmul_precision("bfloat16")             # from here on
    with using_matmul_precision("bfloat16"): ... # in a block

float32   as they are
tf32      operands cut to TF32 (11 significant bits, float32's range) by the tensor cores of an NVIDIA GPU, products
          added up in float32: PyTorch's set_float32_matmul_precision("high")
bfloat16  operands rounded to bfloat16 (8 significant bits, float32's range), products added up in float32: what
          PyTorch's set_float32_matmul_precision("medium") allows

It is a permission: linear layers use it if the processor or the GPU has instructions for it, and else run in float32
(`tinygrad_gpt.explain` says why). Arrays are float32 either way. float64 does not change.
"""

import contextlib
from collections.abc import Iterator

from tinygrad_gpt.errors import did_you_mean

PRECISIONS = ("float32", "tf32", "bfloat16")

_precision = "float32"


def matmul_precision() -> str:
    """ "float32", unless `set_matmul_precision` said otherwise."""
    return _precision


def set_matmul_precision(precision: str) -> None:
    """Compute float32 matrix products this precisely from here on. Raises ValueError for what is not in PRECISIONS.

    A graph goes back the way it came: backward computes as its forward did.
    """
    global _precision
    if precision not in PRECISIONS:
        near = did_you_mean(precision, PRECISIONS)
        raise ValueError(f"set_matmul_precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}{near}")
    _precision = precision


@contextlib.contextmanager
def using_matmul_precision(precision: str) -> Iterator[None]:
    """Set the precision inside a `with` block, and restore the earlier one after it."""
    before = _precision
    set_matmul_precision(precision)
    try:
        yield
    finally:
        set_matmul_precision(before)
