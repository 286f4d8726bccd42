"""What can be written with Tensors: `a + b`, `x[0]`, `x > 0`, `x.sum()`; most are functions of functional/.

A class says it, so that editors and type checkers see what a Tensor has; at the end its contents go to Tensor itself.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_gpt import autograd
from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import as_float, kind, shown
from tinygrad_gpt.array import as_array, device_of, is_array
from tinygrad_gpt.devices import Device
from tinygrad_gpt.memory import owner
from tinygrad_gpt.operands import TensorLike, how_to_convert
from tinygrad_gpt.ops._shapes import check_broadcast
from tinygrad_gpt.tensor import Tensor, check_writeable, may_change_in_place


def _sizes(given: tuple) -> Any:
    """x.reshape(2, 3) or x.reshape((2, 3))."""
    return given[0] if len(given) == 1 else given


def _compared(symbol: str, ufunc, x: Tensor, other: Any) -> Tensor:
    """A boolean Tensor, which has no gradient. What has no elements to compare is not equal."""
    other = other.data if isinstance(other, Tensor) else other
    if isinstance(other, list | tuple):
        other = as_array(other, who=symbol)
    elif isinstance(other, int) and other.bit_length() > 63:
        other = as_float(symbol, other)
    elif isinstance(other, np.generic):  # as a Python number, which is compared in the dtype of x
        other = other.item()
    if is_array(other):
        check_broadcast(symbol, x.data, other)
    elif not isinstance(other, int | float):
        if symbol in ("==", "!=") and not hasattr(other, "__array__"):
            return NotImplemented
        how = how_to_convert(other)
        raise TypeError(f"{symbol}: expected Tensors, arrays or numbers, got {kind(other)}{how}")
    return Tensor(np.asarray(ufunc(x.data, other), like=x.data))


def _bitwise(symbol: str, ufunc, x, other) -> Tensor:
    """& | ^ of booleans, or the bits of integers."""
    x, other = [side.data if isinstance(side, Tensor) else as_array(side, who=symbol) for side in (x, other)]
    for side in (x, other):
        if side.dtype.kind not in "iub":
            raise TypeError(
                f"{symbol}: expected booleans or integers, got {side.dtype} of shape {tuple(side.shape)}: compare "
                f"first, as in (x > 0) {symbol} (y > 0)"
            )
    check_broadcast(symbol, x, other)
    return Tensor(np.asarray(ufunc(x, other), like=x))


def _whole(symbol: str, ufunc, x, other) -> Tensor:
    """// and % of integers, which have no gradients."""
    sides = x, other
    x, other = [side.data if isinstance(side, Tensor) else as_array(side, who=symbol) for side in sides]
    if {x.dtype.kind, other.dtype.kind} <= {*"iu"}:  # a Python number follows the dtype of the other side
        x = x.astype(other.dtype) if type(sides[0]) is int else x
        other = other.astype(x.dtype) if type(sides[1]) is int else other
    for side in (x, other):
        if side.dtype.kind not in "iu":
            raise TypeError(
                f"{symbol}: Tensors have it for integers only, got {side.dtype} of shape {tuple(side.shape)}: take "
                "x.numpy()"
            )
    check_broadcast(symbol, x, other)
    if not np.all(other):
        raise ZeroDivisionError(f"{symbol}: expected no zeros to divide by")
    return Tensor(np.asarray(ufunc(x, other), like=x))


def _in_place(symbol: str, function, x: Tensor, other: Any) -> Tensor:
    """x += other and the like. A leaf changes in place inside no_grad(), and elsewhere if it has no gradient and
    nothing else holds its memory. Otherwise x becomes a new Tensor, which its other names are not.

    Raises RuntimeError for a leaf that requires a gradient outside no_grad(), and for a view of one: a forward that
    wrote to a view of a weight would change the weight inside no_grad().
    """
    leaf = x if x.node is None else _leaf_in_view(x)
    if leaf is not None and leaf.requires_grad and autograd.is_grad_enabled():
        raise RuntimeError(
            f"{symbol}: a leaf that requires a gradient{' (or a view of one)' if leaf is not x else ''} cannot be "
            f"changed in place: inside `with no_grad():` it can; for a new Tensor write x = x {symbol[:-1]} y"
        )
    if x.node is not None:
        return function(x, other)
    in_place = may_change_in_place(x, other)
    y = function(x, other)
    if y.shape != x.shape:
        raise ValueError(f"{symbol}: expected what fits x of shape {x.shape}, and the result would have {y.shape}")
    if y.dtype != x.dtype:
        raise TypeError(f"{symbol}: the result would be {y.dtype} and x is {x.dtype}: write x = x {symbol[:-1]} y")
    if not in_place:
        return y
    check_writeable(symbol, x)
    x.data[...] = y.data
    return x


def _leaf_in_view(x: Tensor) -> Tensor | None:
    """The leaf whose memory a computed Tensor shows, as w[0] and w.T do; None if it has its own."""
    if getattr(x.data, "base", None) is None:
        return None
    edge: Any = x.node
    while isinstance(edge, autograd.Edge | autograd.Node):  # a view's first input is what it is a view of
        node = edge if isinstance(edge, autograd.Node) else edge.node
        edge = node.edges[0] if node.edges else None
    return edge if edge is not None and owner(edge.data) is owner(x.data) else None


def _assigning(symbol: str, function) -> Any:
    def method(self: Any, other: TensorLike) -> Tensor:
        return _in_place(symbol, function, self, other)

    return method


def _power_of_integers(base: int, exponents) -> Tensor:
    if (exponents < 0).any():
        raise ValueError(f"pow: expected exponents >= 0 for the integer {base}, got {exponents.min()}: write {base}.0")
    return Tensor(np.asarray(np.power(as_array(base, exponents.dtype, "pow"), exponents), like=exponents))


class Methods:
    """What Tensors can compute, as operators and methods. (`self` is a Tensor: these are given to it below.)"""

    # --- arithmetic ---

    __add__ = F.add
    __sub__ = F.sub
    __mul__ = F.mul
    __truediv__ = F.div
    __matmul__ = F.matmul
    __pow__ = F.pow
    __neg__ = F.neg
    __abs__ = F.abs

    def __radd__(self: Any, other: TensorLike) -> Tensor:
        return F.add(other, self)

    def __rsub__(self: Any, other: TensorLike) -> Tensor:
        return F.sub(other, self)

    def __rmul__(self: Any, other: TensorLike) -> Tensor:
        return F.mul(other, self)

    def __rtruediv__(self: Any, other: TensorLike) -> Tensor:
        return F.div(other, self)

    def __rmatmul__(self: Any, other: TensorLike) -> Tensor:
        return F.matmul(other, self)

    def __rpow__(self: Any, base: float) -> Tensor:
        """base ** x = exp(x * log(base)); of integers an integer."""
        if type(base) is int and self.dtype.kind in "iu":
            return _power_of_integers(base, self.data)
        if not isinstance(base, int | float) or base <= 0:
            raise TypeError(f"pow: expected a positive number to be raised to a Tensor's power, got {shown(base)}")
        return F.exp(self * math.log(base))

    def __pos__(self: Any) -> Tensor:
        return self

    def __floordiv__(self: Any, other: TensorLike) -> Tensor:
        return _whole("//", np.floor_divide, self, other)

    def __rfloordiv__(self: Any, other: TensorLike) -> Tensor:
        return _whole("//", np.floor_divide, other, self)

    def __mod__(self: Any, other: TensorLike) -> Tensor:
        return _whole("%", np.remainder, self, other)

    def __rmod__(self: Any, other: TensorLike) -> Tensor:
        return _whole("%", np.remainder, other, self)

    # --- the same, assigned: see _in_place ---

    __iadd__, __isub__ = _assigning("+=", F.add), _assigning("-=", F.sub)
    __imul__, __itruediv__ = _assigning("*=", F.mul), _assigning("/=", F.div)
    __ipow__ = _assigning("**=", F.pow)
    __ifloordiv__, __imod__ = _assigning("//=", __floordiv__), _assigning("%=", __mod__)

    # --- comparisons, which give booleans, and what is done with those ---

    def __lt__(self: Any, other: TensorLike) -> Tensor:
        return _compared("<", np.less, self, other)

    def __le__(self: Any, other: TensorLike) -> Tensor:
        return _compared("<=", np.less_equal, self, other)

    def __gt__(self: Any, other: TensorLike) -> Tensor:
        return _compared(">", np.greater, self, other)

    def __ge__(self: Any, other: TensorLike) -> Tensor:
        return _compared(">=", np.greater_equal, self, other)

    def __eq__(self: Any, other: object) -> Tensor:  # type: ignore[override]
        return _compared("==", np.equal, self, other)

    def __ne__(self: Any, other: object) -> Tensor:  # type: ignore[override]
        return _compared("!=", np.not_equal, self, other)

    __hash__ = object.__hash__  # by identity, as in PyTorch: Tensors can be keys although == is elementwise

    def __and__(self: Any, other: TensorLike) -> Tensor:
        return _bitwise("&", np.bitwise_and, self, other)

    def __or__(self: Any, other: TensorLike) -> Tensor:
        return _bitwise("|", np.bitwise_or, self, other)

    def __xor__(self: Any, other: TensorLike) -> Tensor:
        return _bitwise("^", np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__
    __iand__, __ior__, __ixor__ = _assigning("&=", __and__), _assigning("|=", __or__), _assigning("^=", __xor__)

    def __invert__(self: Any) -> Tensor:
        return _bitwise("~", lambda x, _: np.invert(x), self, self)

    def __contains__(self: Any, value: object) -> bool:
        """value in x: whether an element is equal to it."""
        equal = self == value
        return bool(equal.data.any()) if isinstance(equal, Tensor) else False

    all, any = F.all, F.any

    # --- each element by itself ---

    abs, exp, log, sqrt, tanh, sigmoid, relu = F.abs, F.exp, F.log, F.sqrt, F.tanh, F.sigmoid, F.relu
    add, sub, mul, div, neg, pow = F.add, F.sub, F.mul, F.div, F.neg, F.pow
    maximum, minimum, clamp, sin, cos, rsqrt = F.maximum, F.minimum, F.clamp, F.sin, F.cos, F.rsqrt
    softmax, log_softmax, matmul, mm, bmm, outer = F.softmax, F.log_softmax, F.matmul, F.mm, F.bmm, F.outer

    masked_fill, tril, triu = F.masked_fill, F.tril, F.triu

    square, clip, dot, mv, flip, unbind, movedim = F.square, F.clip, F.dot, F.mv, F.flip, F.unbind, F.movedim
    index_select, masked_select, sign, floor, ceil = F.index_select, F.masked_select, F.sign, F.floor, F.ceil
    round, isnan, isinf, isfinite, allclose, equal = F.round, F.isnan, F.isinf, F.isfinite, F.allclose, F.equal

    # --- sums, means, maxima ---

    sum, mean, var, std, prod, norm = F.sum, F.mean, F.var, F.std, F.prod, F.norm
    cumsum, logsumexp, argsort, sort, topk = F.cumsum, F.logsumexp, F.argsort, F.sort, F.topk
    max, min, amax, amin, argmax, argmin = F.max, F.min, F.amax, F.amin, F.argmax, F.argmin

    # --- shapes ---

    def reshape(self: Any, *shape: Any) -> Tensor:
        """The same elements in another shape: x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
        return F.reshape(self, _sizes(shape))

    def view(self: Any, *shape: Any) -> Tensor:
        """`reshape` by PyTorch's name. (Where the elements don't lie in memory one after the other, it copies.)"""
        return F.reshape(self, _sizes(shape))

    def permute(self: Any, *dims: Any) -> Tensor:
        """Axis i of the result is axis dims[i] of x: x.permute(0, 2, 1) or x.permute((0, 2, 1))."""
        return F.permute(self, _sizes(dims))

    def expand(self: Any, *sizes: Any) -> Tensor:
        """x repeated along axes of size 1 and new leading ones, without copying; -1 leaves a size as it is."""
        return F.expand(self, _sizes(sizes))

    def repeat(self: Any, *repeats: Any) -> Tensor:
        """x, repeated as a whole repeats[i] times along axis i."""
        return F.tile(self, _sizes(repeats))

    def t(self: Any) -> Tensor:
        """The transpose of a matrix; a vector as it is."""
        if self.ndim > 2:
            raise ValueError(
                f"t: expected a matrix or a vector, got shape {self.shape}: exchange two axes by transpose"
            )
        return F.transpose(self, 0, 1) if self.ndim == 2 else self

    @property
    def T(self: Any) -> Tensor:  # noqa: N802
        """x with its axes in reverse order."""
        return F.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self: Any) -> Tensor:  # noqa: N802
        """x with its last two axes exchanged."""
        return F.transpose(self, -2, -1)

    transpose, swapaxes, flatten, ravel, squeeze, unsqueeze = (
        F.transpose, F.swapaxes, F.flatten, F.ravel, F.squeeze, F.unsqueeze
    )  # fmt: skip
    broadcast_to, split, chunk, __getitem__ = F.broadcast_to, F.split, F.chunk, F.getitem
    gather, repeat_interleave, multinomial = F.gather, F.repeat_interleave, F.multinomial

    def __iter__(self: Any) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("a Tensor without axes cannot be iterated over; its number is x.item()")
        return (self[i] for i in range(len(self)))

    # --- dtypes and devices ---

    to, clone = F.to, F.clone

    @property
    def device(self: Any) -> Device:
        """Where the array lies."""
        return device_of(self.data)

    def float(self: Any) -> Tensor:
        """x as float32."""
        return F.to(self, np.float32)

    def double(self: Any) -> Tensor:
        """x as float64."""
        return F.to(self, np.float64)

    def long(self: Any) -> Tensor:
        """x as int64; fractions are cut off."""
        return F.to(self, np.int64)

    def int(self: Any) -> Tensor:
        """x as int32; fractions are cut off."""
        return F.to(self, np.int32)

    def bool(self: Any) -> Tensor:
        """Which elements are not zero."""
        return F.to(self, np.bool_)

    def cpu(self: Any) -> Tensor:
        """x on the CPU."""
        return F.to(self, "cpu")

    def cuda(self: Any) -> Tensor:
        """x on the GPU."""
        return F.to(self, "cuda")

    def type(self: Any, dtype: Any = None) -> Tensor:
        """x in another dtype."""
        if dtype is None:
            raise TypeError("type: expected a dtype to convert to; the one that x has is x.dtype")
        return F.to(self, dtype=dtype)

    def type_as(self: Any, other: Tensor) -> Tensor:
        """x in the dtype of another Tensor."""
        return F.to(self, dtype=other.dtype)

    def contiguous(self: Any) -> Tensor:
        """x itself: every function takes any layout in memory."""
        return self

    # --- gradients: see autograd.py ---

    backward, backward_steps = autograd.backward, autograd.backward_steps


for _name, _value in vars(Methods).items():
    if _name not in ("__dict__", "__doc__", "__module__", "__weakref__", "__qualname__"):
        setattr(Tensor, _name, _value)
