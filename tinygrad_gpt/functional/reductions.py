"""Functions that reduce axes to one number each.

`dim` is an integer, a tuple of them, or None or () for all axes. PyTorch's dim= and keepdim= and NumPy's axis= and
keepdims= are the same, but axis=() is no axis.
"""

from typing import Any, overload

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import flag, number, shown
from tinygrad_gpt.array import Array, is_array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import NO, Axes, either, for_tensors, keeps
from tinygrad_gpt.functional.elementwise import maximum, minimum, neg
from tinygrad_gpt.functional.picking import ValuesAndIndices, taken
from tinygrad_gpt.functional.shapes import getitem
from tinygrad_gpt.operands import TensorLike, operand, plain
from tinygrad_gpt.ops._shapes import normalize_axes, normalize_axis


def reduction_settings(op: str, dim, axis, keepdim, keepdims) -> dict[str, Any]:
    if axis is None and keepdim is keepdims is NO:  # mostly
        return {"axis": _dims(op, dim), "keepdims": False}
    axis = _dims(op, dim) if axis is None else arguments.axes(op, either(op, dim, axis))
    name = "keepdims" if keepdim is NO else "keepdim"
    return {"axis": axis, "keepdims": flag(op, name, keeps(op, keepdim, keepdims))}


def _dims(op: str, dim) -> int | tuple[int, ...] | None:
    """PyTorch's dim=() is all axes, but for any and all. NumPy's axis=() is none."""
    dims = arguments.axes(op, dim)
    return None if dims == () and op not in ("any", "all") else dims


def reduce_axes(op: str, numpys, x, settings: dict[str, Any]) -> Tensor:
    """The op, or for integers and booleans, which have no gradients, NumPy's function."""
    x = operand(op, x)
    if x.dtype.kind not in "iub":
        return apply(op, x, **settings)
    a = plain(x)
    axes = normalize_axes(op, settings["axis"], a.ndim)
    if op in ("sum", "prod"):  # unsigned integers too, as in PyTorch
        a = a.astype(np.int64, copy=False)
    return Tensor(np.asarray(numpys(a, axis=axes, keepdims=settings["keepdims"]), like=a))


@for_tensors
def sum(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Sum over `dim`; of integers and booleans an integer."""
    return reduce_axes("sum", np.sum, x, reduction_settings("sum", dim, axis, keepdim, keepdims))


@for_tensors
def mean(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Mean over `dim`."""
    return apply("mean", operand("mean", x), **reduction_settings("mean", dim, axis, keepdim, keepdims))


@for_tensors
def var(
    x: TensorLike,
    dim: Axes = None,
    *,
    correction: float = 1,
    keepdim: bool = NO,
    axis: Axes = None,
    keepdims: bool = NO,
    unbiased: bool | None = None,
) -> Tensor:
    """Variance over `dim`, with divisor n - correction: 1 for an estimate from a sample, 0 for that of these numbers.
    (NumPy's default is 0.) unbiased=True and False are older words for correction=1 and 0."""
    settings = reduction_settings("var", dim, axis, keepdim, keepdims)
    return apply("var", operand("var", x), correction=divisor("var", correction, unbiased), **settings)


def divisor(who: str, correction: float, unbiased: bool | None) -> float:
    """What the divisor of a variance is less than n, by either of its names."""
    if unbiased is None:
        return number(who, "correction", correction)
    return int(flag(who, "unbiased", unbiased))


@for_tensors
def amax(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Largest element over `dim`; ties share the gradient equally."""
    return _largest("amax", x, reduction_settings("amax", dim, axis, keepdim, keepdims))


@for_tensors
def amin(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Smallest element over `dim`; ties share the gradient equally."""
    return _smallest("amin", x, reduction_settings("amin", dim, axis, keepdim, keepdims))


def _largest(who: str, x, settings: dict[str, Any]) -> Tensor:
    x = operand(who, x)
    if x.dtype.kind in "iub":
        _check_some(who, x.shape, settings["axis"])
    return reduce_axes("max", np.max, x, settings)


def _smallest(who: str, x, settings: dict[str, Any]) -> Tensor:
    """min(x) = -max(-x)."""
    x = operand(who, x)
    if x.dtype.kind in "iub":
        _check_some(who, x.shape, settings["axis"])
        return reduce_axes("min", np.min, x, settings)
    return neg(apply("max", neg(x), **settings))


def _check_some(who: str, shape: tuple[int, ...], axis) -> None:
    if 0 in [shape[a] for a in normalize_axes(who, axis, len(shape))]:
        raise ValueError(f"{who}: expected at least one element along axis {axis}, got x of shape {shape}")


# --- max and min: one number, two Tensors element by element, or values and indices ------------------------------


@overload
def max(x: TensorLike) -> Tensor: ...
@overload
def max(x: TensorLike, dim: int, keepdim: bool = ...) -> ValuesAndIndices: ...
@overload
def max(x: TensorLike, dim: Tensor | Array) -> Tensor: ...
@overload
def max(x: TensorLike, *, other: TensorLike) -> Tensor: ...
@overload
def max(x: TensorLike, *, axis: Axes = ..., keepdims: bool = ...) -> Tensor: ...
@for_tensors
def max(x, dim=None, keepdim=NO, *, other=None, axis=None, keepdims=NO):
    """The largest element of x; with a `dim`, (values, indices) along it; with another Tensor, `maximum`.

    The gradient of the largest of all, and NumPy's max(x, axis=...), which gives the values alone, is that of `amax`.
    That of the values along `dim` goes to the elements that the indices name.
    """
    return _extreme("max", x, dim, keepdim, other, axis, keepdims)


@overload
def min(x: TensorLike) -> Tensor: ...
@overload
def min(x: TensorLike, dim: int, keepdim: bool = ...) -> ValuesAndIndices: ...
@overload
def min(x: TensorLike, dim: Tensor | Array) -> Tensor: ...
@overload
def min(x: TensorLike, *, other: TensorLike) -> Tensor: ...
@overload
def min(x: TensorLike, *, axis: Axes = ..., keepdims: bool = ...) -> Tensor: ...
@for_tensors
def min(x, dim=None, keepdim=NO, *, other=None, axis=None, keepdims=NO):
    """The smallest element of x; with a `dim`, (values, indices) along it; with another Tensor, `minimum`. As `max`."""
    return _extreme("min", x, dim, keepdim, other, axis, keepdims)


def _extreme(who: str, x, dim, keepdim, other, axis, keepdims):
    if (isinstance(dim, Tensor) and dim.ndim) or (is_array(dim) and dim.ndim):
        dim, other = None, dim
    if other is not None:
        if dim is not None or axis is not None:
            raise TypeError(f"{who}: expected an axis or another Tensor, got both")
        return (maximum if who == "max" else minimum)(x, other)
    if dim is None:
        settings = reduction_settings(who, None, axis, keepdim, keepdims)
        return (_largest if who == "max" else _smallest)(who, x, settings)
    if axis is not None:
        either(who, dim, axis)
    if isinstance(dim, tuple | list):
        raise TypeError(f"{who}: expected one axis, an integer, got {shown(dim)}: a{who}(x, dim) takes several")
    keep = flag(who, "keepdim", keeps(who, keepdim, keepdims))
    x, dim = operand(who, x), arguments.axis(who, dim)
    indices = (argmax if who == "max" else argmin)(x, dim, keepdim=True)
    values = taken(who, x, plain(indices), dim) if x.ndim else getitem(x, ())
    if keep:
        return ValuesAndIndices(values, indices)
    chosen = tuple([0 if i == dim % x.ndim else slice(None) for i in range(x.ndim)]) if x.ndim else ()
    return ValuesAndIndices(getitem(values, chosen), getitem(indices, chosen))


@for_tensors
def argmax(
    x: TensorLike, dim: int | None = None, keepdim: bool = NO, *, axis: int | None = None, keepdims: bool = NO
) -> Tensor:
    """Where the largest element stands along `dim`, as integers; without, its place among all of them, counted row by
    row. The first one, in a tie."""
    return _place("argmax", np.argmax, x, dim, axis, keepdim, keepdims)


@for_tensors
def argmin(
    x: TensorLike, dim: int | None = None, keepdim: bool = NO, *, axis: int | None = None, keepdims: bool = NO
) -> Tensor:
    """Where the smallest element stands along `dim`. See `argmax`."""
    return _place("argmin", np.argmin, x, dim, axis, keepdim, keepdims)


def _place(who: str, numpys, x, dim, axis, keepdim, keepdims) -> Tensor:
    dim = either(who, dim, axis)
    keep = flag(who, "keepdim", keeps(who, keepdim, keepdims))
    a = plain(operand(who, x))
    dim = None if dim is None else arguments.axis(who, dim)
    if a.ndim == 0 and dim in (0, -1):  # as in PyTorch, where a number has a last axis too
        dim = None
    if dim is not None:
        dim = normalize_axis(who, dim, a.ndim)
    _check_some(who, a.shape, dim)
    found = np.asarray(numpys(a, axis=dim), like=a)
    if keep:
        found = found.reshape([1 if dim in (None, i) else n for i, n in enumerate(a.shape)])
    return Tensor(found.astype(np.int64, copy=False))


# --- of booleans --------------------------------------------------------------------------------------------------


@for_tensors
def any(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Whether an element along `dim` is true (not zero)."""
    return _of_booleans("any", np.any, x, reduction_settings("any", dim, axis, keepdim, keepdims))


@for_tensors
def all(x: TensorLike, dim: Axes = None, keepdim: bool = NO, *, axis: Axes = None, keepdims: bool = NO) -> Tensor:
    """Whether all elements along `dim` are true (not zero)."""
    return _of_booleans("all", np.all, x, reduction_settings("all", dim, axis, keepdim, keepdims))


def _of_booleans(who: str, numpys, x, settings: dict[str, Any]) -> Tensor:
    a = plain(operand(who, x))
    axes = normalize_axes(who, settings["axis"], a.ndim)
    return Tensor(np.asarray(numpys(a, axis=axes, keepdims=settings["keepdims"]), like=a))
