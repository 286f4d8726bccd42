"""A quotient of two arrays on the CPU, shared out among the threads (ops/div.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import of_two, why_not_two
from tinygrad_gpt.kernels.numba.machine.layout import check_dy
from tinygrad_gpt.ops._shapes import sum_to_shape

why_not = why_not_two


def forward(a, b):
    y = _quotient(a, b)
    return y, (b, y)


def backward(dy, saved):
    b, y = saved
    check_dy("div", dy, y.shape, y.dtype)
    # y = a / b
    da = _quotient(dy, b)
    return da, sum_to_shape(_negative_product(da, y), b.shape)


def _over(a, b):
    return a / b


def _negative_times(a, b):
    return -a * b


_quotient, _negative_product = of_two(_over), of_two(_negative_times)
