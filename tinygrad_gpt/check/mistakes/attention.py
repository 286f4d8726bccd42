"""Attention's mistakes. Right is, in this order (Z: the weights P after dropout)

dv = Zᵀ dy,  dP = dropout's backward of dy vᵀ,  dS = P (dP - Σ_keys P dP),  dq = scale dS k,  dk = scale dSᵀ q
"""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops._shapes import sum_to_shape
from tinygrad_gpt.ops.attention import Saved, causal_mask
from tinygrad_gpt.random_stream import keep_mask

# The right lines, so that each mistake shows the wrong one alone.


def _drop(x, saved):
    """x where dropout kept the weight, scaled up; 0 elsewhere."""
    keep = keep_mask(saved.seed, x.shape, saved.dropout, like=x)
    return np.where(keep, x * (1 / (1 - saved.dropout)), 0.0)


def _transposed(a):
    return a.swapaxes(-1, -2)


def _dv(dy, saved):
    return _transposed(_drop(saved.p, saved)) @ dy


def _dp(dy, saved):
    return _drop(dy @ _transposed(saved.v), saved)


def _ds(dp, saved):
    return saved.p * (dp - np.sum(saved.p * dp, axis=-1, keepdims=True))


def _dq(ds, saved):
    return (ds @ saved.k) * saved.scale


def _dk(ds, saved):
    return (_transposed(ds) @ saved.q) * saved.scale


def _dmask(ds, saved):
    return None if saved.mask_shape is None else sum_to_shape(ds, saved.mask_shape)


def _from(ds, dy, saved):
    """All gradients, if ds is that of the scores."""
    return _dq(ds, saved), _dk(ds, saved), _dv(dy, saved), _dmask(ds, saved)


@wrong_backward(
    "A01",
    "softmax's sum is lost in dS: P dP",
    why="a row of P adds up to 1, so that raising one score takes from all others. The sum is what they lose",
    look="if all scores of a row grow by the same amount, P stays: what should a row of dS add up to?",
)
def without_the_sum(dy, saved):
    return _from(saved.p * _dp(dy, saved), dy, saved)


@wrong_backward(
    "A02",
    "the scale is left out of dq and dk",
    why="forward multiplies q kᵀ by it (1/√D, if none is given), and so does what comes back to q and to k",
    look="if the scale were 0, would y still depend on q?",
)
def scale_lost(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return ds @ saved.k, _transposed(ds) @ saved.q, _dv(dy, saved), _dmask(ds, saved)


@wrong_backward(
    "A03",
    "dq and dk are scaled twice",
    why="S = scale q kᵀ holds the scale once. Scaled on the way to S and again on the way to q and k, it is squared",
    look="how many times does the scale stand in forward?",
)
def scaled_twice(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return _dq(ds, saved) * saved.scale, _dk(ds, saved) * saved.scale, _dv(dy, saved), _dmask(ds, saved)


@wrong_backward(
    "A04",
    "dq and dk are exchanged",
    why="a query's gradient is made of the keys that it looked at, and a key's of the queries that looked at it",
    look="which of dS k and dSᵀ q has a row for each query?",
)
def exchanged(dy, saved):
    dq, dk, dv, dmask = _from(_ds(_dp(dy, saved), saved), dy, saved)
    return dk, dq, dv, dmask


@wrong_backward(
    "A05",
    "dP is used as dS: softmax's backward is left out",
    why="q and k are multiplied before the softmax. What comes back has to go through it first",
    look="which line of forward lies between S and P?",
)
def past_the_softmax(dy, saved):
    return _from(_dp(dy, saved), dy, saved)


@wrong_backward(
    "A06",
    "dv = P dy, without turning P round",
    why="P has a row for each query. A value gets something from every query that looked at it: a column of P",
    look="what shape has P if there are 5 queries and 7 keys, and what shape has dv?",
)
def dv_not_transposed(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return _dq(ds, saved), _dk(ds, saved), _drop(saved.p, saved) @ dy, _dmask(ds, saved)


@wrong_backward(
    "A07",
    "dk = dS q, without turning dS round",
    why="dS has a row for each query. A key gets something from every query that looked at it: a column of dS",
    look="what shape has dS if there are 5 queries and 7 keys, and what shape has dk?",
)
def dk_not_transposed(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return _dq(ds, saved), (ds @ saved.q) * saved.scale, _dv(dy, saved), _dmask(ds, saved)


@wrong_backward(
    "A08",
    "softmax's sum runs over the queries, not over the keys",
    why="each query shares its attention out among the keys: a row of P adds up to 1, a column to anything",
    look="along which axis did forward take the softmax, and what does P add up to along it?",
)
def over_the_queries(dy, saved):
    p, dp = saved.p, _dp(dy, saved)
    return _from(p * (dp - np.sum(p * dp, axis=-2, keepdims=True)), dy, saved)


@wrong_backward(
    "A09",
    "dropout's mask is not applied to dP",
    why="a weight that was dropped is not in y, whatever it is, and one that was kept is in y scaled up by 1 / (1 - p)",
    look="does y change when a weight that was dropped does?",
    source="seen in mamba #1023",
)
def dp_without_dropout(dy, saved):
    return _from(_ds(dy @ _transposed(saved.v), saved), dy, saved)


@wrong_forward(
    "A10",
    "softmax over the queries, not over the keys",
    why="each query is to share its attention out among the keys, so that a row of P adds up to 1",
    look="what does a row of P add up to, and what a column?",
    source="seen in DoubleAttention #3, llms-from-scratch-rs #30",
)
def softmax_over_the_queries(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = _added((q @ _transposed(k)) * scale, mask)
    s = np.where(_seen(s, mask, causal), s, -np.inf)
    e = np.exp(s - np.max(s, axis=-2, keepdims=True, initial=-np.inf))
    p = e / np.sum(e, axis=-2, keepdims=True)
    return _y_and_saved(q, k, v, p, scale, dropout, seed, mask)


@wrong_forward(
    "A16",
    "the mask is applied after the softmax, as zeros",
    why="what is masked has taken its share of the softmax by then. What is left of a row adds up to less than 1, and "
    "still depends on what must not be seen",
    look="what does a row of P add up to, if half of it is masked?",
)
def masked_after_the_softmax(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = _added((q @ _transposed(k)) * scale, mask)
    e = np.exp(s - np.max(s, axis=-1, keepdims=True, initial=-np.inf))
    p = np.where(_seen(s, mask, causal), e / np.sum(e, axis=-1, keepdims=True), 0.0)
    return _y_and_saved(q, k, v, p, scale, dropout, seed, mask)


@wrong_backward(
    "A21",
    "the scale is left out of dq",
    why="forward multiplies q kᵀ by it (1/√D, if none is given), and so does what comes back to q",
    look="if the scale were 0, would y still depend on q?",
)
def scale_lost_in_dq(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return ds @ saved.k, _dk(ds, saved), _dv(dy, saved), _dmask(ds, saved)


@wrong_backward(
    "A22",
    "the scale is left out of dk",
    why="forward multiplies q kᵀ by it (1/√D, if none is given), and so does what comes back to k",
    look="if the scale were 0, would y still depend on k?",
)
def scale_lost_in_dk(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return _dq(ds, saved), _transposed(ds) @ saved.q, _dv(dy, saved), _dmask(ds, saved)


@wrong_backward(
    "A23",
    "dv is made with the weights before dropout",
    why="the values were summed with the weights that dropout left, scaled up by 1 / (1 - p)",
    look="with which array was v multiplied in forward?",
)
def dv_without_dropout(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return _dq(ds, saved), _dk(ds, saved), _transposed(saved.p) @ dy, _dmask(ds, saved)


@wrong_backward(
    "A24",
    "the mask's gradient is scaled as well",
    why="the mask is added after q kᵀ has been scaled, so that it gets dS as it is",
    look="in S = scale q kᵀ + mask, what stands before the mask?",
)
def dmask_scaled(dy, saved):
    ds = _ds(_dp(dy, saved), saved)
    return _dq(ds, saved), _dk(ds, saved), _dv(dy, saved), _dmask(ds * saved.scale, saved)


def _added(s, mask):
    """The scores with a mask of floats added."""
    return s if mask is None or mask.dtype == bool else s + mask


def _seen(s, mask, causal):
    """Where a query may see a key."""
    seen = mask if mask is not None and mask.dtype == bool else np.ones_like(s, dtype=bool)
    return seen & causal_mask(s) if causal else seen


def _y_and_saved(q, k, v, p, scale, dropout, seed, mask):
    """What forward returns, once the weights are there."""
    mask_shape = None if mask is None or mask.dtype == bool else mask.shape
    saved = Saved(q, k, v, p, scale, dropout, seed, mask_shape)
    return _drop(p, saved) @ v, saved
