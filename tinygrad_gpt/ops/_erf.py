"""The error function erf(x) = 2/√π ∫₀ˣ e^(-t²) dt, which NumPy lacks.

Look for a series f with erf(x) = 2/√π e^(-x²) f(x). Differentiating both sides gives f' = 1 + 2x f with f(0) = 0. Put
in f = Σ a_n x^(2n+1) and compare powers of x: a_0 = 1 and (2n+1) a_n = 2 a_(n-1), so

    f(x) = x (1 + 2x²/3 (1 + 2x²/5 (1 + 2x²/7 (1 + ...))))

All terms are positive: nothing cancels, unlike in the Taylor series of erf itself, and the sum is accurate at every
x. The inner brackets are worked out first. How many of them are needed depends only on the largest |x|, and beyond
some |x| erf is ±1 to the last bit, so x is limited to that and the number of brackets is fixed for each dtype.
"""

import math
from functools import cache

import numpy as np

from tinygrad_gpt.array import Array

_ROUNDS_TO_ONE = {"float32": 4.0, "float64": 6.0}  # 1 - erf is below half a unit in the last place of 1 from here on


def erf(x: Array) -> Array:
    """erf of every element of a float array, to a few units in the last place."""
    limit = _ROUNDS_TO_ONE[x.dtype.name]
    x = np.clip(x, -limit, limit)
    two_x2 = 2 * x * x
    series = np.ones_like(x)
    for n in range(_brackets(x.dtype.name), 0, -1):
        series = 1 + series * two_x2 / (2 * n + 1)
    return (2 / math.sqrt(math.pi)) * x * series * np.exp(-x * x)


@cache
def _brackets(dtype: str) -> int:
    """How many brackets it takes at the limit until the next term no longer counts."""
    two_x2 = 2 * _ROUNDS_TO_ONE[dtype] ** 2
    term, total, n = 1.0, 1.0, 0
    while term > float(np.finfo(dtype).eps) / 4 * total:
        n += 1
        term *= two_x2 / (2 * n + 1)
        total += term
    return n
