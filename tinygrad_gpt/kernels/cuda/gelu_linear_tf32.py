"""gelu_linear.py with products of TF32 numbers, as in linear_tf32.py. The GELU is float32's."""

from tinygrad_gpt.kernels.cuda import gelu_linear
from tinygrad_gpt.kernels.cuda.machine import cublas

backward = gelu_linear.backward  # in the precision that is saved


def why_not(x, weight, bias=None, *, approximate="tanh"):
    return cublas.why_not_rounded("tf32", x, weight, bias)


def forward(x, weight, bias=None, *, approximate="tanh"):
    return gelu_linear.forward_in("tf32", x, weight, bias, approximate)
