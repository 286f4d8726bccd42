"""The logistic function on the CPU, in one pass over memory (ops/sigmoid.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import pair
from tinygrad_gpt.kernels.numba.machine.vector_math import sigmoid


def value(x):
    return sigmoid(x)


def gradient(dy, y):
    # y = 1 / (1 + exp(-x))
    return dy * y * (type(y)(1) - y)


forward, backward, why_not = pair("sigmoid", value, gradient, keeps="y")
