"""The hyperbolic tangent on the CPU, in one pass over memory (ops/tanh.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import pair
from tinygrad_gpt.kernels.numba.machine.vector_math import tanh


def value(x):
    return tanh(x)


def gradient(dy, y):
    one = type(y)(1)
    # y = tanh(x)
    return dy * (one - y) * (one + y)


forward, backward, why_not = pair("tanh", value, gradient, keeps="y")
