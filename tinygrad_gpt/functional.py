"""The ops as functions of Tensors, under PyTorch's names. (The operators, `a + b` or `x.sum()`, are in operators.py.)

Each function takes Tensors or arrays and gives a Tensor; where one of them requires a gradient, so does the result.
What an op computes, why its gradient is what it is, and what it raises stands in its file, ops/NAME.py. An op made of
two, gelu_linear or add_layer_norm, gives way to them where the user registered or forced a version of either.

Letters in shapes: B batch, T time, C channels, H heads, D head size, V vocabulary.
"""

import functools
import math
import operator

import numpy as np

from tinygrad_gpt import arguments, habits
from tinygrad_gpt.arguments import as_float, flag, integer, number, shown, sizes
from tinygrad_gpt.array import Array, as_array, cast_or_move, is_array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.operands import operand, pair
from tinygrad_gpt.ops import attention as attention_op
from tinygrad_gpt.ops._shapes import check_floats, normalize_axis
from tinygrad_gpt.random_stream import next_seed
from tinygrad_gpt.tensor import plain_array, plain_ids


def tensor(data, requires_grad: bool = False, dtype=None) -> Tensor:
    """A new Tensor with a copy of `data`: a number, a list, an array. (`Tensor(array)` shares the array's memory.)"""
    data = data.data if isinstance(data, Tensor) else data
    array = as_array(data, dtype, "tensor")
    return Tensor(array.copy() if hasattr(data, "__array__") else array, requires_grad)


def to(x, dtype_or_device) -> Tensor:
    """A leaf with x's data as float32 or float64, or on a device ("cuda", "cpu", "auto"); it shares x's memory if
    nothing has to change. No gradient flows through it."""
    return Tensor(cast_or_move(plain_array(x, "to"), dtype_or_device))


# --- elementwise -------------------------------------------------------------------------------------------------


def _elementwise(op: str, says: str, binary: bool = False):
    """The function of an op without settings on one array, or on two that broadcast; `says` is its docstring."""

    def unary_op(x) -> Tensor:
        return apply(op, operand(op, x))

    def binary_op(a, b) -> Tensor:
        return apply(op, *pair(op, a, b))

    function = binary_op if binary else unary_op
    function.__name__, function.__qualname__, function.__doc__ = op, op, says
    return function


add = _elementwise("add", "a + b, with broadcasting.", binary=True)
sub = _elementwise("sub", "a - b, with broadcasting.", binary=True)
mul = _elementwise("mul", "a * b, with broadcasting.", binary=True)
div = _elementwise("div", "a / b, with broadcasting.", binary=True)
maximum = _elementwise("maximum", "The larger of a and b, with broadcasting; a tie shares half and half.", binary=True)
neg = _elementwise("neg", "-x.")
exp = _elementwise("exp", "e ** x.")
log = _elementwise("log", "Natural logarithm.")
sqrt = _elementwise("sqrt", "Square root.")
tanh = _elementwise("tanh", "Hyperbolic tangent.")
sigmoid = _elementwise("sigmoid", "1 / (1 + exp(-x)).")
relu = _elementwise("relu", "max(x, 0); the gradient at 0 is 0.")
silu = _elementwise("silu", "x σ(x), with σ the logistic function.")


def where(condition, a, b) -> Tensor:
    """a where the boolean condition holds, else b, with broadcasting."""
    return apply("where", operand("where", condition), *pair("where", a, b))


def pow(x, exponent: int | float) -> Tensor:
    """x ** exponent, for a Python number as exponent."""
    if isinstance(exponent, int) and exponent.bit_length() > 63:
        exponent = as_float("pow", exponent)
    return apply("pow", operand("pow", x), exponent=exponent)


def abs(x) -> Tensor:
    """|x| = max(x, -x). The gradient at 0 is 0, as in PyTorch: a tie gives 1/2 of it to x and 1/2 to -x."""
    x = operand("abs", x)
    check_floats("abs", x.data if isinstance(x, Tensor) else x)
    return maximum(x, neg(x))


def gelu(x, approximate: str = "tanh") -> Tensor:
    """x Φ(x), with Φ the normal distribution's: approximate="tanh" as in GPT-2, "none" for the exact form."""
    return apply("gelu", operand("gelu", x), approximate=approximate)


# --- reductions --------------------------------------------------------------------------------------------------


_PYTORCHS = {"dim": "axis", "keepdim": "keepdims"}


def _says_axis(function):
    """Decorate a function so that PyTorch's dim= and keepdim= raise an error that says axis= and keepdims=."""

    @functools.wraps(function)
    def called(*args, **settings):
        for name in settings:
            if name in _PYTORCHS:
                raise TypeError(f"{function.__name__}: expected {_PYTORCHS[name]}=, got {name}=, as PyTorch calls it")
            if name in ("dtype", "out"):  # from np.sum(x), say
                raise TypeError(f"{function.__name__}: has no {name}=; np.{function.__name__} takes x.numpy()")
        return function(*args, **settings)

    return called


def _reduce(op: str, x, axis, keepdims, **settings) -> Tensor:
    axis, keepdims = arguments.axes(op, axis), flag(op, "keepdims", keepdims)
    return apply(op, operand(op, x), axis=axis, keepdims=keepdims, **settings)


@_says_axis
def sum(x, axis=None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`: an integer, a tuple of them, or None for all."""
    return _reduce("sum", x, axis, keepdims)


@_says_axis
def mean(x, axis=None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`: an integer, a tuple of them, or None for all."""
    return _reduce("mean", x, axis, keepdims)


@_says_axis
def max(x, axis=None, keepdims: bool = False) -> Tensor:
    """Largest element over `axis` (an integer, a tuple of them, or None for all); ties share the gradient equally."""
    return _reduce("max", x, axis, keepdims)


@_says_axis
def var(x, axis=None, keepdims: bool = False, correction: int | float = 0) -> Tensor:
    """Variance over `axis`, with divisor n - correction. (PyTorch's correction is 1 unless given.)"""
    return _reduce("var", x, axis, keepdims, correction=number("var", "correction", correction))


# --- shapes ------------------------------------------------------------------------------------------------------


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


@_says_axis
def concatenate(tensors, axis: int = 0) -> Tensor:
    """Join a sequence of Tensors along `axis`; they are alike in every other size."""
    if not hasattr(tensors, "__iter__") and not is_array(tensors):
        raise TypeError(f"concatenate: expected a sequence of Tensors, got {shown(tensors)}")
    axis = arguments.axis("concatenate", axis)
    return apply("concatenate", *[operand("concatenate", t) for t in tensors], axis=axis)


@_says_axis
def split(x, sections: int | tuple[int, ...], axis: int = -1) -> tuple[Tensor, ...]:
    """Cut x along `axis` into a number of equal pieces, or into pieces of the given sizes."""
    if type(sections) is not int:
        how = sizes if arguments.is_row(sections) else integer
        sections = how("split", value=sections, name="sections")
    return apply("split", operand("split", x), sections=sections, axis=arguments.axis("split", axis))


# --- layers ------------------------------------------------------------------------------------------------------


def matmul(a, b) -> Tensor:
    """(..., M, K) @ (..., K, N) -> (..., M, N), the leading axes broadcast; vectors (K,) on either side."""
    return apply("matmul", operand("matmul", a), operand("matmul", b))


def linear(x, weight, bias=None) -> Tensor:
    """x (..., C_in) times weight (C_out, C_in) transposed, plus bias (C_out,) -> (..., C_out)."""
    return apply("linear", operand("linear", x), weight, bias)


def gelu_linear(x, weight, bias=None, approximate: str = "tanh") -> Tensor:
    """linear(gelu(x), weight, bias), as one op that does not keep gelu(x) for backward."""
    if registry.user_chose_a_part("gelu_linear"):
        return linear(gelu(x, approximate), weight, bias)
    return apply("gelu_linear", operand("gelu_linear", x), weight, bias, approximate=approximate)


def embedding(ids, weight) -> Tensor:
    """Rows of weight (V, C) at integer ids (...) -> (..., C)."""
    return apply("embedding", plain_ids(ids, "embedding"), weight)


def layer_norm(x, weight, bias=None, eps: float = 1e-5) -> Tensor:
    """Normalise the last axis of x (..., C), then scale by weight (C,) and shift by bias (C,)."""
    return apply("layer_norm", operand("layer_norm", x), weight, bias, eps=number("layer_norm", "eps", eps, low=0))


def add_layer_norm(x, residual, weight, bias=None, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """(s, layer_norm(s, weight, bias, eps)) with s = x + residual, as one op."""
    if registry.user_chose_a_part("add_layer_norm"):
        s = add(x, residual)
        return s, layer_norm(s, weight, bias, eps)
    x, residual = operand("add_layer_norm", x), operand("add_layer_norm", residual)
    return apply("add_layer_norm", x, residual, weight, bias, eps=number("add_layer_norm", "eps", eps, low=0))


@_says_axis
def softmax(x, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`."""
    return apply("softmax", operand("softmax", x), axis=arguments.axis("softmax", axis))


@_says_axis
def log_softmax(x, axis: int = -1) -> Tensor:
    """log(softmax(x)) along `axis`, without underflow."""
    return apply("log_softmax", operand("log_softmax", x), axis=arguments.axis("log_softmax", axis))


def dropout(x, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero elements with probability p, drawn from the package's stream of random numbers, and scale the rest by
    1 / (1 - p). Outside training, or with p = 0, x itself."""
    x, p = operand("dropout", x), number("dropout", "p", p)
    if not flag("dropout", "training", training) or p == 0:
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
    dropout = number("attention", "dropout", dropout)
    causal, scale = flag("attention", "causal", causal), number("attention", "scale", scale, or_none=True)
    if not flag("attention", "training", training) or dropout == 0:
        return apply("attention", q, k, v, mask, causal=causal, scale=scale)
    return apply("attention", q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=next_seed())


def attention_weights(q, k, mask=None, causal: bool = False, scale: float | None = None) -> Tensor:
    """How much each query of `attention` looks at each key, before dropout: (B, H, Tq, Tk), rows that sum to 1.

    For inspection only (no gradient); recomputed, since `attention` may never hold them all at once.
    """
    me = "attention_weights"
    q, k, mask = [None if x is None else plain_array(x, me) for x in (q, k, mask)]
    if q is None or k is None:
        raise TypeError(f"{me}: expected Tensors or arrays, got None as {'k' if k is None else 'q'}")
    causal, scale = flag(me, "causal", causal), number(me, "scale", scale, or_none=True)
    attention_op.check(q, k, k, mask, causal=causal, scale=scale)
    return Tensor(attention_op.weights(q, k, mask, causal, 1 / math.sqrt(q.shape[-1]) if scale is None else scale))


def cross_entropy(
    logits, targets, ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Softmax cross-entropy of logits (..., V) with integer targets (...). (The classes are the LAST axis.)

    Rows with the target ignore_index are left out. reduction: "mean" over the other rows, "sum", or "none".
    """
    targets = plain_ids(targets, "cross_entropy", "targets")
    settings = {
        "ignore_index": integer("cross_entropy", "ignore_index", ignore_index),
        "label_smoothing": number("cross_entropy", "label_smoothing", label_smoothing),
        "reduction": reduction,
    }
    return apply("cross_entropy", operand("cross_entropy", logits), targets, **settings)


def __getattr__(name: str):
    raise habits.missing("functional", name, habits.FUNCTIONS)
