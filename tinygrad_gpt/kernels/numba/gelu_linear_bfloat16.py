"""gelu_linear.py with products of bfloat16 numbers: the GELU is float32's, the products are linear_bfloat16.py's."""

from tinygrad_gpt.kernels.numba import gelu, gelu_linear, linear_bfloat16


def why_not(x, weight, bias=None, *, approximate="tanh"):
    return gelu.why_not(x, approximate=approximate) or linear_bfloat16.why_not(x, weight, bias)


def forward(x, weight, bias=None, *, approximate="tanh"):
    return gelu_linear.forward_by(linear_bfloat16.forward, x, weight, bias)


def backward(dy, saved):
    return gelu_linear.backward_by(linear_bfloat16.product, dy, saved)
