"""Functions that rearrange, pick, join and cut; what they give is often a view of the same memory."""

import operator

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import integer, shown, sizes
from tinygrad_gpt.array import Array, is_array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import says_axis
from tinygrad_gpt.operands import operand
from tinygrad_gpt.ops._shapes import normalize_axis
from tinygrad_gpt.tensor import plain_array


def reshape(x, shape: int | tuple[int, ...]) -> Tensor:
    """The same elements in another shape; one size may be -1 and is worked out."""
    return apply("reshape", operand("reshape", x), shape=sizes("reshape", shape))


def transpose(x, axes: tuple[int, ...] | None = None) -> Tensor:
    """Axis i of the result is axis axes[i] of x; None reverses them. (NumPy's transpose, PyTorch's permute.)"""
    x = operand("transpose", x)
    return apply("transpose", x, axes=tuple(range(x.ndim))[::-1] if axes is None else sizes("transpose", axes, "axes"))


def swapaxes(x, a: int, b: int) -> Tensor:
    """x with two axes exchanged. (PyTorch's transpose.)"""
    x = operand("swapaxes", x)
    a, b = [normalize_axis("swapaxes", arguments.axis("swapaxes", i), x.ndim) for i in (a, b)]
    axes = list(range(x.ndim))
    axes[a], axes[b] = axes[b], axes[a]
    return transpose(x, tuple(axes))


def broadcast_to(x, shape: tuple[int, ...]) -> Tensor:
    """x repeated to `shape` along axes of size 1 and new leading ones, without copying."""
    return apply("broadcast_to", operand("broadcast_to", x), shape=sizes("broadcast_to", shape))


def getitem(x, index) -> Tensor:
    """x[index], with all of NumPy's indexing; Tensors of integers or booleans may be part of the index."""
    x = operand("getitem", x)
    like = x.data if isinstance(x, Tensor) else x
    return apply("getitem", x, index=_plain_index(index, like))


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


@says_axis
def concatenate(tensors, axis: int = 0) -> Tensor:
    """Join a sequence of Tensors along `axis`; they are alike in every other size."""
    if not hasattr(tensors, "__iter__") and not is_array(tensors):
        raise TypeError(f"concatenate: expected a sequence of Tensors, got {shown(tensors)}")
    axis = arguments.axis("concatenate", axis)
    return apply("concatenate", *[operand("concatenate", t) for t in tensors], axis=axis)


@says_axis
def split(x, sections: int | tuple[int, ...], axis: int = -1) -> tuple[Tensor, ...]:
    """Cut x along `axis` into a number of equal pieces, or into pieces of the given sizes."""
    if type(sections) is not int:
        how = sizes if arguments.is_row(sections) else integer
        sections = how("split", value=sections, name="sections")
    return apply("split", operand("split", x), sections=sections, axis=arguments.axis("split", axis))
