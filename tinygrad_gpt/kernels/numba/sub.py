"""A difference of two arrays on the CPU, shared out among the threads (ops/sub.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import of_two, why_not_two
from tinygrad_gpt.kernels.numba.machine.layout import check_dy
from tinygrad_gpt.kernels.numba.neg import negative
from tinygrad_gpt.ops._shapes import sum_to_shape

why_not = why_not_two


def forward(a, b):
    return _difference(a, b), (a.shape, b.shape, a.dtype)


def backward(dy, saved):
    a_shape, b_shape, dtype = saved
    check_dy("sub", dy, a_shape, dtype)
    # y = a - b
    return dy, negative(sum_to_shape(dy, b_shape))


def _formula(a, b):
    return a - b


_difference = of_two(_formula)
