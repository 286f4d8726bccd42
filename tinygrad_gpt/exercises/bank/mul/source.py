"""Products, backwards.

    y = a b                         element by element, a and b broadcast

Given dy = ∂L/∂y, an array shaped like y, return ∂L/∂a and ∂L/∂b, each shaped as its array. `summed_to` does what the
exercise broadcast_to was about.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(a, b):
    return a * b, (a, b)


def backward(dy, saved):
    a, b = saved
    # BEGIN SOLUTION
    # hold one of them fixed, and the other one is its slope
    return summed_to(dy * b, a.shape), summed_to(dy * a, b.shape)
    # END SOLUTION


def summed_to(g, shape):
    """g, summed over what broadcasting has repeated, as in the exercise broadcast_to: an array of this shape."""
    g = np.sum(g, axis=tuple(range(g.ndim - len(shape))))
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
