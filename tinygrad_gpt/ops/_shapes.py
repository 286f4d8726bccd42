"""What ops share about their inputs: dtypes, broadcasting and its reverse, axes, and the errors about them."""

import math

import numpy as np

from tinygrad_gpt.array import Array, if_on_cpu


def check_floats(op: str, *arrays: Array | None) -> None:
    """Raise TypeError unless every array (None is passed over) is of floats.

    Arithmetic on integers would end in float64 whatever the rest of the graph is, so no op does it silently.
    """
    for a in arrays:
        if a is not None and a.dtype.kind != "f":
            raise TypeError(
                f"{op}: expected float32 or float64, got {a.dtype} of shape {tuple(a.shape)}: convert with .astype()"
            )


def check_ids(op: str, name: str, ids: Array, vocabulary: int, passed_over: int | None = None) -> None:
    """Raise TypeError unless `ids` are integers, IndexError unless all are in 0 .. vocabulary-1 (or `passed_over`).

    Ids that lie on the GPU are not looked at (see array.if_on_cpu); for one out of range kernels give nan.
    """
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{op}: expected integer {name}, got {ids.dtype} of shape {tuple(ids.shape)}")
    ids = if_on_cpu(ids)
    if ids.size == 0 or (int(ids.min()) >= 0 and int(ids.max()) < vocabulary):
        return
    bad = ids.astype(np.uint64) >= vocabulary  # a negative number, seen as an unsigned one, is larger than any of them
    if passed_over is not None:
        bad &= ~equals(ids, passed_over)
    if bad.any():
        where = tuple(int(i[0]) for i in np.nonzero(bad)) if ids.ndim else ()
        also = f", or {passed_over} to ignore" if passed_over is not None else ""
        raise IndexError(
            f"{op}: expected {name} in 0 .. {vocabulary - 1} (vocabulary size {vocabulary}){also}, "
            f"got {int(ids[where])} at position {where}"
        )


def equals(ids: Array, number: int) -> Array:
    """Where `ids` are `number`, which need be no number of their dtype: nowhere then.

    (Unsigned integers know no -100, and what is told to compare them, or to hold a -1 among them, may wrap it round.)
    """
    limits = np.iinfo(ids.dtype)
    return ids == number if limits.min <= number <= limits.max else np.zeros_like(ids, dtype=bool)


def check_broadcast(op: str, *arrays: Array) -> None:
    """Raise ValueError unless the shapes fit NumPy's broadcasting rules."""
    shapes = [tuple(a.shape) for a in arrays]
    if shapes.count(shapes[0]) == len(shapes):  # the common case, many times quicker to decide
        return
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
    return sum_over(dy, added + stretched, keepdims=True).reshape(shape)


_MANY, _ROWS = 4096, 1024  # more rows than _MANY are added up in parts of _ROWS


def sum_over(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """np.sum over axes from 0. NumPy adds rows one after the other, and each time float32 rounds to the digits that the
    sum so far has: many rows are summed in parts, and the parts in float64."""
    if x.size > _MANY and len(axes) < x.ndim and x.dtype == np.float32:
        for a in axes:
            if x.shape[a] > _MANY and a < x.ndim - 1:  # along the last one it adds in pairs
                before = (slice(None),) * a
                starts = range(0, x.shape[a], _ROWS)
                parts = [np.sum(x[(*before, slice(i, i + _ROWS))], axis=axes, keepdims=keepdims) for i in starts]
                return np.sum(np.stack(parts), axis=0, dtype=np.float64).astype(x.dtype)
    return np.sum(x, axis=axes, keepdims=keepdims)


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


def normalize_axis(op: str, axis: int, ndim: int) -> int:
    """One axis, in 0 .. ndim-1. Raises TypeError for None and for a tuple of axes, ValueError for one that is not
    there."""
    if not isinstance(axis, int):
        raise TypeError(f"{op}: expected one axis, an integer, got axis={axis!r}")
    return normalize_axes(op, axis, ndim)[0]


def kept_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a reduction over `axes` with keepdims=True leaves: 1 in place of every reduced axis.

    A reduction's dy, reshaped to this, broadcasts against the reduction's input.
    """
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def along(axis: int, n: int, like: Array) -> Array:
    """0 .. n-1 along an axis of an array with as many axes as `like`, and size 1 along the others: an index."""
    return np.arange(n, like=like).reshape((1,) * axis + (n,) + (1,) * (like.ndim - axis - 1))


def count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements a reduction over `axes` puts together."""
    return math.prod(shape[a] for a in axes)
