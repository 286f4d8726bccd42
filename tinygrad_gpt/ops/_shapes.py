"""What ops share about shapes: broadcasting and its reverse, axes, and the errors about them."""

import numpy as np

from tinygrad_gpt.array import Array


def check_broadcast(op: str, *arrays: Array) -> None:
    """Raise ValueError unless the shapes fit NumPy's broadcasting rules."""
    shapes = [tuple(a.shape) for a in arrays]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        given = " and ".join(map(str, shapes))
        raise ValueError(
            f"{op}: expected shapes that broadcast (sizes equal or 1, counted from the last axis), got {given}"
        ) from None


def sum_to_shape(dy: Array, shape: tuple[int, ...]) -> Array:
    """The reverse of broadcasting `shape` to dy.shape: sum over every axis that broadcasting added or stretched.

    An element that was used k times has k paths to the loss; its gradient is the sum over them.
    Returns dy itself when nothing was broadcast.
    """
    if dy.shape == shape:
        return dy
    added = tuple(range(dy.ndim - len(shape)))
    stretched = tuple(len(added) + i for i, n in enumerate(shape) if n == 1 and dy.shape[len(added) + i] != 1)
    return np.sum(dy, axis=added + stretched, keepdims=True).reshape(shape)


def normalize_axes(op: str, axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """`axis` as a sorted tuple of axes in 0 .. ndim-1; None means all. Raises ValueError for one that is not there."""
    axes = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ValueError(f"{op}: axis {a} is out of range for an array of {ndim} dimensions")
    positive = tuple(sorted(a % ndim for a in axes))
    if len(set(positive)) < len(positive):
        raise ValueError(f"{op}: axis {axis} names an axis twice")
    return positive
