"""The exponential on the CPU, in one pass over memory (ops/exp.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import pair
from tinygrad_gpt.kernels.numba.machine.vector_math import exp


def value(x):
    return exp(x)


def gradient(dy, y):
    # y = exp(x)
    return dy * y


forward, backward, why_not = pair("exp", value, gradient, keeps="y")
