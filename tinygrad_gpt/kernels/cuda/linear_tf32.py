"""The linear layer with products of TF32 numbers, added up in float32: linear.py by tensor cores. All arrays are
float32; neither weights nor results are rounded, nor the bias and its gradient."""

from tinygrad_gpt.kernels.cuda import linear
from tinygrad_gpt.kernels.cuda.machine import cublas

backward = linear.backward  # in the precision that is saved


def missing() -> str | None:
    """Why there are no such products here, or None where there are."""
    return cublas.missing()


def why_not(x, weight, bias=None):
    return cublas.why_not_rounded("tf32", x, weight, bias)


def forward(x, weight, bias=None):
    return linear.forward_in("tf32", x, weight, bias)
