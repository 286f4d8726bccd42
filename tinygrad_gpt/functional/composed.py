"""What layers compute, composed of other functions: PyTorch's attention, by its arguments, and the RMS norm."""

import math

import numpy as np

from tinygrad_gpt.arguments import flag, number, sizes
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.functional.elementwise import add, mul, rsqrt
from tinygrad_gpt.functional.layers import attention
from tinygrad_gpt.functional.picking import pad, repeat_interleave
from tinygrad_gpt.functional.shapes import broadcast_to, getitem, reshape
from tinygrad_gpt.operands import TensorLike, operand, pair, plain
from tinygrad_gpt.ops._shapes import check_floats


def rms_norm(
    x: TensorLike,
    normalized_shape: int | tuple[int, ...] | list[int],
    weight: TensorLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """x divided by the root of its mean square over the last axes, and scaled by weight, which is shaped like them
    (Zhang and Sennrich, "Root mean square layer normalization", 2019). It is x * rsqrt(mean(x * x) + eps) * weight.

    normalized_shape  the sizes of those axes: (C,) or C for the last one
    eps               None: the distance from 1 to the next number, 1.2e-7 in float32
    """
    x, shape = operand("rms_norm", x), sizes("rms_norm", normalized_shape, "normalized_shape")
    check_floats("rms_norm", plain(x))
    if not shape or tuple(x.shape[-len(shape) :]) != shape:
        raise ValueError(
            f"rms_norm: expected the sizes of the last axes of x as normalized_shape, got {shape} for x of shape "
            f"{tuple(x.shape)}"
        )
    weight = None if weight is None else pair("rms_norm", x, weight)[1]
    if weight is not None and tuple(weight.shape) != shape:
        raise ValueError(f"rms_norm: expected weight of shape {shape}, got {tuple(weight.shape)}")
    eps = number("rms_norm", "eps", eps, low=0, or_none=True)
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    mean_square = apply("mean", mul(x, x), axis=tuple(range(-len(shape), 0)), keepdims=True)
    y = mul(x, rsqrt(add(mean_square, eps)))
    return y if weight is None else mul(y, weight)


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`attention` by PyTorch's name, arguments and shapes: query (..., Tq, D), key (..., Tk, D), value (..., Tk, Dv)
    -> (..., Tq, Dv), with up to two leading axes, batch and heads, which broadcast.

    attn_mask   boolean (True may attend) or float (added to the scores), broadcastable to (..., Tq, Tk)
    dropout_p   always applies: give 0.0 in evaluation
    is_causal   query i sees keys j <= i; without an attn_mask. Where there are more keys than queries, this aligns the
                FIRST query with the first key, while attention(causal=True) aligns the last ones, as a cache needs it
    scale       None: 1 / sqrt(D)
    enable_gqa  key and value may have fewer heads than query: each one serves as many queries' heads in a row
    """
    me = "scaled_dot_product_attention"
    q, k, v = [operand(me, x) for x in (query, key, value)]
    axes = max(q.ndim, k.ndim, v.ndim)
    fits = min(q.ndim, k.ndim, v.ndim) >= 2 and axes <= 4
    if not fits or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"{me}: expected query (B, H, Tq, D), key (B, H, Tk, D) and value (B, H, Tk, Dv), or without B or H, got "
            f"{tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    if flag(me, "enable_gqa", enable_gqa):
        k, v = [_with_heads_of(q, x) for x in (k, v)]
    q, k, v = _with_leading_axes(me, q, k, v)
    (tq, d), (tk, dv) = q.shape[-2:], v.shape[-2:]
    is_causal, scale = flag(me, "is_causal", is_causal), number(me, "scale", scale, or_none=True)
    if is_causal and attn_mask is not None:
        raise ValueError(f"{me}: expected attn_mask or is_causal=True, got both: write the triangle into the mask")
    if is_causal and tq != tk:
        a = plain(q)
        attn_mask, is_causal = np.arange(tk, like=a) <= np.arange(tq, like=a).reshape(tq, 1), False
    if d != dv:  # the op takes one width: zeros add nothing to the scores, and nothing that is kept to y
        scale = 1 / math.sqrt(d) if scale is None else scale
        q, k, v = [pad(x, (0, max(d, dv) - x.shape[-1])) for x in (q, k, v)]
    y = attention(q, k, v, attn_mask, causal=is_causal, scale=scale, dropout=number(me, "dropout_p", dropout_p))
    y = y if axes == 4 else reshape(y, y.shape[4 - axes :])
    return y if d == dv else getitem(y, (..., slice(0, dv)))


def _with_heads_of(q, x):
    heads, own = [1 if a.ndim < 3 else a.shape[-3] for a in (q, x)]
    if own == 0 or heads % own:
        raise ValueError(
            f"scaled_dot_product_attention: expected heads of key and value that divide the {heads} of query, got {own}"
        )
    return x if own == heads else repeat_interleave(x, heads // own, x.ndim - 3)


def _with_leading_axes(me: str, *arrays) -> list:
    """The arrays with two axes, which are the same for all, in front of their last two."""
    try:
        lead = np.broadcast_shapes((1, 1), *[a.shape[:-2] for a in arrays])
    except ValueError:
        raise ValueError(
            f"{me}: expected leading axes that broadcast, got shapes {', '.join(str(tuple(a.shape)) for a in arrays)}"
            ": enable_gqa=True takes fewer heads of key and value"
        ) from None
    return [a if a.shape[:-2] == lead else broadcast_to(a, (*lead, *a.shape[-2:])) for a in arrays]
