"""The ops as functions of Tensors, under PyTorch's names, and the operators (`a + b`, `x[0]`, `x.sum()`) that call
them.

Each function takes Tensors or arrays and gives a Tensor; where one of them requires a gradient, so does the result.
What an op computes, why its gradient is what it is, and what it raises stands in its file, ops/NAME.py.

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

import math

import numpy as np

from tinygrad_gpt.array import Array, as_array, converted, device_of, is_array, next_seed
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import attention as attention_op

_SIDES = (Tensor, np.ndarray, int, float, list, np.generic)


def _pair(a, b) -> tuple:
    """Both sides of a binary op; a Python number becomes an array of the other side's kind and dtype."""
    for side in (a, b):
        if not isinstance(side, _SIDES) and not is_array(side):
            raise TypeError(f"expected Tensors, arrays or numbers, got {type(side).__name__}")
    for side in (a, b):
        if isinstance(side, Tensor) or is_array(side):
            like = side.data if isinstance(side, Tensor) else side
            return tuple([x if _is_operand(x) else _array_like(x, like) for x in (a, b)])
    return Tensor(a), Tensor(b)


_HOLDS = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}  # kind of dtype -> kinds that it can take in without loss


def _array_like(x, like):
    """A number or list as an array of the kind and dtype of `like`; but 0.5 does not become an integer."""
    fits = np.asarray(x).dtype.kind in _HOLDS[like.dtype.kind]
    return np.asarray(x, dtype=like.dtype if fits else None, like=like)


def _is_operand(x) -> bool:
    return isinstance(x, Tensor) or is_array(x)


def _operand(x):
    """`x` itself if it is a Tensor or an array, else (a number, a list) a Tensor of it."""
    return x if _is_operand(x) else Tensor(x)


def plain_array(x) -> Array:
    """A Tensor's data, an array itself, or a list as an array."""
    return as_array(x.data if isinstance(x, Tensor) else x)


def tensor(data, requires_grad: bool = False, dtype=None) -> Tensor:
    """A new Tensor with a copy of `data`: a number, a list, an array. (`Tensor(array)` shares the array's memory.)"""
    data = data.data if isinstance(data, Tensor) else data
    return Tensor(data.copy() if is_array(data) else data, requires_grad, dtype)


def to(x, dtype_or_device) -> Tensor:
    """A leaf with x's data as float32 or float64, or on a device ("cuda", "cpu", "auto"); the same data, not a copy, if
    it is so already. As with `astype`, gradients don't flow through it."""
    return Tensor(converted(plain_array(x), dtype_or_device))


# --- elementwise -------------------------------------------------------------------------------------------------


def add(a, b) -> Tensor:
    """a + b, with broadcasting."""
    return apply("add", *_pair(a, b))


def sub(a, b) -> Tensor:
    """a - b, with broadcasting."""
    return apply("sub", *_pair(a, b))


def mul(a, b) -> Tensor:
    """a * b, with broadcasting."""
    return apply("mul", *_pair(a, b))


def div(a, b) -> Tensor:
    """a / b, with broadcasting."""
    return apply("div", *_pair(a, b))


def maximum(a, b) -> Tensor:
    """The larger of a and b, elementwise with broadcasting; a tie shares the gradient half and half."""
    return apply("maximum", *_pair(a, b))


def where(condition, a, b) -> Tensor:
    """a where the boolean condition holds, else b, with broadcasting."""
    return apply("where", _operand(condition), *_pair(a, b))


def neg(x) -> Tensor:
    """-x."""
    return apply("neg", _operand(x))


def pow(x, exponent: int | float) -> Tensor:
    """x ** exponent, for a Python number as exponent."""
    return apply("pow", _operand(x), exponent=exponent)


def exp(x) -> Tensor:
    """e ** x."""
    return apply("exp", _operand(x))


def log(x) -> Tensor:
    """Natural logarithm."""
    return apply("log", _operand(x))


def sqrt(x) -> Tensor:
    """Square root."""
    return apply("sqrt", _operand(x))


def tanh(x) -> Tensor:
    """Hyperbolic tangent."""
    return apply("tanh", _operand(x))


def sigmoid(x) -> Tensor:
    """1 / (1 + exp(-x))."""
    return apply("sigmoid", _operand(x))


def relu(x) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""
    return apply("relu", _operand(x))


def silu(x) -> Tensor:
    """x σ(x), with σ the logistic function."""
    return apply("silu", _operand(x))


def gelu(x, approximate: str = "tanh") -> Tensor:
    """x Φ(x), with Φ the normal distribution's: approximate="tanh" as in GPT-2, "none" for the exact form."""
    return apply("gelu", _operand(x), approximate=approximate)


# --- reductions --------------------------------------------------------------------------------------------------


def sum(x, axis=None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`: an integer, a tuple of them, or None for all."""
    return apply("sum", _operand(x), axis=axis, keepdims=keepdims)


def mean(x, axis=None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`: an integer, a tuple of them, or None for all."""
    return apply("mean", _operand(x), axis=axis, keepdims=keepdims)


def max(x, axis=None, keepdims: bool = False) -> Tensor:
    """Largest element over `axis` (an integer, a tuple of them, or None for all); ties share the gradient equally."""
    return apply("max", _operand(x), axis=axis, keepdims=keepdims)


def var(x, axis=None, keepdims: bool = False, correction: int | float = 0) -> Tensor:
    """Variance over `axis`, with divisor n - correction. (PyTorch's correction is 1 unless given.)"""
    return apply("var", _operand(x), axis=axis, keepdims=keepdims, correction=correction)


# --- shapes ------------------------------------------------------------------------------------------------------


def reshape(x, shape: int | tuple[int, ...]) -> Tensor:
    """The same elements in another shape; one size may be -1 and is worked out."""
    return apply("reshape", _operand(x), shape=(shape,) if isinstance(shape, int | np.integer) else tuple(shape))


def transpose(x, axes: tuple[int, ...] | None = None) -> Tensor:
    """Axis i of the result is axis axes[i] of x; None reverses them. (NumPy's transpose, PyTorch's permute.)"""
    x = _operand(x)
    return apply("transpose", x, axes=tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))


def swapaxes(x, a: int, b: int) -> Tensor:
    """x with two axes exchanged. (PyTorch's transpose.)"""
    x = _operand(x)
    axes = list(range(x.ndim))
    axes[a], axes[b] = axes[b], axes[a]
    return transpose(x, axes)


def broadcast_to(x, shape: tuple[int, ...]) -> Tensor:
    """x repeated to `shape` along axes of size 1 and new leading ones, without copying."""
    return apply("broadcast_to", _operand(x), shape=tuple(shape))


def getitem(x, index) -> Tensor:
    """x[index], with all of NumPy's indexing; Tensors of integers or booleans may be part of the index."""
    x = _operand(x)
    return apply("getitem", x, index=_plain_index(index, plain_array(x)))


def _plain_index(index, like: Array):
    """An index without Tensors, whose arrays lie where `like` does."""
    if isinstance(index, tuple):
        return tuple([_plain_index(i, like) for i in index])
    index = index.data if isinstance(index, Tensor) else index
    return np.asarray(index, like=like) if is_array(index) else index


def concatenate(tensors, axis: int = 0) -> Tensor:
    """Join a sequence of Tensors along `axis`; they are alike in every other size."""
    return apply("concatenate", *[_operand(t) for t in tensors], axis=axis)


def split(x, sections: int | tuple[int, ...], axis: int = -1) -> tuple[Tensor, ...]:
    """Cut x along `axis` into a number of equal pieces, or into pieces of the given sizes."""
    return apply("split", _operand(x), sections=sections if isinstance(sections, int) else tuple(sections), axis=axis)


# --- layers ------------------------------------------------------------------------------------------------------


def matmul(a, b) -> Tensor:
    """(..., M, K) @ (..., K, N) -> (..., M, N), the leading axes broadcast; vectors (K,) on either side."""
    return apply("matmul", _operand(a), _operand(b))


def linear(x, weight, bias=None) -> Tensor:
    """x (..., C_in) times weight (C_out, C_in) transposed, plus bias (C_out,) -> (..., C_out)."""
    return apply("linear", _operand(x), weight, bias)


def gelu_linear(x, weight, bias=None, approximate: str = "tanh") -> Tensor:
    """linear(gelu(x), weight, bias), as one op that does not keep gelu(x) for backward.

    Where the user chose a version of either op (registered one, or named it in `using`), the two run instead.
    """
    if registry.user_chose("gelu") or registry.user_chose("linear"):
        return linear(gelu(x, approximate), weight, bias)
    return apply("gelu_linear", _operand(x), weight, bias, approximate=approximate)


def embedding(ids, weight) -> Tensor:
    """Rows of weight (V, C) at integer ids (...) -> (..., C)."""
    return apply("embedding", _operand(ids), weight)


def layer_norm(x, weight, bias=None, eps: float = 1e-5) -> Tensor:
    """Normalise the last axis of x (..., C), then scale by weight (C,) and shift by bias (C,)."""
    return apply("layer_norm", _operand(x), weight, bias, eps=eps)


def add_layer_norm(x, residual, weight, bias=None, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """(s, layer_norm(s, weight, bias, eps)) with s = x + residual, as one op.

    Where the user chose a version of either op (registered one, or named it in `using`), the two run instead.
    """
    if registry.user_chose("add") or registry.user_chose("layer_norm"):
        s = add(x, residual)
        return s, layer_norm(s, weight, bias, eps)
    return apply("add_layer_norm", _operand(x), _operand(residual), weight, bias, eps=eps)


def softmax(x, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`."""
    return apply("softmax", _operand(x), axis=axis)


def log_softmax(x, axis: int = -1) -> Tensor:
    """log(softmax(x)) along `axis`, without underflow."""
    return apply("log_softmax", _operand(x), axis=axis)


def dropout(x, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero elements with probability p and scale the rest by 1 / (1 - p). Outside training, or with p = 0, x itself.

    Which elements is decided by the package's stream of random numbers (array.manual_seed).
    """
    x = _operand(x)
    if not training or p == 0:
        return x if isinstance(x, Tensor) else Tensor(x)
    return apply("dropout", x, p=p, seed=next_seed())


def attention(
    q, k, v, mask=None, causal: bool = False, scale: float | None = None, dropout: float = 0.0, training: bool = True
) -> Tensor:
    """Scaled dot-product attention: q (B, H, Tq, D), k and v (B, H, Tk, D) -> (B, H, Tq, D).

    mask      boolean (True may attend) or float (added to the scores), broadcastable to (B, H, Tq, Tk)
    causal    query i sees keys j <= i + Tk - Tq: the last query stands at the last key
    scale     None: 1 / sqrt(D)
    dropout   on the attention weights, in training only
    """
    if not training or dropout == 0:
        return apply("attention", q, k, v, mask, causal=causal, scale=scale)
    return apply("attention", q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=next_seed())


def attention_weights(q, k, mask=None, causal: bool = False, scale: float | None = None) -> Tensor:
    """How much each query of `attention` looks at each key, before dropout: (B, H, Tq, Tk), rows that sum to 1.

    To look at: they have no gradient. `attention` itself may never hold them all at once, so they are computed anew.
    """
    q, k, mask = [x.data if isinstance(x, Tensor) else x for x in (q, k, mask)]
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    return Tensor(attention_op.weights(q, k, mask, causal, scale))


def cross_entropy(
    logits, targets, ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Softmax cross-entropy of logits (..., V) with integer targets (...). (The classes are the LAST axis.)

    Rows whose target is ignore_index count for nothing. reduction: "mean" over the rows that count, "sum", or "none".
    """
    settings = {"ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction}
    return apply("cross_entropy", _operand(logits), _operand(targets), **settings)


# --- operators and methods of Tensor -----------------------------------------------------------------------------


def _as_tuple(sizes: tuple) -> tuple:
    """What was given as f(2, 3) or as f((2, 3))."""
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int | np.integer) else sizes


def _rpow(exponent: Tensor, base: int | float) -> Tensor:
    """base ** exponent = exp(exponent * log(base))."""
    if not isinstance(base, int | float) or base <= 0:
        raise TypeError(f"pow: expected a positive number to be raised to a Tensor's power, got {base!r}")
    return exp(exponent * math.log(base))


def _iterate(x: Tensor):
    if x.ndim == 0:
        raise TypeError("a Tensor without axes cannot be iterated over; its number is x.item()")
    return (x[i] for i in range(len(x)))


def _compare(ufunc):
    """A comparison gives a plain boolean array: it has no gradient."""

    def method(x: Tensor, other):
        other = other.data if isinstance(other, Tensor) else other
        if not is_array(other) and not isinstance(other, int | float | np.generic):
            return NotImplemented
        return ufunc(x.data, other)

    return method


Tensor.__add__ = add
Tensor.__radd__ = lambda x, other: add(other, x)
Tensor.__sub__ = sub
Tensor.__rsub__ = lambda x, other: sub(other, x)
Tensor.__mul__ = mul
Tensor.__rmul__ = lambda x, other: mul(other, x)
Tensor.__truediv__ = div
Tensor.__rtruediv__ = lambda x, other: div(other, x)
Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda x, other: matmul(other, x)
Tensor.__pow__ = pow
Tensor.__rpow__ = _rpow
Tensor.__neg__ = neg
Tensor.__getitem__ = getitem
Tensor.__iter__ = _iterate
Tensor.__lt__, Tensor.__le__ = _compare(np.less), _compare(np.less_equal)
Tensor.__gt__, Tensor.__ge__ = _compare(np.greater), _compare(np.greater_equal)
Tensor.__eq__, Tensor.__ne__ = _compare(np.equal), _compare(np.not_equal)
Tensor.__hash__ = object.__hash__  # by identity, as in PyTorch: Tensors can be keys although == is elementwise

for _method in (exp, log, sqrt, tanh, sigmoid, relu, sum, mean, max, var, softmax, log_softmax, broadcast_to):
    setattr(Tensor, _method.__name__, _method)
Tensor.reshape = lambda x, *shape: reshape(x, _as_tuple(shape))
Tensor.transpose = lambda x, *axes: transpose(x, _as_tuple(axes) if axes else None)
Tensor.swapaxes = swapaxes
Tensor.to = to
Tensor.device = property(lambda x: device_of(x.data))
Tensor.T = property(transpose)
