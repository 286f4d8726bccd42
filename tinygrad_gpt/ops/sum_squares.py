"""The sum of squares of all elements: a routine, outside the tape, for the norm of a gradient.

    x  float array of any shape
    -> a Python float, accumulated in float64

The norm decides by how much every gradient of a step is scaled, and a float32 sum over millions of elements would lose
digits, or overflow for a gradient that has exploded: float64 does neither.
"""

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats


def check(x):
    """Raises TypeError for integers."""
    check_floats("sum_squares", x)


def run(x) -> float:
    """Σ x², as a Python float."""
    flat = x.reshape(-1).astype(np.float64)
    return float(flat @ flat)
