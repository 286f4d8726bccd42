"""Dropout (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014), inverted
form.

    x     float array of any shape
    p     probability of dropping an element, 0 <= p < 1
    seed  an integer, 0 <= seed < 2**63, fresh for every use; the same seed drops the same elements
    y     shaped like x: 0 with probability p, else x / (1 - p)

The scale keeps each element's mean at x, so that evaluation, which drops nothing, needs no correction. Where an element
was kept, dy/dx is that same scale, elsewhere 0: backward is forward, applied to dy.

Nothing is saved but the seed: random_stream.keep_mask gives the same mask again.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats
from tinygrad_gpt.random_stream import keep_mask


class Saved(NamedTuple):
    p: float
    seed: int


def check(x, *, p, seed):
    """Raises TypeError for integers, ValueError for p out of range."""
    check_floats("dropout", x)
    if not 0 <= p < 1:
        raise ValueError(f"dropout: expected a probability p with 0 <= p < 1, got {p}")


def forward(x, *, p, seed):
    keep = keep_mask(seed, x.shape, p, like=x)
    return np.where(keep, x * (1 / (1 - p)), 0.0), Saved(p, seed)


def backward(dy, saved):
    p, seed = saved
    keep = keep_mask(seed, dy.shape, p, like=dy)
    # y = keep * x / (1 - p)
    return (np.where(keep, dy * (1 / (1 - p)), 0.0),)
