"""Operands: what the functions of functional/ take, Tensors, arrays, numbers and lists, as what ops take."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import conversion, kind, numeric_array
from tinygrad_gpt.array import Array, as_array, is_array
from tinygrad_gpt.tensor import Tensor

TensorLike = Tensor | np.ndarray | np.generic | float | Sequence[Any]  # for annotations: what becomes a Tensor

_SIDES = (Tensor, np.ndarray, int, float, list, tuple, np.generic)


def pair(op: str, a, b) -> tuple:
    """Both sides of a binary op; a Python number becomes an array of the other side's kind and dtype."""
    for side in (a, b):
        if not isinstance(side, _SIDES) and not is_array(side):
            raise TypeError(f"{op}: expected Tensors, arrays or numbers, got {kind(side)}{how_to_convert(side)}")
    for side in (a, b):
        if _is_operand(side):
            like = side.data if isinstance(side, Tensor) else side
            return tuple([x if _is_operand(x) else _array_like(x, like, op) for x in (a, b)])
    return operand(op, a), operand(op, b)


def operand(op: str, x):
    """`x` itself if it is a Tensor or an array, else (a number, a list) a Tensor of it."""
    return x if _is_operand(x) else Tensor(as_array(x, who=op))


def plain(x: Tensor | Array) -> Array:
    """The array of an operand."""
    return x.data if isinstance(x, Tensor) else x


def how_to_convert(side) -> str:
    """What makes an array of it, for an error's last words; "" where nothing would."""
    return f": {conversion(side)}" if hasattr(side, "__array__") else ""


_HOLDS = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}  # kind of dtype -> kinds that it can take in without loss


def _array_like(x, like, op: str):
    """A number or list as an array of the kind and dtype of `like`; but 0.5 does not become an integer."""
    values = numeric_array(op, x)
    if not is_array(like):  # somebody's own .data: `apply` refuses it
        return Tensor(values)
    fits = values.dtype.kind in _HOLDS.get(like.dtype.kind, "")
    return np.asarray(values, dtype=like.dtype if fits else None, like=like)


def _is_operand(x) -> bool:
    return isinstance(x, Tensor) or is_array(x)
