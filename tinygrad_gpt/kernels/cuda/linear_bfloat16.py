"""The linear layer with products of bfloat16 numbers, added up in float32: linear.py by tensor cores. All arrays are
float32; neither weights nor results are rounded, nor the bias and its gradient."""

from tinygrad_gpt.kernels.cuda import linear
from tinygrad_gpt.kernels.cuda.machine import cublas

backward = linear.backward  # in the precision that is saved


def missing() -> str | None:
    """Why there are no such products here, or None where there are."""
    return cublas.missing()


def why_not(x, weight, bias=None):
    return cublas.why_not_rounded("bfloat16", x, weight, bias)


def forward(x, weight, bias=None):
    return linear.forward_in("bfloat16", x, weight, bias)
