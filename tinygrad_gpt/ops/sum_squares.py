"""The sum of squares of all elements of many arrays: a routine, outside the tape, for the norm of a gradient.

    arrays  float arrays of any shapes
    -> a Python float, accumulated in float64

The norm decides by how much every gradient of a step is scaled, and a float32 sum over millions of elements would lose
digits, or overflow for a gradient that has exploded: float64 does neither.
"""

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats


def check(*arrays):
    """Raises TypeError for integers."""
    check_floats("sum_squares", *arrays)


def run(*arrays) -> float:
    """Σ x² over all of them, as a Python float."""
    flat = [x.reshape(-1).astype(np.float64) for x in arrays]
    return sum([float(x @ x) for x in flat], 0.0)
