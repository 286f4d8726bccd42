"""Rectified linear unit on the CPU, in one pass over memory (ops/relu.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import pair


def value(x):
    zero = type(x)(0)
    return zero if x <= zero else x  # nan stays nan


def gradient(dy, y):
    zero = type(y)(0)
    # y = maximum(x, 0)
    return zero if y <= zero else dy


forward, backward, why_not = pair("relu", value, gradient, keeps="y")
