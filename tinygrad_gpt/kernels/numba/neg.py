"""Negation on the CPU, in one pass over memory (ops/neg.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import of_one
from tinygrad_gpt.kernels.numba.machine.layout import not_ours

why_not = not_ours


def forward(x):
    return negative(x), None


def backward(dy, saved):
    # y = -x
    return (negative(dy),)


def _formula(x):
    return -x


negative = of_one(_formula)
