"""A product of two arrays on the CPU, shared out among the threads (ops/mul.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import of_two, why_not_two
from tinygrad_gpt.kernels.numba.machine.layout import check_dy
from tinygrad_gpt.ops._shapes import sum_to_shape

why_not = why_not_two


def forward(a, b):
    return _product(a, b), (a, b)


def backward(dy, saved):
    a, b = saved
    check_dy("mul", dy, a.shape, a.dtype)
    # y = a * b
    return _product(dy, b), sum_to_shape(_product(dy, a), b.shape)


def _formula(a, b):
    return a * b


_product = of_two(_formula)
