"""Functions that pick elements, put them in order, repeat, mask or surround them.

Along an axis, `dim`: PyTorch's dim= and NumPy's axis= are the same.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import check_held, flag, integer, number, shown, sizes
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import LAST, either
from tinygrad_gpt.functional.elementwise import where
from tinygrad_gpt.functional.shapes import broadcast_to, concatenate, getitem, of_its_own, reshape
from tinygrad_gpt.operands import TensorLike, operand, plain
from tinygrad_gpt.ops import gather as gather_op
from tinygrad_gpt.ops._shapes import check_ids, normalize_axis
from tinygrad_gpt.tensor import plain_ids


class ValuesAndIndices(NamedTuple):
    """What sort, topk, and max and min along an axis give: the elements, and where on that axis they stand."""

    values: Tensor
    indices: Tensor


def gather(
    x: TensorLike, dim: int | None = None, index: TensorLike | None = None, *, axis: int | None = None
) -> Tensor:
    """Elements of x along the axis `dim`, each row its own: y[i, j] = x[i, index[i, j]] for dim=1 of two axes.

    index  integers, with as many axes as x, and no larger than x but along `dim`. (PyTorch's gather; NumPy's
           take_along_axis.)
    """
    dim = either("gather", dim, axis)
    if dim is None or index is None:
        raise TypeError(f"gather: expected gather(x, dim, index), got no {'dim' if dim is None else 'index'}")
    return taken("gather", operand("gather", x), plain_ids(index, "gather", "index"), arguments.axis("gather", dim))


def taken(who: str, x: Tensor | Array, index: Array, dim: int) -> Tensor:
    """The op gather, or for integers and booleans, which have no gradients, its forward."""
    a = plain(x)
    if a.dtype.kind == "f":
        return apply("gather", x, index, axis=dim)
    index = np.asarray(index, like=a)
    gather_op.check_index(who, a, index, dim)
    return Tensor(gather_op.forward(a, index, axis=dim)[0])


def argsort(
    x: TensorLike, dim: int = LAST, descending: bool = False, stable: bool = False, *, axis: int = LAST
) -> Tensor:
    """Where the elements of x stand along `dim`, from the smallest to the largest. Equal ones stay in the order that
    they have, whatever `stable` says; nan counts as the largest."""
    dim, descending = _order("argsort", dim, descending, stable, axis)
    return Tensor(_places("argsort", plain(operand("argsort", x)), dim, descending))


def sort(
    x: TensorLike, dim: int = LAST, descending: bool = False, stable: bool = False, *, axis: int = LAST
) -> ValuesAndIndices:
    """(values, indices): the elements of x in ascending order along `dim`, and where they stood. It is `argsort`, and
    `gather` of what that gives."""
    dim, descending = _order("sort", dim, descending, stable, axis)
    x = operand("sort", x)
    indices = _places("sort", plain(x), dim, descending)
    return ValuesAndIndices(taken("sort", x, indices, dim), Tensor(indices))


def topk(
    x: TensorLike, k: int, dim: int = LAST, largest: bool = True, sorted: bool = True, *, axis: int = LAST
) -> ValuesAndIndices:
    """(values, indices) of the k largest elements along `dim`, the largest first (the smallest ones with
    largest=False, the smallest first), whatever `sorted` says. Equal ones keep their order; which of them are taken,
    where not all have room, is not defined."""
    dim, largest = _order("topk", dim, largest, sorted, axis, names=("largest", "sorted"))
    x = operand("topk", x)
    n = x.shape[normalize_axis("topk", dim, x.ndim)]
    k = integer("topk", "k", k, low=0)
    if k > n:
        raise ValueError(f"topk: expected k <= {n}, the size of axis {dim} of x of shape {tuple(x.shape)}, got {k}")
    indices = _best(plain(x), k, dim % x.ndim, largest)
    return ValuesAndIndices(taken("topk", x, indices, dim), Tensor(indices))


def _order(who: str, dim, first, second, axis, names=("descending", "stable")) -> tuple[int, bool]:
    dim = arguments.axis(who, either(who, dim, axis, LAST))
    flag(who, names[1], second)
    return dim, flag(who, names[0], first)


def _places(who: str, a: Array, dim: int, descending: bool) -> Array:
    """Where the elements stand that come first, second, ... along `dim`; equal ones in the order that they have."""
    dim = normalize_axis(who, dim, a.ndim)
    if not descending:
        return np.argsort(a, axis=dim, kind="stable").astype(np.int64, copy=False)
    turned = (slice(None),) * dim + (slice(None, None, -1),)  # the last of equal ones comes first: it is turned twice
    return a.shape[dim] - 1 - np.argsort(a[turned], axis=dim, kind="stable")[turned].astype(np.int64, copy=False)


def _best(a: Array, k: int, dim: int, largest: bool) -> Array:
    """Where the k largest or smallest elements stand along `dim`: those on one side of the k-th, then put in order."""
    n, before = a.shape[dim], (slice(None),) * dim
    if k in (0, n):
        return _places("topk", a, dim, largest)[(*before, slice(0, k))]
    side = slice(n - k, n) if largest else slice(0, k)
    some = np.argpartition(a, n - k if largest else k - 1, axis=dim)[(*before, side)]
    some = np.sort(some, axis=dim).astype(np.int64, copy=False)
    order = _places("topk", np.take_along_axis(a, some, axis=dim), dim, largest)
    return np.take_along_axis(some, order, axis=dim)


def one_hot(ids: TensorLike, num_classes: int = -1) -> Tensor:
    """Integers (...) as rows (..., num_classes) of zeros with a 1 at that place, integers too; -1 for as many classes
    as the largest of them needs."""
    ids = plain_ids(ids, "one_hot")
    num_classes = integer("one_hot", "num_classes", num_classes, low=-1)
    if num_classes == -1:
        if ids.size == 0:
            raise ValueError("one_hot: expected num_classes for no ids, got -1")
        num_classes = int(ids.max()) + 1
    check_ids("one_hot", "ids", ids, num_classes)
    return Tensor((ids[..., None] == np.arange(num_classes, like=ids)).astype(np.int64))


def repeat_interleave(x: TensorLike, repeats, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """Each element along `dim` so many times in a row: [a, a, b, b]. (NumPy's repeat; PyTorch's, which gives
    [a, b, a, b], is `tile`.)

    repeats  an integer, or one for each element; without `dim`, x is flattened first
    """
    x, dim = operand("repeat_interleave", x), either("repeat_interleave", dim, axis)
    if dim is None:
        x, dim = reshape(x, (int(np.prod(x.shape)),)), 0
    dim = normalize_axis("repeat_interleave", arguments.axis("repeat_interleave", dim), x.ndim)
    before, n, after = tuple(x.shape[:dim]), x.shape[dim], tuple(x.shape[dim + 1 :])
    times = sizes("repeat_interleave", repeats, "repeats")
    if min(times, default=0) < 0 or len(times) not in (1, n):
        raise ValueError(
            f"repeat_interleave: expected one number >= 0, or {n} of them, as repeats, got {shown(repeats)}"
        )
    if len(times) == 1:
        apart = broadcast_to(reshape(x, (*before, n, 1, *after)), (*before, n, times[0], *after))
        return of_its_own(reshape(apart, (*before, n * times[0], *after)), x)
    return getitem(x, (*[slice(None)] * dim, np.repeat(np.arange(n), times)))


def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """The value, a number, where the boolean mask holds, else x."""
    x, value = operand("masked_fill", x), operand("masked_fill", value)
    if value.ndim:
        raise ValueError(f"masked_fill: expected a number as value, got shape {tuple(value.shape)}: where takes arrays")
    if isinstance(value, Tensor) and value.requires_grad:
        return where(mask, value, x)
    a = plain(x)
    number = plain(value).item()
    if a.dtype.kind in "iub" and isinstance(number, float):
        raise TypeError(f"masked_fill: expected an integer to fill {a.dtype} with, got {number}")
    check_held("masked_fill", "value", number, a.dtype)
    return where(mask, np.full((), number, a.dtype, like=a), x)


def tril(x: TensorLike, diagonal: int = 0) -> Tensor:
    """x (..., N, M) with zeros above a diagonal: the main one, or so many to the right of it."""
    return _triangle("tril", x, diagonal, lambda row, column: column <= row)


def triu(x: TensorLike, diagonal: int = 0) -> Tensor:
    """x (..., N, M) with zeros below a diagonal: the main one, or so many to the right of it."""
    return _triangle("triu", x, diagonal, lambda row, column: column >= row)


def _triangle(who: str, x, diagonal, keeps) -> Tensor:
    x, diagonal = operand(who, x), integer(who, "diagonal", diagonal)
    if x.ndim < 2:
        raise ValueError(f"{who}: expected x of shape (..., N, M), got {tuple(x.shape)}")
    a = plain(x)
    n, m = a.shape[-2:]
    row = np.arange(n, like=a).reshape(n, 1) + diagonal
    return where(keeps(row, np.arange(m, like=a)), x, np.zeros((), a.dtype, like=a))


def pad(x: TensorLike, pad, mode: str = "constant", value: float | None = None) -> Tensor:
    """x with elements of `value` (0 unless given) around it.

    pad  how many before and after the last axis, then before and after the one before it, and so on: (1, 0) for one
         before each row. A negative number cuts
    """
    if mode != "constant":
        raise ValueError(f'pad: expected mode="constant", got {shown(mode)}: index x, or concatenate parts of it')
    whole = x = operand("pad", x)
    pad, filling = sizes("pad", pad, "pad"), 0.0 if value is None else number("pad", "value", value, finite=False)
    check_held("pad", "value", filling, x.dtype)
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(f"pad: expected two numbers for each axis, from the last one, of shape {x.shape}, got {pad}")
    for i in range(len(pad) // 2):
        x = _padded(x, x.ndim - 1 - i, pad[2 * i], pad[2 * i + 1], filling)
    return of_its_own(x if isinstance(x, Tensor) else Tensor(x), whole)


def _padded(x: Tensor | Array, axis: int, before: int, after: int, value: float) -> Tensor | Array:
    n = x.shape[axis]
    if n + before + after < 0:
        raise ValueError(f"pad: expected to cut no more than the {n} elements of axis {axis}, got {(before, after)}")
    if before < 0 or after < 0:
        x = getitem(x, (*[slice(None)] * axis, slice(max(0, -before), n - max(0, -after))))
    a = plain(x)
    shapes = [[max(0, count) if i == axis else size for i, size in enumerate(x.shape)] for count in (before, after)]
    first, last = [np.full(shape, value, a.dtype, like=a) for shape in shapes]
    return concatenate([first, x, last], axis) if before > 0 or after > 0 else x
