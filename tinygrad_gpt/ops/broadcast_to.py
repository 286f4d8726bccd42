"""Repeat along axes of size 1 and along new leading axes, without copying.

    x      array of any dtype
    shape  a tuple that x's shape broadcasts to
    y      a view of x in which those axes have stride 0: read it, never write to it

An element that is shown k times has k paths to the loss, so dx sums dy over them. Broadcast and sum are each other's
backward.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops._shapes import sum_to_shape


class Saved(NamedTuple):
    shape: tuple[int, ...]


def check(x, *, shape):
    """Raises ValueError unless x's shape broadcasts to `shape`."""
    missing = len(shape) - x.ndim
    if (
        missing < 0
        or min(shape, default=0) < 0
        or any(n not in (1, m) for n, m in zip(x.shape, shape[missing:], strict=True))
    ):
        raise ValueError(
            f"broadcast_to: expected a shape that {x.shape} broadcasts to (sizes equal, or 1 in x, counted from the "
            f"last axis), got {tuple(shape)}"
        )


def forward(x, *, shape):
    return np.broadcast_to(x, shape), Saved(x.shape)


def backward(dy, saved):
    # y = broadcast_to(x, shape)
    return (sum_to_shape(dy, saved.shape),)
