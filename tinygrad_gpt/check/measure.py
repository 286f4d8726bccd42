"""The derivative, measured: central differences of L(x) = Σ dy · forward(x) (check/__init__.py has the theory)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.check.report import TOLERANCE

STEP = 1e-6  # h of the finite differences, times max(1, |x|)


class Loss(NamedTuple):
    """L(x) = Σ dy · forward(x), at one point: a number whose gradient is what backward is to return for dy."""

    forward: Callable
    arrays: tuple  # x, an array or None for each of forward's inputs
    settings: dict
    dys: tuple  # one for each output

    def slope(self, i: int, direction) -> float:
        """d/dt L(..., x_i + t direction, ...) at t = 0.

        The outputs are subtracted before they are summed, so that outputs which do not move add no rounding error.
        """
        ends = []
        for sign in (1, -1):
            arrays = list(self.arrays)
            arrays[i] = np.asarray(arrays[i] + sign * STEP * direction)  # a sum of 0-d arrays is no array
            ends.append(as_tuple(self.forward(*arrays, **self.settings)[0]))
        with np.errstate(invalid="ignore"):  # inf - inf
            moved = [np.where(up == down, 0, up - down) for up, down in zip(*ends, strict=True)]
        return sum(float(np.sum(dy * d)) for dy, d in zip(self.dys, moved, strict=True)) / (2 * STEP)

    def derivative(self, i: int, index: tuple) -> float:
        """∂L/∂x for one element of input i."""
        x = self.arrays[i]
        size = max(1.0, abs(x[index])) if np.isfinite(x[index]) else 1.0
        direction = np.zeros(x.shape)
        direction[index] = size
        return self.slope(i, direction) / size

    def gradient(self, i: int) -> np.ndarray:
        """∂L/∂x for every element of input i."""
        shape = self.arrays[i].shape
        return np.array([self.derivative(i, index) for index in np.ndindex(shape)]).reshape(shape)

    def noise(self, ys: tuple) -> float:
        """The least scale for comparing slopes, given the outputs: the errors of a slope, O(h²) and the rounding of L
        over h, are within TOLERANCE of it."""
        terms = np.concatenate([(dy * y)[np.isfinite(y)].ravel() for dy, y in zip(self.dys, ys, strict=True)])
        rounding = 4 * float(np.finfo(np.float64).eps) * float(np.linalg.norm(terms)) / STEP
        return (rounding + STEP**2 * max(float(np.max(np.abs(dy), initial=0)) for dy in self.dys)) / TOLERANCE


def as_tuple(x) -> tuple:
    return x if isinstance(x, tuple) else (x,)


def largest(arrays) -> float:
    """The largest finite |number| of all arrays, 0 if there is none."""
    return max((float(np.max(np.abs(a), initial=0, where=np.isfinite(a))) for a in arrays), default=0.0)
