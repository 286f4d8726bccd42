"""gelu_linear.py with products of bfloat16 numbers, as in linear_bfloat16.py. The GELU is float32's."""

from tinygrad_gpt.kernels.cuda import gelu_linear
from tinygrad_gpt.kernels.cuda.machine import cublas

backward = gelu_linear.backward  # in the precision that is saved


def why_not(x, weight, bias=None, *, approximate="tanh"):
    return cublas.why_not_rounded("bfloat16", x, weight, bias)


def forward(x, weight, bias=None, *, approximate="tanh"):
    return gelu_linear.forward_in("bfloat16", x, weight, bias, approximate)
