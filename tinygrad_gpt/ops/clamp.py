"""Keep each element within bounds: y = minimum(maximum(x, min), max).

    x    float array of any shape
    min  the lowest value, a Python number, or None for no bound
    max  the highest, a Python number, or None; where it is below min, y is max everywhere
    y    shaped like x

Within the bounds y is x, and dy passes; beyond them y is constant, and dy stops. At a bound the function has a kink.
There dy passes, as in PyTorch: an element that stands at its bound can be moved back inside. nan stays nan, without a
gradient.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


class Saved(NamedTuple):
    is_within: Array  # bool, shaped like x


def check(x, *, min=None, max=None):
    """Raises TypeError for integers, ValueError if there is no bound at all."""
    check_floats("clamp", x)
    if min is None and max is None:
        raise ValueError("clamp: expected min, max, or both, got neither")


def forward(x, *, min=None, max=None):
    lowest = -np.inf if min is None else min
    highest = np.inf if max is None else max
    return np.clip(x, lowest, highest), Saved((x >= lowest) & (x <= highest))


def backward(dy, saved):
    # y = minimum(maximum(x, lowest), highest)
    return (np.where(saved.is_within, dy, 0.0),)
