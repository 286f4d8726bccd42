"""Functions that rearrange, pick, join and cut; what they give is often a view of the same memory."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import integer, shown, sizes
from tinygrad_gpt.array import Array, is_array, numbers_first
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import FIRST, either
from tinygrad_gpt.functional.creation import clone
from tinygrad_gpt.memory import owner
from tinygrad_gpt.operands import TensorLike, of_one_dtype, operand, plain
from tinygrad_gpt.ops._shapes import normalize_axes, normalize_axis
from tinygrad_gpt.tensor import plain_array

Shape = int | tuple[int, ...] | list[int]

# --- shapes and axes ----------------------------------------------------------------------------------------------


def reshape(x: TensorLike, shape: Shape) -> Tensor:
    """The same elements in another shape; one size may be -1 and is worked out."""
    return apply("reshape", operand("reshape", x), shape=sizes("reshape", shape))


def permute(x: TensorLike, dims: Shape) -> Tensor:
    """Axis i of the result is axis dims[i] of x. (NumPy's transpose.)"""
    return apply("permute", operand("permute", x), axes=sizes("permute", dims, "dims"))


def transpose(x: TensorLike, dim0: int = FIRST, dim1: int = FIRST, *more: int) -> Tensor:
    """x with two axes exchanged. (NumPy's swapaxes; its transpose, which names every axis, is `permute`.)"""
    if more or dim1 is FIRST or not isinstance(dim0, int | np.integer):
        given = "" if dim0 is FIRST else ", ".join(map(shown, [dim0] if dim1 is FIRST else [dim0, dim1, *more]))
        raise TypeError(
            f"transpose: expected two axes to exchange, got ({given}): x.permute(axes) takes every axis in its new "
            "order, and x.T turns them all round"
        )
    return _exchanged("transpose", x, dim0, dim1)


def swapaxes(x: TensorLike, axis0: int, axis1: int) -> Tensor:
    """x with two axes exchanged: `transpose` by NumPy's name."""
    return _exchanged("swapaxes", x, axis0, axis1)


def _exchanged(who: str, x, a: int, b: int) -> Tensor:
    x = operand(who, x)
    a, b = [normalize_axis(who, arguments.axis(who, i), x.ndim) for i in (a, b)]
    axes = list(range(x.ndim))
    axes[a], axes[b] = axes[b], axes[a]
    return apply("permute", x, axes=tuple(axes))


def squeeze(x: TensorLike, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """x without its axes of size 1; with a `dim`, without those among them. (NumPy's raises for another size.)"""
    x = operand("squeeze", x)
    axes = normalize_axes("squeeze", arguments.axes("squeeze", dim), x.ndim)
    return reshape(x, tuple([n for i, n in enumerate(x.shape) if n != 1 or i not in axes]))


def unsqueeze(x: TensorLike, dim: int) -> Tensor:
    """x with a new axis of size 1 at `dim`."""
    x = operand("unsqueeze", x)
    dim = normalize_axis("unsqueeze", arguments.axis("unsqueeze", dim), x.ndim + 1)
    return reshape(x, (*x.shape[:dim], 1, *x.shape[dim:]))


def flatten(x: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with its axes from start_dim to end_dim as one."""
    x = operand("flatten", x)
    if x.ndim == 0:
        return reshape(x, (1,))
    start, end = [normalize_axis("flatten", arguments.axis("flatten", d), x.ndim) for d in (start_dim, end_dim)]
    if start > end:
        raise ValueError(f"flatten: expected start_dim before end_dim, got {start_dim} and {end_dim}")
    return reshape(x, (*x.shape[:start], int(np.prod(x.shape[start : end + 1])), *x.shape[end + 1 :]))


def ravel(x: TensorLike) -> Tensor:
    """x in one axis."""
    return flatten(x)


def broadcast_to(x: TensorLike, shape: Shape) -> Tensor:
    """x repeated to `shape` along axes of size 1 and new leading ones, without copying."""
    return apply("broadcast_to", operand("broadcast_to", x), shape=sizes("broadcast_to", shape))


def expand(x: TensorLike, sizes_: Shape) -> Tensor:
    """x repeated along axes of size 1 and new leading ones, without copying; -1 leaves a size as it is."""
    x, shape = operand("expand", x), sizes("expand", sizes_, "sizes")
    new = len(shape) - x.ndim
    if new < 0 or -1 in shape[:new]:
        raise ValueError(
            f"expand: expected {x.ndim} sizes or more for x of shape {tuple(x.shape)}, -1 for its own, got {shape}"
        )
    return broadcast_to(x, tuple([x.shape[i - new] if n == -1 else n for i, n in enumerate(shape)]))


def tile(x: TensorLike, dims: Shape) -> Tensor:
    """x, repeated as a whole dims[i] times along axis i. (PyTorch's x.repeat; NumPy's repeat is another function.)"""
    x, dims = operand("tile", x), sizes("tile", dims, "dims")
    if [n for n in dims if n < 0]:
        raise ValueError(f"tile: expected dims >= 0, got {dims}")
    dims = (1,) * (x.ndim - len(dims)) + dims
    shape = (1,) * (len(dims) - x.ndim) + tuple(x.shape)
    apart = reshape(x, tuple([part for n in shape for part in (1, n)]))
    stretched = broadcast_to(apart, tuple([part for k, n in zip(dims, shape, strict=True) for part in (k, n)]))
    return of_its_own(reshape(stretched, tuple([k * n for k, n in zip(dims, shape, strict=True)])), x)


def of_its_own(y: Tensor, x: Tensor) -> Tensor:
    """y, or a copy of it where it shows the memory of x: reshape shows it where it can."""
    return clone(y) if owner(plain(y)) is owner(plain(x)) else y


# --- elements -----------------------------------------------------------------------------------------------------


def getitem(x: TensorLike, index: Any) -> Tensor:
    """x[index], with NumPy's indexing; Tensors of integers or booleans may be part of the index.

    An integer takes its axis out before arrays are looked at, as in PyTorch: x[0, :, [2, 0]] is x[0][:, [2, 0]].
    """
    x = operand("getitem", x)
    if isinstance(index, list) and index and isinstance(index[0], list | tuple | slice):
        raise IndexError(
            f"getitem: a list of lists is two things, got {shown(index)}: x[[0, 1], [1, 0]] takes an index for each "
            "axis, x[tensor([[0, 1], [1, 0]])] an array of them"
        )
    index = _plain_index(index, plain(x))
    if isinstance(index, tuple) and (parts := numbers_first(index, x.ndim)):
        numbers, index = parts
        x = apply("getitem", x, index=numbers)
    return apply("getitem", x, index=index)


def _plain_index(index, like: Array):
    """An index without Tensors, with its arrays on the device of `like`. Raises IndexError for anything else."""
    if index is None or index is ... or isinstance(index, int | np.integer | np.bool_):
        return index
    if isinstance(index, tuple):
        return tuple([_plain_index(i, like) for i in index])
    if isinstance(index, slice):
        return slice(*[_bound(i) for i in (index.start, index.stop, index.step)])
    if isinstance(index, str | float | complex | dict | set):
        raise _no_index(index)
    if isinstance(index, list) and not index:
        return index
    plain = plain_array(index, "getitem")
    if plain.dtype.kind not in "iub":
        raise _no_index(index)
    return plain if isinstance(index, list) else np.asarray(plain, like=like)


def _bound(i) -> int | None:
    """Where a slice begins or ends, or its step."""
    if i is None or type(i) is int:
        return i
    try:
        return operator.index(i)
    except TypeError:
        raise _no_index(i) from None


def _no_index(index) -> IndexError:
    return IndexError(
        f"getitem: expected integers, slices, ..., None, or arrays of integers or booleans as index, got {shown(index)}"
    )


# --- join and cut -------------------------------------------------------------------------------------------------


def concatenate(tensors: Iterable[TensorLike], dim: int = FIRST, *, axis: int = FIRST) -> Tensor:
    """Join a sequence of Tensors along `dim`; they are alike in every other size."""
    if not hasattr(tensors, "__iter__") and not is_array(tensors):
        raise TypeError(f"concatenate: expected a sequence of Tensors, got {shown(tensors)}")
    axis = arguments.axis("concatenate", either("concatenate", dim, axis, FIRST))
    return apply("concatenate", *[operand("concatenate", t) for t in tensors], axis=axis)


cat = concatenate


def stack(tensors: Iterable[TensorLike], dim: int = FIRST, *, axis: int = FIRST) -> Tensor:
    """Join Tensors of one shape along a new axis at `dim`."""
    if not hasattr(tensors, "__iter__") and not is_array(tensors):
        raise TypeError(f"stack: expected a sequence of Tensors, got {shown(tensors)}")
    dim = arguments.axis("stack", either("stack", dim, axis, FIRST))
    parts = of_one_dtype([operand("stack", t) for t in tensors])
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) != 1:
        raise ValueError(f"stack: expected Tensors of one shape, got {', '.join(map(str, shapes)) or 'none'}")
    return concatenate([unsqueeze(part, dim) for part in parts], dim)


def split(x: TensorLike, split_size_or_sections: Shape, dim: int = FIRST, *, axis: int = FIRST) -> tuple[Tensor, ...]:
    """Cut x along `dim` into pieces of this size, the last of which may be smaller, or of the sizes in a list.

    (PyTorch's split. NumPy's takes a number of pieces: that is `chunk`.)
    """
    x, dim = operand("split", x), arguments.axis("split", either("split", dim, axis, FIRST))
    if arguments.is_row(split_size_or_sections):
        pieces = sizes("split", split_size_or_sections, "split_size_or_sections")
    else:
        size = integer("split", "split_size_or_sections", split_size_or_sections)
        n = x.shape[normalize_axis("split", dim, x.ndim)]
        if size < 1 and n > 0:
            raise ValueError(f"split: expected split_size_or_sections >= 1, got {size}")
        pieces = (size,) * (n // size) + (n % size,) * (n % size > 0) if n else (0,)
    return apply("split", x, sizes=pieces, axis=dim)


def chunk(x: TensorLike, chunks: int, dim: int = FIRST, *, axis: int = FIRST) -> tuple[Tensor, ...]:
    """Cut x along `dim` into this number of pieces of one size. Where that does not divide, the last one is smaller,
    and there may be fewer of them."""
    x, dim = operand("chunk", x), arguments.axis("chunk", either("chunk", dim, axis, FIRST))
    chunks = integer("chunk", "chunks", chunks, low=1)
    n = x.shape[normalize_axis("chunk", dim, x.ndim)]
    if n == 0:
        return apply("split", x, sizes=(0,) * chunks, axis=dim)
    return split(x, -(-n // chunks), dim)
