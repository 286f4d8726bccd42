"""Tensor: an array, its gradient, and the Node of the tape that made it; and how it behaves as a Python object.

Backward is attached to it in autograd.py, which knows the tape, arithmetic in functional/, which knows the ops.
"""

import weakref
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tinygrad_gpt.arguments import HOLDS_A_TENSOR, as_dtype, axis, bare, flag, numeric_array, shown
from tinygrad_gpt.array import Array, as_array, is_array, is_float, numbers_first, to_numpy
from tinygrad_gpt.habits import TENSOR, tells
from tinygrad_gpt.memory import is_writeable, only_one_holds
from tinygrad_gpt.modes import is_grad_enabled

if TYPE_CHECKING:
    from tinygrad_gpt.operators import Methods as _Methods
else:
    _Methods = object  # operators.py gives them to Tensor, later


class Size(int):
    """The number of elements, an integer, as in NumPy. PyTorch's x.size() and x.size(0) work too: a shape, a size."""

    shape: tuple[int, ...]

    def __new__(cls, number: int, shape: tuple[int, ...]) -> "Size":
        size = super().__new__(cls, number)
        size.shape = shape
        return size

    @overload
    def __call__(self, dim: None = None) -> tuple[int, ...]: ...
    @overload
    def __call__(self, dim: int) -> int: ...
    def __call__(self, dim=None):
        if dim is None:
            return self.shape
        dim = axis("size", dim)
        if not -len(self.shape) <= dim < len(self.shape):
            raise IndexError(f"size: axis {dim} is out of range for a Tensor of shape {self.shape}")
        return self.shape[dim]

    def __reduce__(self):
        return int, (int(self),)


@tells(TENSOR)
class Tensor(_Methods):
    """An array, its gradient, and the Node that made it.

    data           the array: float32 or float64, or integers or booleans (which never have gradients)
    grad           None, or an array like `data` that backward has added to
    requires_grad  whether backward should compute a gradient of it
    node           the Node that made it; None for a leaf (an input, a parameter)
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "output", "requires_grad")
    __array_ufunc__ = None  # so that `ndarray * tensor` asks the Tensor instead of looping over elements

    def __init__(self, data, requires_grad: bool = False, dtype=None):
        self.data = as_array(data.data if isinstance(data, Tensor) else data, dtype)
        if type(requires_grad) is int and requires_grad not in (0, 1):
            got = f"got {shown(requires_grad)}: for a Tensor of a shape write zeros(2, 3)"
            raise TypeError(f"Tensor: expected True or False as requires_grad, {got}")
        self.requires_grad = flag("Tensor", "requires_grad", requires_grad)
        if requires_grad and not is_float(self.data):
            raise TypeError(f"only float32 and float64 Tensors can require gradients, this one is {self.data.dtype}")
        self.grad: Any = None
        self.node: Any = None  # a Node, of autograd.py
        self.output = 0  # which of the Node's outputs this is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> Size:
        return Size(self.data.size, self.data.shape)

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    def dim(self) -> int:
        """The number of axes, x.ndim."""
        return self.data.ndim

    def numel(self) -> int:
        """The number of elements, x.size."""
        return self.data.size

    def tolist(self) -> Any:
        """The data as nested lists of Python numbers."""
        return self.numpy().tolist()

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Set whether backward should compute a gradient of it. Returns self."""
        requires_grad = flag("requires_grad_", "requires_grad", requires_grad)
        if requires_grad and not is_float(self.data):
            raise TypeError(f"only float32 and float64 Tensors can require gradients, this one is {self.data.dtype}")
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad_: only a leaf's can be taken away: x.detach() is cut off from the graph")
        self.requires_grad = requires_grad
        return self

    def numpy(self) -> np.ndarray:
        """The data as a NumPy array (the same memory on the CPU, a copy from a GPU)."""
        return to_numpy(self.data)

    def detach(self) -> "Tensor":
        """The same data, cut off from the graph: no gradient flows through it."""
        return Tensor(self.data)

    def astype(self, dtype) -> "Tensor":
        """A leaf with the data converted to `dtype`; gradients don't flow through a conversion."""
        return Tensor(as_array(self.data, as_dtype(dtype, "astype"), "astype"))

    def retain_grad(self) -> "Tensor":
        """Keep the gradient of this intermediate Tensor in `.grad` instead of freeing it after use. Returns self."""
        if self.node is not None:
            self.node.watched[self.output] = weakref.ref(self)  # weak: the Node must not own its own output
        elif not self.requires_grad:
            raise RuntimeError("retain_grad: this Tensor has no gradient to retain (requires_grad is False)")
        return self

    # --- one with a single element is a number ---

    def item(self) -> float | int | bool:
        """The value of a Tensor with one element, as a Python number."""
        return self._number("item")

    def _number(self, who: str) -> float | int | bool:
        if self.data.size != 1:
            raise ValueError(
                f"{who}: expected a Tensor with one element, got shape {self.shape}: reduce it (.sum(), .mean()), "
                "or compare and take .all() or .any()"
            )
        return self.data.item()

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __bool__(self) -> bool:
        return bool(self._number("bool"))

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu":
            raise TypeError(f"expected an integer as index or size, got {shown(self)}")
        return int(self._number("index"))

    def __round__(self, digits: int | None = None):
        return round(self._number("round"), digits)

    def __format__(self, spec: str) -> str:
        return format(self._number(f"format {spec!r}"), spec) if spec else str(self)

    # --- what Python and NumPy may ask of it ---

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a Tensor without axes cannot be counted; its number is x.item()")
        return len(self.data)

    def __repr__(self) -> str:
        if isinstance(self.data, Tensor):
            return f"Tensor(.data {HOLDS_A_TENSOR})"
        values = np.array2string(to_numpy(self.data), precision=4, threshold=20, separator=", ", prefix="Tensor(")
        made_by = f", by={self.node.version.op}" if self.node else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, {self.data.dtype}{made_by})"

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if self.requires_grad:
            raise TypeError("NumPy functions would lose the gradient: use tinygrad_gpt.functional, or x.numpy()")
        if not isinstance(self.data, np.ndarray):
            raise TypeError(
                "NumPy works on the CPU, and this Tensor is on the GPU: use tinygrad_gpt.functional, or x.numpy()"
            )
        return self.data.astype(dtype or self.data.dtype, copy=bool(copy))

    def __getstate__(self):
        if self.node is not None:
            raise TypeError("a Tensor with a graph behind it cannot be copied or pickled: take x.detach()")
        return super().__getstate__()

    def __setitem__(self, index: Any, value: Any) -> None:
        """x[index] = value, inside no_grad() for every leaf; elsewhere for a Tensor without a gradient whose memory no
        graph and nothing else holds."""
        if not may_change_in_place(self, value):
            raise TypeError(
                "x[...] = y: a Tensor cannot be changed in part where a graph may hold it, which would not know: make "
                "a new one (functional.where, functional.concatenate), or change it inside `with no_grad():`"
            )
        check_writeable("x[...] = y", self)
        x, index = self.data, _without_tensors(index)
        if isinstance(index, tuple) and (parts := numbers_first(index, x.ndim)):
            x, index = x[parts[0]], parts[1]  # a view, in which integers have taken their axes out: see getitem
        x[index] = _without_tensors(value)

    def __delitem__(self, index: Any) -> None:
        raise TypeError("del x[...]: a Tensor keeps its shape; x[[0, 2]] picks what is to stay")


def _refused(symbol: str):
    def method(self, *others):
        raise TypeError(f"{symbol}: Tensors do not have it, only + - * / @ ** and comparisons: take x.numpy()")

    return method


for _name, _symbol in {"divmod": "divmod", "lshift": "<<", "rshift": ">>"}.items():
    setattr(Tensor, f"__{_name}__", _refused(_symbol))
    setattr(Tensor, f"__r{_name}__", _refused(_symbol))


def may_change_in_place(x: Tensor, value: Any) -> bool:
    """Whether the array of x may be changed with `value`: a leaf's, where nothing goes on the tape; where something
    does, that of a Tensor without a gradient whose memory nothing else holds."""
    if x.node is not None:
        return False
    if not is_grad_enabled():
        return True
    return not x.requires_grad and only_one_holds(x) and not getattr(value, "requires_grad", False)


def check_writeable(who: str, x: Tensor) -> None:
    """Raise RuntimeError where the array of x cannot be written to."""
    if not is_writeable(x.data):
        raise RuntimeError(
            f"{who}: this array is read-only, or its elements share memory (expand), or debug() keeps it for a "
            "backward: change x.clone() instead"
        )


def plain_array(x, who: str = "Tensor") -> Array:
    """A Tensor's data, an array itself, or a list as an array."""
    return as_array(_without_tensors(x), who=who)


def plain_ids(x, who: str, name: str = "ids") -> Array:
    """A Tensor's data, an array or a list of integers, as an array; an empty list counts as one of integers. Raises
    TypeError for anything but integers, IndexError for one that int64 cannot hold."""
    given = _without_tensors(x)
    ids = bare(who, given) if isinstance(given, np.ndarray) else given if is_array(given) else numeric_array(who, given)
    if ids.dtype.kind in "iu":
        return ids
    if not is_array(given):
        if ids.size == 0 and isinstance(given, list | tuple):
            return ids.astype(np.int64)
        if np.asarray(given).dtype == object and ids.dtype != object:
            raise IndexError(f"{who}: expected {name} that int64 can hold, got {shown(given)}")
    got = f"{ids.dtype} of shape {tuple(ids.shape)}: convert with .astype(np.int64)"
    if ids.dtype.kind not in "fb":
        got = shown(x) + (": encode texts first, with a tokenizer" if ids.dtype.kind in "US" else "")
    raise TypeError(f"{who}: expected integer {name}, got {got}")


def _without_tensors(x: Any) -> Any:
    """x with arrays in place of Tensors: one Tensor, or those in a list or tuple."""
    if isinstance(x, list | tuple):
        parts = [part.data if isinstance(part, Tensor) else part for part in x]
        return tuple(parts) if type(x) is tuple else parts  # which an index tells apart
    return x.data if isinstance(x, Tensor) else x
