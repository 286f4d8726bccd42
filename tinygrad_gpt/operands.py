"""Operands: what the functions of functional/ take, Tensors, arrays, numbers and lists, as what ops take."""

from collections.abc import Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

from tinygrad_gpt.arguments import conversion, kind, numeric_array
from tinygrad_gpt.array import FLOATS, Array, as_array, default_dtype, is_array
from tinygrad_gpt.tensor import Tensor

TensorLike = Tensor | np.ndarray | np.generic | float | Sequence[Any]  # for annotations: what becomes a Tensor

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class HasForward(Protocol[P, R]):
    """For type checkers: calling a Module takes what its forward takes, and gives what that gives."""

    def forward(self, *inputs: P.args, **settings: P.kwargs) -> R: ...


_SIDES = (Tensor, np.ndarray, int, float, list, tuple, np.generic)


def pair(op: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Both sides of a binary op: as they are where both are Tensors of one float dtype. A Python number becomes an
    array of the other side's kind and dtype; integers beside floats, and floats from NumPy beside a Tensor of floats,
    become floats of that dtype."""
    x, y = a.data if isinstance(a, Tensor) else a, b.data if isinstance(b, Tensor) else b
    if type(x) is np.ndarray:  # the common cases first: ops are many
        if type(y) is np.ndarray:
            if x.dtype == y.dtype:
                return a, b
        elif x.dtype in FLOATS and (type(y) is float or (type(y) is int and y.bit_length() < 64)):
            number: Any = np.asarray(y, x.dtype)
            return a, number
    for side in (a, b):
        if not isinstance(side, _SIDES) and not is_array(side):
            raise TypeError(f"{op}: expected Tensors, arrays or numbers, got {kind(side)}{how_to_convert(side)}")
    if _is_operand(a):
        b = b if _is_operand(b) else _array_like(b, plain(a), op)
    elif _is_operand(b):
        a = _array_like(a, plain(b), op)
    else:
        a, b = operand(op, a), operand(op, b)
    if _is_of_integers(a) and b.dtype in FLOATS:
        a = plain(a).astype(b.dtype)
    elif _is_of_integers(b) and a.dtype in FLOATS:
        b = plain(b).astype(a.dtype)
    if a.dtype == b.dtype:
        return a, b
    a, b = of_one_dtype([a, b])
    return a, b


def of_one_dtype(parts: list[Any]) -> list[Any]:
    """Tensors and arrays, in which the floats from NumPy, which makes float64 of all it can, have the dtype of the
    Tensors; as they are where that is not one dtype, which the op then refuses."""
    dtypes = {x.dtype for x in parts if isinstance(x, Tensor) and x.dtype in FLOATS}
    if len(dtypes) != 1:
        return parts
    dtype = dtypes.pop()
    return [x.astype(dtype, copy=False) if not isinstance(x, Tensor) and x.dtype in FLOATS else x for x in parts]


def operand(op: str, x: Any) -> Tensor:
    """`x` itself if it is a Tensor or an array, else (a number, a list) a Tensor of it. (Type checkers are told
    of a Tensor: both have shape, ndim and dtype.)"""
    return x if _is_operand(x) else Tensor(as_array(x, who=op))


def plain(x: Any) -> Array:
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
    dtype = None
    if values.dtype.kind in _HOLDS.get(like.dtype.kind, ""):
        dtype = like.dtype
    elif values.dtype.kind == "f" and like.dtype.kind in "iub":
        dtype = default_dtype()
    return np.asarray(values, dtype=dtype, like=like)


def _is_operand(x) -> bool:
    return isinstance(x, Tensor) or is_array(x)


def _is_of_integers(x) -> bool:
    return getattr(plain(x), "dtype", np.dtype(object)).kind in "iub"
