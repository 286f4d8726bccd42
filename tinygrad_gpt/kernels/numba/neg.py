"""Negation on the CPU, in one pass over memory (ops/neg.py derives it)."""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.elementwise import of_one
from tinygrad_gpt.kernels.numba.machine.layout import flat, not_ours


def why_not(x):
    return not_ours(x)


def forward(x):
    return negative(x), None


def backward(dy, saved):
    # y = -x
    return (negative(dy),)


def negative(x):
    y = np.empty(x.shape, x.dtype)
    _negative(flat(x), flat(y))
    return y


def _formula(x):
    return -x


_negative = of_one(_formula)
