"""Fused ops, or the ops that they are made of where the user chose a version of one of those.

A fused op does the work of several at once, and so their pairs do not run: attention has a softmax inside, which is not
`softmax`. Someone who registers a pair for a part, or names one in `using`, wants to see it run. Then the fused op
stands aside (registry.user_chose_a_part), and what is written here runs in its place: the same numbers but for
rounding, on more memory. Its PARTS, in ops/NAME.py, are the ops that a reader of its derivation meets by their names.
Scaling, masking and adding up are arithmetic of its own.
"""

import math

import numpy as np

from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.operands import operand, pair
from tinygrad_gpt.ops import attention as attention_op
from tinygrad_gpt.ops import cross_entropy as cross_entropy_op


def fused(op: str, *inputs, **settings):
    """`apply`, or what the parts of this op make in its place."""
    if registry.user_chose_a_part(op):
        return _FROM_PARTS[op](*inputs, **settings)
    return apply(op, *inputs, **settings)


def _linear(x, weight, bias=None):
    _check("linear", x, weight, bias)
    axes = tuple(range(weight.ndim))[::-1]
    y = apply("matmul", x, apply("permute", operand("linear", weight), axes=axes))  # (..., C_in) -> (..., C_out)
    return y if bias is None else apply("add", y, bias)


def _gelu_linear(x, weight, bias=None, *, approximate):
    return fused("linear", apply("gelu", x, approximate=approximate), weight, bias)


def _add_layer_norm(x, residual, weight, bias=None, *, eps=1e-5):
    s = apply("add", x, residual)
    return s, apply("layer_norm", s, weight, bias, eps=eps)


def _attention(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    _check("attention", q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=seed)
    if k.shape[2] == 0:  # no softmax takes rows without elements
        return apply("attention", q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=seed)
    p = _attention_weights(q, k, mask, causal, 1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    z = p if dropout == 0 else apply("dropout", p, p=dropout, seed=seed)
    return apply("matmul", z, v)  # (B, H, Tq, Tk) @ (B, H, Tk, D) -> (B, H, Tq, D)


def fused_attention_weights(q, k, mask, causal: bool, scale: float) -> Tensor:
    """The weights that `attention` has for these arrays, before dropout: (B, H, Tq, Tk)."""
    if registry.user_chose_a_part("attention") and k.shape[2]:
        return _attention_weights(q, k, mask, causal, scale)
    return Tensor(attention_op.weights(q, k, mask, causal, scale))


def _attention_weights(q, k, mask, causal: bool, scale: float) -> Tensor:
    """P of ops/attention.py from its parts."""
    turned = apply("permute", k, axes=(0, 1, 3, 2))  # (B, H, Tk, D) -> (B, H, D, Tk)
    s = _times(scale, apply("matmul", q, turned))  # (B, H, Tq, D) -> (B, H, Tq, Tk)
    if mask is not None and mask.dtype == bool:
        s = _where(mask, s, -math.inf)
    elif mask is not None:
        s = apply("add", s, mask)
    if causal:
        s = _where(attention_op.causal_mask(s.data), s, -math.inf)
    if mask is None and not (causal and s.shape[2] > s.shape[3]):
        return apply("softmax", s, axis=-1)
    # A query that may attend to nothing has weights 0. Softmax would give it 0/0.
    sees = np.max(s.data, axis=-1, keepdims=True) > -math.inf  # (B, H, Tq, 1)
    return _where(sees, apply("softmax", _where(sees, s, 0.0), axis=-1), 0.0)


def _cross_entropy(logits, targets, **settings):
    _check("cross_entropy", logits, targets, **settings)
    ignore_index, smoothing = settings.get("ignore_index", -100), settings.get("label_smoothing", 0.0)
    logits = operand("cross_entropy", logits)
    v, t = logits.shape[-1], np.asarray(targets, like=logits.data)
    t, counts = cross_entropy_op.counted(t, ignore_index)  # (R,), (R,)
    log_p = apply("reshape", apply("log_softmax", logits, axis=-1), shape=(t.size, v))
    loss = _times(-(1 - smoothing), apply("getitem", log_p, index=(np.arange(t.size, like=t), t)))  # (R, V) -> (R,)
    if smoothing > 0:
        loss = apply("add", loss, _times(-smoothing, apply("mean", log_p, axis=-1, keepdims=False)))
    loss = _where(counts, loss, 0.0)
    reduction = settings.get("reduction", "mean")
    if reduction == "none":
        return apply("reshape", loss, shape=targets.shape)
    total = apply("sum", loss, axis=None, keepdims=False)
    return total if reduction == "sum" else apply("div", *pair("div", total, np.sum(counts, dtype=total.dtype)))


def _linear_cross_entropy(x, weight, targets, bias=None, **settings):
    _check("linear_cross_entropy", x, weight, targets, bias, **settings)
    return fused("cross_entropy", fused("linear", x, weight, bias), targets, **settings)


def _where(condition, a, b) -> Tensor:
    return apply("where", condition, *pair("where", a, b))


def _times(number: float, x) -> Tensor:
    return apply("mul", *pair("mul", x, number))


def _check(op: str, *inputs, **settings) -> None:
    """Raise what the fused op raises."""
    arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
    registry.reference(op).check(*arrays, **settings)


_FROM_PARTS = {
    "linear": _linear,
    "gelu_linear": _gelu_linear,
    "add_layer_norm": _add_layer_norm,
    "attention": _attention,
    "cross_entropy": _cross_entropy,
    "linear_cross_entropy": _linear_cross_entropy,
}
