"""A sum of two arrays on the CPU, shared out among the threads (ops/add.py; backward has nothing to compute)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import of_two, why_not_two
from tinygrad_gpt.ops.add import Saved, backward

__all__ = ["backward", "forward", "why_not"]

why_not = why_not_two


def forward(a, b):
    return _sum(a, b), Saved(a.shape, b.shape)


def _formula(a, b):
    return a + b


_sum = of_two(_formula, on_demand=False)  # every GPT adds its positions
