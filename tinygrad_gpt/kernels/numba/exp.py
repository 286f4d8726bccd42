"""The exponential on the CPU, in one pass over memory (ops/exp.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import pair
from tinygrad_gpt.kernels.numba.machine.layout import not_ours
from tinygrad_gpt.kernels.numba.machine.vector_math import exp


def why_not(x):
    return not_ours(x)


def value(x):
    return exp(x)


def gradient(dy, y):
    # y = exp(x)
    return dy * y


forward, backward = pair("exp", value, gradient, keeps="y")
