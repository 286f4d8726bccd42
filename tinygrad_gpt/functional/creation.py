"""New Tensors: from numbers, lists and arrays, in another dtype or on another device."""

from tinygrad_gpt.array import as_array, cast_or_move
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.tensor import plain_array


def tensor(data, requires_grad: bool = False, dtype=None) -> Tensor:
    """A new Tensor with a copy of `data`: a number, a list, an array. (`Tensor(array)` shares the array's memory.)"""
    data = data.data if isinstance(data, Tensor) else data
    array = as_array(data, dtype, "tensor")
    return Tensor(array.copy() if hasattr(data, "__array__") else array, requires_grad)


def to(x, dtype_or_device) -> Tensor:
    """A leaf with x's data as float32 or float64, or on a device ("cuda", "cpu", "auto"); it shares x's memory if
    nothing has to change. No gradient flows through it."""
    return Tensor(cast_or_move(plain_array(x, "to"), dtype_or_device))
