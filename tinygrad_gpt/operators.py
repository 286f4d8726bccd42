"""What can be written with Tensors: `a + b`, `x[0]`, `x > 0`, `x.sum()`; most are functions of functional/."""

import math

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import as_float, kind, shown
from tinygrad_gpt.array import as_array, device_of, is_array
from tinygrad_gpt.operands import how_to_convert
from tinygrad_gpt.ops._shapes import check_broadcast
from tinygrad_gpt.tensor import Tensor


def _rpow(exponent: Tensor, base: int | float) -> Tensor:
    """base ** exponent = exp(exponent * log(base))."""
    if not isinstance(base, int | float) or base <= 0:
        raise TypeError(f"pow: expected a positive number to be raised to a Tensor's power, got {shown(base)}")
    return F.exp(exponent * math.log(base))


def _iterate(x: Tensor):
    if x.ndim == 0:
        raise TypeError("a Tensor without axes cannot be iterated over; its number is x.item()")
    return (x[i] for i in range(len(x)))


def _compare(symbol: str, ufunc):
    """A comparison gives a plain boolean array: it has no gradient. What has no elements to compare is not equal."""

    def method(x: Tensor, other):
        other = other.data if isinstance(other, Tensor) else other
        if isinstance(other, list | tuple):
            other = as_array(other, who=symbol)
        elif isinstance(other, int) and other.bit_length() > 63:
            other = as_float(symbol, other)
        if is_array(other):
            check_broadcast(symbol, x.data, other)
        elif not isinstance(other, int | float | np.generic):
            if symbol in ("==", "!=") and not hasattr(other, "__array__"):
                return NotImplemented
            how = how_to_convert(other)
            raise TypeError(f"{symbol}: expected Tensors, arrays or numbers, got {kind(other)}{how}")
        return ufunc(x.data, other)

    return method


def _contains(x: Tensor, value) -> bool:
    """value in x: whether an element is equal to it."""
    equal = x == value
    return bool(equal.any()) if is_array(equal) else False


Tensor.__add__ = F.add
Tensor.__radd__ = lambda x, other: F.add(other, x)
Tensor.__sub__ = F.sub
Tensor.__rsub__ = lambda x, other: F.sub(other, x)
Tensor.__mul__ = F.mul
Tensor.__rmul__ = lambda x, other: F.mul(other, x)
Tensor.__truediv__ = F.div
Tensor.__rtruediv__ = lambda x, other: F.div(other, x)
Tensor.__matmul__ = F.matmul
Tensor.__rmatmul__ = lambda x, other: F.matmul(other, x)
Tensor.__pow__ = F.pow
Tensor.__rpow__ = _rpow
Tensor.__neg__ = F.neg
Tensor.__pos__ = lambda x: x
Tensor.__abs__ = F.abs
Tensor.__getitem__ = F.getitem
Tensor.__iter__ = _iterate
Tensor.__contains__ = _contains
Tensor.__lt__ = _compare("<", np.less)
Tensor.__le__ = _compare("<=", np.less_equal)
Tensor.__gt__ = _compare(">", np.greater)
Tensor.__ge__ = _compare(">=", np.greater_equal)
Tensor.__eq__ = _compare("==", np.equal)
Tensor.__ne__ = _compare("!=", np.not_equal)
Tensor.__hash__ = object.__hash__  # by identity, as in PyTorch: Tensors can be keys although == is elementwise

for _method in (F.exp, F.log, F.sqrt, F.tanh, F.sigmoid, F.abs, F.relu, F.softmax, F.log_softmax):
    setattr(Tensor, _method.__name__, _method)
for _method in (F.sum, F.mean, F.max, F.var, F.broadcast_to, F.swapaxes, F.to):
    setattr(Tensor, _method.__name__, _method)
Tensor.reshape = lambda x, *shape: F.reshape(x, shape[0] if len(shape) == 1 else shape)  # x.reshape(2, 3), or ((2, 3))
Tensor.transpose = lambda x, *axes: F.transpose(x, axes[0] if len(axes) == 1 else axes or None)
Tensor.device = property(lambda x: device_of(x.data))
Tensor.T = property(F.transpose)
