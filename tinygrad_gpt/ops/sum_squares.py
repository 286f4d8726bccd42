"""The sum of squares of all elements of many arrays: a routine, outside the tape, for the norm of a gradient.

    arrays  float arrays of any shapes
    -> a number in float64: a 0-d array where the arrays are (nobody has waited for it there), or a Python float

The norm decides by how much every gradient of a step is scaled, and a float32 sum over millions of elements would lose
digits, or overflow for a gradient that has exploded: float64 does neither.
"""

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats


def check(*arrays):
    """Raises TypeError for integers."""
    check_floats("sum_squares", *arrays)


def run(*arrays):
    """Σ x² over all of them."""
    flat = [x.reshape(-1).astype(np.float64) for x in arrays]
    return sum([x @ x for x in flat], 0.0)
