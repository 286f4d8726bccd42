"""What layers compute."""

import math

import numpy as np

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import flag, integer, number, shown, sizes
from tinygrad_gpt.array import is_array
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.axis_names import LAST, either
from tinygrad_gpt.functional.fused import fused, fused_attention_weights
from tinygrad_gpt.operands import TensorLike, operand, plain
from tinygrad_gpt.ops import attention as attention_op
from tinygrad_gpt.random_stream import next_seed
from tinygrad_gpt.tensor import plain_array, plain_ids


def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """(..., M, K) @ (..., K, N) -> (..., M, N), the leading axes broadcast; vectors (K,) on either side."""
    return apply("matmul", operand("matmul", a), operand("matmul", b))


def mm(a: TensorLike, b: TensorLike) -> Tensor:
    """(M, K) @ (K, N) -> (M, N)."""
    return _product("mm", 2, a, b)


def bmm(a: TensorLike, b: TensorLike) -> Tensor:
    """(B, M, K) @ (B, K, N) -> (B, M, N): no axis broadcasts."""
    return _product("bmm", 3, a, b)


def _product(who: str, ndim: int, a, b) -> Tensor:
    a, b = operand(who, a), operand(who, b)
    if (a.ndim, b.ndim) != (ndim, ndim) or a.shape[: ndim - 2] != b.shape[: ndim - 2]:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(
            f"{who}: expected arrays of {ndim} axes, alike but for the last two, got {shapes}: @ broadcasts"
        )
    return apply("matmul", a, b)


def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """x (..., C_in) times weight (C_out, C_in) transposed, plus bias (C_out,) -> (..., C_out)."""
    return fused("linear", operand("linear", x), weight, bias)


def gelu_linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None, *, approximate: str) -> Tensor:
    """linear(gelu(x, approximate), weight, bias), as one op that does not keep gelu(x) for backward."""
    return fused("gelu_linear", operand("gelu_linear", x), weight, bias, approximate=approximate)


def embedding(ids: TensorLike, weight: TensorLike) -> Tensor:
    """Rows of weight (V, C) at integer ids (...) -> (..., C)."""
    return apply("embedding", plain_ids(ids, "embedding"), weight)


def layer_norm(
    x: TensorLike,
    normalized_shape: int | tuple[int, ...] | list[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise the last axis of x (..., C), then scale by weight (C,) and shift by bias (C,).

    normalized_shape  (C,) or C: the last axis, and no more
    weight            None: ones
    """
    me = "layer_norm"
    x, eps = operand(me, x), number(me, "eps", eps, low=0)
    if isinstance(normalized_shape, Tensor | np.ndarray) or is_array(normalized_shape):
        raise TypeError(
            f"{me}: expected the shape of the last axis before the weight, got {shown(normalized_shape)}: "
            "layer_norm(x, x.shape[-1:], weight, bias)"
        )
    shape = sizes(me, normalized_shape, "normalized_shape")
    if len(shape) != 1 or tuple(x.shape[-1:]) != shape:
        raise ValueError(
            f"{me}: expected normalized_shape {tuple(x.shape[-1:]) or '(C,)'}, the last axis of x (..., C) of shape "
            f"{tuple(x.shape)}, got {shape}"
        )
    if weight is None:
        a = plain(x)
        weight = np.ones(shape, a.dtype, like=a)
    return apply(me, x, weight, bias, eps=eps)


def add_layer_norm(
    x: TensorLike, residual: TensorLike, weight: TensorLike, bias: TensorLike | None = None, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """(s, layer_norm(s, (C,), weight, bias, eps)) with s = x + residual (..., C), as one op."""
    x, residual = operand("add_layer_norm", x), operand("add_layer_norm", residual)
    return fused("add_layer_norm", x, residual, weight, bias, eps=number("add_layer_norm", "eps", eps, low=0))


def softmax(x: TensorLike, dim: int = LAST, *, axis: int = LAST) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    dim = either("softmax", dim, axis, LAST)
    return apply("softmax", operand("softmax", x), axis=arguments.axis("softmax", dim))


def log_softmax(x: TensorLike, dim: int = LAST, *, axis: int = LAST) -> Tensor:
    """log(softmax(x)) along `dim`, without underflow."""
    dim = either("log_softmax", dim, axis, LAST)
    return apply("log_softmax", operand("log_softmax", x), axis=arguments.axis("log_softmax", dim))


def dropout(x: TensorLike, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero elements with probability p, drawn from the package's stream of random numbers, and scale the rest by
    1 / (1 - p). Outside training, or with p = 0, x itself."""
    x, p = operand("dropout", x), number("dropout", "p", p)
    if not flag("dropout", "training", training) or p == 0:
        return x if isinstance(x, Tensor) else Tensor(x)
    return apply("dropout", x, p=p, seed=next_seed())


def attention(
    q: TensorLike,
    k: TensorLike,
    v: TensorLike,
    mask: TensorLike | None = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    training: bool = True,
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
        return fused("attention", q, k, v, mask, causal=causal, scale=scale)
    return fused("attention", q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=next_seed())


def attention_weights(
    q: TensorLike, k: TensorLike, mask: TensorLike | None = None, causal: bool = False, scale: float | None = None
) -> Tensor:
    """How much each query of `attention` looks at each key, before dropout: (B, H, Tq, Tk), rows that sum to 1.

    For inspection only (no gradient); recomputed, since `attention` may never hold them all at once.
    """
    me = "attention_weights"
    for name, x in (("q", q), ("k", k)):
        if x is None:
            raise TypeError(f"{me}: expected Tensors or arrays, got None as {name}")
    queries, keys, hidden = plain_array(q, me), plain_array(k, me), None if mask is None else plain_array(mask, me)
    causal, scale = flag(me, "causal", causal), number(me, "scale", scale, or_none=True)
    attention_op.check(queries, keys, keys, hidden, causal=causal, scale=scale)
    scale = 1 / math.sqrt(queries.shape[-1]) if scale is None else scale
    return fused_attention_weights(queries, keys, hidden, causal, scale)


def rel_shift(x: TensorLike, first: int, keys: int) -> Tensor:
    """Scores by distance, moved to where their keys are: x (..., T, R) -> y (..., T, keys).

    y[i, j] = x[i, first + j - i], and 0 where x has no such column.

    Transformer-XL: first = T - 1, R = keys, and a causal mask. XLNet: first = T, R = T + keys.
    """
    me = "rel_shift"
    return apply(me, operand(me, x), first=integer(me, "first", first), keys=integer(me, "keys", keys, low=0))


def shift_rows(x: TensorLike, first, keys: int) -> Tensor:
    """rel_shift for queries that do not follow each other: x (..., T, R), first integers (..., T) -> y (..., T, keys).

    y[i, j] = x[i, first[i] + j], and 0 where x has no such column. `first` broadcasts to the rows of x.
    """
    me = "shift_rows"
    return apply(me, operand(me, x), operand(me, first), keys=integer(me, "keys", keys, low=0))
