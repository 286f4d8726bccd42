"""Sigmoid linear unit, also called swish: y = x σ(x) with σ(x) = 1 / (1 + e^-x), for x a float array of any shape.

Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation in reinforcement
learning" (2018), equation 11. Like gelu it lets through what is large and stops what is far below zero.

    dy/dx = σ(x) + x σ(x) (1 - σ(x)) = σ(x) (1 + x (1 - σ(x)))

y tends to 0 on the left, and the slope to 0 or 1. Past ±FAR they are there to the last bit; x is not taken farther,
where 0 · ∞ would make nan of a limit that is 0.

Saved is x alone: σ costs one exp, keeping it would cost an array of x's size.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats

FAR = 1000.0  # σ(-1000) is 0 in either dtype, and σ(1000) 1


class Saved(NamedTuple):
    x: Array


def check(x):
    """Raises TypeError for integers."""
    check_floats("silu", x)


def forward(x):
    return np.clip(x, -FAR, None) * _sigmoid(x), Saved(x)


def backward(dy, saved):
    x = np.clip(saved.x, -FAR, FAR)
    s = _sigmoid(x)
    # y = x * s
    return (dy * s * (1 + x * (1 - s)),)


def _sigmoid(x: Array) -> Array:
    """As ops/sigmoid.py explains: e^-|x| cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1 + e)
