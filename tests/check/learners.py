"""Wrong backwards as learners write them, with what a report may say of each: the true reason, in one of several words.

Each stands on a forward of its own, where the learner saves what comes to mind, and on formulas of its own; none is
copied from the bank. `says` holds ids and pieces of sentences; one of them must be in the report. `unknown` marks those
for which the verdict alone is good enough: a report must not mislead, and may stay silent.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.kernels import registry
from tinygrad_gpt.random_stream import keep_mask


class Learner(NamedTuple):
    name: str
    op: str
    forward: Callable
    backward: Callable
    says: tuple[str, ...]


LEARNERS: list[Learner] = []


def wrong(op: str, *says: str, forward: Callable | None = None):
    def made(backward):
        LEARNERS.append(Learner(backward.__name__, op, forward or registry.reference(op).forward, backward, says))
        return backward

    return made


def back(dy, shape, axis):
    """dy with the reduced axes as 1."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = {a % len(shape) for a in axes} if shape else set()
    return dy.reshape([1 if i in axes else n for i, n in enumerate(shape)])


# --- softmax, log-softmax ----------------------------------------------------------------------------------------


def softmax(x, *, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    p = e / e.sum(axis=axis, keepdims=True)
    return p, {"p": p, "axis": axis}


def log_softmax(x, *, axis=-1):
    m = x.max(axis=axis, keepdims=True)
    z = x - m
    lse = np.log(np.exp(z).sum(axis=axis, keepdims=True))
    return z - lse, {"y": z - lse, "axis": axis}


@wrong("softmax", "S01", forward=softmax)
def softmax_diagonal(dy, saved):
    p = saved["p"]
    return (dy * (p - p**2),)


@wrong("softmax", "S02", "a multiple of the output", forward=softmax)
def softmax_exp(dy, saved):
    return (saved["p"] * dy,)


@wrong("softmax", "S03", "a multiple of the output", forward=softmax)
def softmax_sum_of_dy(dy, saved):
    p, axis = saved["p"], saved["axis"]
    return (p * dy - p * dy.sum(axis=axis, keepdims=True),)


@wrong("softmax", "S04", "a multiple of the output", forward=softmax)
def softmax_mean(dy, saved):
    p, axis = saved["p"], saved["axis"]
    return (p * (dy - (p * dy).mean(axis=axis, keepdims=True)),)


@wrong("softmax", "S05", "axis=-1", forward=softmax)
def softmax_last_axis(dy, saved):
    p = saved["p"]
    return (p * (dy - (p * dy).sum(-1, keepdims=True)),)


@wrong("softmax", "S05", "S12", "a multiple of the output", forward=softmax)
def softmax_all_axes(dy, saved):
    p = saved["p"]
    return (p * (dy - (p * dy).sum()),)


@wrong("softmax", "S06", "multiplied by the output", forward=softmax)
def softmax_without_y_outside(dy, saved):
    p, axis = saved["p"], saved["axis"]
    return (dy - (p * dy).sum(axis=axis, keepdims=True),)


@wrong("softmax", "G04", "S*", "the sign is flipped", forward=softmax)
def softmax_sign(dy, saved):
    p, axis = saved["p"], saved["axis"]
    return (p * ((p * dy).sum(axis=axis, keepdims=True) - dy),)


@wrong("softmax", "S07", "log_softmax", forward=softmax)
def softmax_as_log_softmax(dy, saved):
    p, axis = saved["p"], saved["axis"]
    return (dy - p * dy.sum(axis=axis, keepdims=True),)


@wrong("softmax", "S*", "a multiple of the output", forward=softmax)
def softmax_plus(dy, saved):
    p, axis = saved["p"], saved["axis"]
    return (p * (dy + (p * dy).sum(axis=axis, keepdims=True)),)


@wrong("log_softmax", "S09", "G02", "it is dy itself", forward=log_softmax)
def log_softmax_dy(dy, saved):
    return (dy.copy(),)


@wrong("log_softmax", "S08", forward=log_softmax)
def log_softmax_y(dy, saved):
    y, axis = saved["y"], saved["axis"]
    return (dy - y * dy.sum(axis=axis, keepdims=True),)


@wrong("log_softmax", "S*", "a multiple of exp(the output)", forward=log_softmax)
def log_softmax_mean(dy, saved):
    y, axis = saved["y"], saved["axis"]
    return (dy - np.exp(y) * dy.mean(axis=axis, keepdims=True),)


@wrong("log_softmax", "S07", "softmax", forward=log_softmax)
def log_softmax_as_softmax(dy, saved):
    p, axis = np.exp(saved["y"]), saved["axis"]
    return (p * (dy - (p * dy).sum(axis=axis, keepdims=True)),)


@wrong("log_softmax", "S*", "along the op's axis the error is the same", "(1 - exp(the output))", forward=log_softmax)
def log_softmax_elementwise(dy, saved):
    return (dy * (1 - np.exp(saved["y"])),)


# --- cross-entropy -----------------------------------------------------------------------------------------------


def cross_entropy(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    y, s = registry.reference("cross_entropy").forward(
        logits, targets, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )
    z = logits.reshape(s.counts.size, logits.shape[-1])
    e = np.exp(z - z.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return y, (z, p, s.targets, s.counts, label_smoothing, reduction, logits.shape)


def _cross_entropy(
    dy, saved, one_hot=True, count=True, ignore=True, smooth=True, sign=1, probabilities=None, all_rows=False
):
    z, p, t, counts, eps, reduction, shape = saved
    wanted = np.zeros_like(p)
    wanted[np.arange(len(t)), t] = 1
    if smooth:
        wanted = (1 - eps) * wanted + eps / p.shape[1]
    p = p if probabilities is None else probabilities(z, p)
    dz = sign * (p - wanted if one_hot else p)
    if count and reduction == "mean":
        dz = dz / (len(t) if all_rows else max(1, int(counts.sum())))
    if ignore:
        dz = np.where(counts[:, None], dz, 0)
    each = dy.reshape(-1, 1)
    with np.errstate(invalid="ignore"):
        return np.where(dz == 0, 0, dz * each).reshape(shape), None


def _of_cross_entropy(name, *says, **how):
    def backward(dy, saved):
        return _cross_entropy(dy, saved, **how)

    backward.__name__ = f"cross_entropy_{name}"
    wrong("cross_entropy", *says, forward=cross_entropy)(backward)


_of_cross_entropy("not_divided", "C01", "reduction='sum'", count=False)
_of_cross_entropy("divided_by_all", "C02", "all rows", all_rows=True)
_of_cross_entropy("no_targets", "C03", "it is p, where p - (the targets, smoothed) is right", one_hot=False)
_of_cross_entropy("sign", "C04", "G04", sign=-1)
_of_cross_entropy("logits_for_p", "C05", probabilities=lambda z, p: z)
_of_cross_entropy("ignored_too", "C07", "in the ignored rows", ignore=False)
_of_cross_entropy("no_smoothing", "C08", "label_smoothing=0.0", smooth=False)
_of_cross_entropy(
    "softmax_again", "C06", "it is p - (the targets, smoothed) - p²", probabilities=lambda z, p: p * (1 - p)
)


# --- layer norm --------------------------------------------------------------------------------------------------


def layer_norm(x, weight, bias=None, *, eps=1e-5):
    mu = x.mean(-1, keepdims=True)
    mu = mu + (x - mu).mean(-1, keepdims=True)
    inv = 1 / np.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + eps)
    n = (x - mu) * inv
    return (n * weight if bias is None else n * weight + bias), (n, inv, weight, bias is not None)


def _layer_norm(dy, saved, dx=None, dw=None, db=None):
    n, inv, w, has_bias = saved
    rows = tuple(range(dy.ndim - 1))
    g = dy * w
    right = inv * (g - g.mean(-1, keepdims=True) - n * (g * n).mean(-1, keepdims=True))
    dw = (dy * n).sum(rows) if dw is None else dw(dy, n, rows)
    db = None if not has_bias else dy.sum(rows) if db is None else db(dy, rows)
    return right if dx is None else dx(g, n, inv, dy), dw, db


def _of_layer_norm(name, *says, **how):
    def backward(dy, saved):
        return _layer_norm(dy, saved, **how)

    backward.__name__ = f"layer_norm_{name}"
    wrong("layer_norm", *says, forward=layer_norm)(backward)


def _mean(a):
    return a.mean(-1, keepdims=True)


_of_layer_norm("no_mean", "N01", "the error is the same", dx=lambda g, n, inv, dy: inv * (g - n * _mean(g * n)))
_of_layer_norm("no_variance", "N02", "a multiple of x_hat", dx=lambda g, n, inv, dy: inv * (g - _mean(g)))
_of_layer_norm("constants", "N03", "a constant and a multiple of x_hat", dx=lambda g, n, inv, dy: inv * g)
_of_layer_norm("no_rstd", "N04", "multiplied by rstd", dx=lambda g, n, inv, dy: g - _mean(g) - n * _mean(g * n))
_of_layer_norm(
    "rstd_squared", "N*", "divided by rstd", dx=lambda g, n, inv, dy: inv**2 * (g - _mean(g) - n * _mean(g * n))
)
_of_layer_norm(
    "rstd_cubed", "N*", "divided by rstd squared", dx=lambda g, n, inv, dy: inv**3 * (g - _mean(g) - n * _mean(g * n))
)
_of_layer_norm(
    "no_weight", "N05", "weight holds ones", dx=lambda g, n, inv, dy: inv * (dy - _mean(dy) - n * _mean(dy * n))
)
_of_layer_norm("dw_without_x_hat", "N06", "gradient of bias, which is right", dw=lambda dy, n, rows: dy.sum(rows))
_of_layer_norm("dw_mean", "N07", "G08", dw=lambda dy, n, rows: (dy * n).mean(rows))
_of_layer_norm("dw_not_summed", "N07", "G07", dw=lambda dy, n, rows: dy * n)
_of_layer_norm("plus", "N08", "a multiple of x_hat", dx=lambda g, n, inv, dy: inv * (g - _mean(g) + n * _mean(g * n)))
_of_layer_norm(
    "sums",
    "N09",
    "a constant and a multiple of x_hat",
    dx=lambda g, n, inv, dy: inv * (g - g.sum(-1, keepdims=True) - n * (g * n).sum(-1, keepdims=True)),
)
_of_layer_norm("db_mean", "N*", "L03", "G08", db=lambda dy, rows: dy.mean(rows))
_of_layer_norm("db_all", "G09", "L04", "summed over all", db=lambda dy, rows: np.full(dy.shape[-1], dy.sum()))
_of_layer_norm(
    "n_minus_one",
    "N10",
    "as in N10: C - 1 where C belongs",
    "a multiple of x_hat",
    dx=lambda g, n, inv, dy: inv * (g - _mean(g) - n * (g * n).sum(-1, keepdims=True) / max(1, g.shape[-1] - 1)),
)


# --- attention ---------------------------------------------------------------------------------------------------


def _attention(dy, saved, change):
    q, k, v, p, scale, dropout, seed, mask_shape = saved
    z = p if dropout == 0 else np.where(keep_mask(seed, p.shape, dropout, like=p), p / (1 - dropout), 0.0)
    dz = np.einsum("bhqd,bhkd->bhqk", dy, v)
    dp = dz if dropout == 0 else np.where(keep_mask(seed, p.shape, dropout, like=p), dz / (1 - dropout), 0.0)
    made = {"p": p, "z": z, "dz": dz, "dp": dp, "ds": p * (dp - (p * dp).sum(-1, keepdims=True))}
    made |= {"sq": scale, "sk": scale, "dv": np.einsum("bhqk,bhqd->bhkd", z, dy), "scale": scale}
    made |= change(made) or {}
    ds = made["ds"]
    dq = np.einsum("bhqk,bhkd->bhqd", ds, k) * made["sq"]
    dk = np.einsum("bhqk,bhqd->bhkd", ds, q) * made["sk"]
    dmask = None
    if mask_shape is not None:
        dmask = ds
        while dmask.ndim > len(mask_shape):
            dmask = dmask.sum(0)
        for i, n in enumerate(mask_shape):
            if n == 1:
                dmask = dmask.sum(i, keepdims=True)
    dq, dk, dv = made.get("swap", lambda *a: a)(dq, dk, made.get("dv2", lambda: made["dv"])())
    return dq, dk, dv, np.array(dmask) if dmask is not None else None


def _of_attention(name, *says, change):
    def backward(dy, saved):
        return _attention(dy, saved, change)

    backward.__name__ = f"attention_{name}"
    wrong("attention", *says)(backward)


_of_attention("no_sum", "A01", change=lambda m: {"ds": m["p"] * m["dp"]})
_of_attention("no_scale_q", "A*", "√n", "1/scale", change=lambda m: {"sq": 1})
_of_attention("no_scale_k", "A*", "√n", "1/scale", change=lambda m: {"sk": 1})
_of_attention("no_scale", "A*", "√n", "1/scale", change=lambda m: {"sq": 1, "sk": 1})
_of_attention("scale_twice", "A03", "scale", change=lambda m: {"sq": m["scale"] ** 2, "sk": m["scale"] ** 2})
_of_attention("ds_is_dp", "A05", change=lambda m: {"ds": m["dp"]})
_of_attention(
    "over_queries", "A08", change=lambda m: {"ds": m["p"] * (m["dp"] - (m["p"] * m["dp"]).sum(-2, keepdims=True))}
)
_of_attention("diagonal", "A*", "P dP - P² dP", change=lambda m: {"ds": m["dp"] * m["p"] * (1 - m["p"])})
_of_attention(
    "no_dropout_in_dp",
    "A09",
    "dropout",
    change=lambda m: {"ds": m["p"] * (m["dz"] - (m["p"] * m["dz"]).sum(-1, keepdims=True))},
)
_of_attention(
    "sum_of_dp", "A*", "P dP - P Σ dP", change=lambda m: {"ds": m["p"] * (m["dp"] - m["dp"].sum(-1, keepdims=True))}
)
_of_attention("swapped", "A04", "G05", change=lambda m: {"swap": lambda q, k, v: (k, q, v)})
_of_attention("scaled_dv", "A*", "scale", change=lambda m: {"dv": m["dv"] * m["scale"]})


@wrong("attention", "A09", "dropout")
def attention_dv_without_dropout(dy, saved):
    p = saved.p
    return _attention(dy, saved, lambda m: {"dv": np.einsum("bhqk,bhqd->bhkd", p, dy)})


# --- embedding, dropout ------------------------------------------------------------------------------------------


def embedding(ids, weight):
    return weight[ids.astype(int)], (ids.astype(int), weight.shape)


@wrong("embedding", "M01", "twice or more", forward=embedding)
def embedding_overwrites(dy, saved):
    ids, shape = saved
    g = np.zeros(shape, dy.dtype)
    for i, row in zip(ids.ravel(), dy.reshape(-1, shape[1]), strict=True):
        g[i] = row
    return None, g


@wrong("embedding", "M02", "how often", forward=embedding)
def embedding_averages(dy, saved):
    ids, shape = saved
    g, n = np.zeros(shape, dy.dtype), np.zeros((shape[0], 1), dy.dtype)
    np.add.at(g, ids.ravel(), dy.reshape(-1, shape[1]))
    np.add.at(n, ids.ravel(), 1)
    return None, g / np.maximum(n, 1)


@wrong("embedding", "M03", "G02", "dy as it came", forward=embedding)
def embedding_dy(dy, saved):
    return None, dy.copy()


@wrong("embedding", "twice or more", "M01", forward=embedding)
def embedding_first_only(dy, saved):
    ids, shape = saved
    g = np.zeros(shape, dy.dtype)
    for i, row in zip(ids.ravel()[::-1], dy.reshape(-1, shape[1])[::-1], strict=True):
        g[i] = row
    return None, g


def dropout(x, *, p, seed):
    m = keep_mask(seed, x.shape, p, like=x)
    return np.where(m, x / (1 - p), 0.0), (m, p, seed)


@wrong("dropout", "D01", "1-p", forward=dropout)
def dropout_no_scale(dy, saved):
    return (np.where(saved[0], dy, 0),)


@wrong("dropout", "D02", "1/(1-p)", forward=dropout)
def dropout_scale_twice(dy, saved):
    m, p, _ = saved
    return (dy * m / (1 - p) ** 2,)


@wrong("dropout", "D03", "mask", forward=dropout)
def dropout_other_mask(dy, saved):
    _, p, seed = saved
    return (dy * keep_mask(seed + 7, dy.shape, p, like=dy) / (1 - p),)


@wrong("dropout", "D04", "mask", "inverted", forward=dropout)
def dropout_inverted(dy, saved):
    m, p, _ = saved
    return (np.where(m, 0, dy / (1 - p)),)


@wrong("dropout", "G02", "D*", "p=", forward=dropout)
def dropout_none(dy, saved):
    return (dy.copy(),)


@wrong("dropout", "D*", "(1-p)/p", forward=dropout)
def dropout_divided_by_p(dy, saved):
    m, p, _ = saved
    return (np.where(m, dy / p if p else dy, 0),)


# --- element by element ------------------------------------------------------------------------------------------


def of_x(function):
    return lambda x, **settings: (function(x, **settings), (x, settings))


def _elementwise(op, name, *says, d):
    """A wrong derivative: d(x, y, dy, **settings) is what backward returns."""
    forward = registry.reference(op).forward

    def own_forward(x, **settings):
        y = forward(x, **settings)[0]
        return y, (x.copy(), y.copy(), settings)

    def backward(dy, saved):
        x, y, settings = saved
        with np.errstate(all="ignore"):
            return (np.array(d(x, y, dy, **settings) + 0 * dy),)

    backward.__name__ = f"{op}_{name}"
    wrong(op, *says, forward=own_forward)(backward)


def _sigmoid(x):
    return np.where(x > 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def _phi(x):
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


_erf = np.vectorize(math.erf, otypes=[float])


def _cdf(x, approximate):
    if approximate == "tanh":
        return 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * (1 + _erf(x / math.sqrt(2)))


def _slope(x, approximate):
    if approximate == "tanh":
        t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        return 0.5 * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return _phi(x)


_elementwise("gelu", "no_second_term", "E12", "Φ", d=lambda x, y, dy, approximate="none": dy * _cdf(x, approximate))
_elementwise(
    "gelu", "no_x", "E*", d=lambda x, y, dy, approximate="none": dy * (_cdf(x, approximate) + _slope(x, approximate))
)
_elementwise("gelu", "as_relu", "E16", "gradient of relu", d=lambda x, y, dy, approximate="none": dy * (x > 0))
_elementwise(
    "gelu",
    "always_tanh",
    "E*",
    "approximate",
    d=lambda x, y, dy, approximate="none": dy * (_cdf(x, "tanh") + x * _slope(x, "tanh")),
)
_elementwise(
    "gelu",
    "as_silu",
    "E*",
    d=lambda x, y, dy, approximate="none": dy * _sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - _sigmoid(1.702 * x))),
)
_elementwise("sigmoid", "no_rest", "E09", "(1 - the output)", d=lambda x, y, dy: dy * y)
_elementwise("sigmoid", "at_y", "E*", "G06", d=lambda x, y, dy: dy * _sigmoid(y) * (1 - _sigmoid(y)))
_elementwise("sigmoid", "plus", "E*", "it is y dy + y² dy", d=lambda x, y, dy: dy * y * (1 + y))
_elementwise("sigmoid", "of_x", "E*", "with x in the place of y", d=lambda x, y, dy: dy * x * (1 - x))
_elementwise("tanh", "one_minus_y", "E10", "(1 + the output)", d=lambda x, y, dy: dy * (1 - y))
_elementwise("tanh", "at_y", "E*", "G06", d=lambda x, y, dy: dy * (1 - np.tanh(y) ** 2))
_elementwise("tanh", "y_squared", "E*", "it is y² dy", d=lambda x, y, dy: dy * y**2)
_elementwise("relu", "by_dy", "E11", "where dy < 0", d=lambda x, y, dy: np.where((x > 0) & (dy > 0), dy, 0))
_elementwise("relu", "inverted", "E11", "inverted", d=lambda x, y, dy: np.where(x < 0, dy, 0))
_elementwise("relu", "passes_all", "G02", "it is dy itself", d=lambda x, y, dy: dy)
_elementwise("relu", "times_x", "E*", "the output", d=lambda x, y, dy: dy * y)
_elementwise("relu", "leaky", "where x < 0", d=lambda x, y, dy: np.where(x > 0, dy, np.where(x < 0, 0.01 * dy, 0)))
_elementwise("pow", "not_lowered", "E04", "divided by x", d=lambda x, y, dy, exponent: dy * exponent * x**exponent)
_elementwise(
    "pow",
    "no_exponent",
    "E05",
    "1/exponent",
    d=lambda x, y, dy, exponent: dy * x ** (exponent - 1) if exponent else 0 * dy,
)
_elementwise("pow", "minus", "E*", "exponent", d=lambda x, y, dy, exponent: dy * (exponent - 1) * x ** (exponent - 1))
_elementwise("exp", "y", "E06", "G01", d=lambda x, y, dy: y)
_elementwise("log", "times", "E07", d=lambda x, y, dy: dy * x)
_elementwise("sqrt", "no_two", "E*", "multiplied by 0.5", d=lambda x, y, dy: dy / y)
_elementwise("sqrt", "times", "E08", d=lambda x, y, dy: dy * 2 * y)


# --- two inputs --------------------------------------------------------------------------------------------------


def unbroadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(0)
    for i, n in enumerate(shape):
        if n == 1 and g.shape[i] != 1:
            g = g.sum(i, keepdims=True)
    return np.array(g)


def two(function):
    return lambda a, b: (function(a, b), (a, b))


@wrong("mul", "E01", forward=two(np.multiply))
def mul_not_exchanged(dy, saved):
    a, b = saved
    return unbroadcast(dy * a, a.shape), unbroadcast(dy * b, b.shape)


@wrong("mul", "G07", forward=two(np.multiply))
def mul_not_summed(dy, saved):
    a, b = saved
    return dy * b, dy * a


@wrong("mul", "G02", "E*", forward=two(np.multiply))
def mul_dy(dy, saved):
    a, b = saved
    return unbroadcast(dy, a.shape), unbroadcast(dy, b.shape)


@wrong("mul", "G08", "E*", "how often", forward=two(np.multiply))
def mul_averaged(dy, saved):
    a, b = saved
    da, db = unbroadcast(dy * b, a.shape), unbroadcast(dy * a, b.shape)
    return da * (a.size / max(1, dy.size)), db * (b.size / max(1, dy.size))


@wrong("div", "E02", "G04", forward=two(np.divide))
def div_sign(dy, saved):
    a, b = saved
    return unbroadcast(dy / b, a.shape), unbroadcast(dy * a / b**2, b.shape)


@wrong("div", "E*", "divided by b", forward=two(np.divide))
def div_not_squared(dy, saved):
    a, b = saved
    return unbroadcast(dy / b, a.shape), unbroadcast(-dy * a / b, b.shape)


@wrong("div", "E*", "dy · b", forward=two(np.divide))
def div_times(dy, saved):
    a, b = saved
    return unbroadcast(dy * b, a.shape), unbroadcast(-dy * a / b**2, b.shape)


@wrong("linear", "L01", "G10")
def linear_transposed(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    return (rows @ w).reshape(x.shape), xs.T @ rows, rows.sum(0) if has_bias else None


@wrong("linear", "L03", "G08")
def linear_bias_mean(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    return (rows @ w).reshape(x.shape), rows.T @ xs, rows.mean(0) if has_bias else None


@wrong("linear", "L04", "G09")
def linear_bias_all(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    return (rows @ w).reshape(x.shape), rows.T @ xs, np.full(w.shape[0], rows.sum()) if has_bias else None


@wrong("linear", "L05", "G07")
def linear_bias_first_axis(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    db = (dy.sum(0) if dy.ndim > 1 else dy.copy()) if has_bias else None
    return (rows @ w).reshape(x.shape), rows.T @ xs, db


@wrong("linear", "L06", "the number of rows")
def linear_weight_mean(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    return (rows @ w).reshape(x.shape), rows.T @ xs / max(1, len(xs)), rows.sum(0) if has_bias else None


@wrong("linear", "L07", "first row")
def linear_first_row(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    return (rows @ w).reshape(x.shape), rows[:1].T @ xs[:1], rows.sum(0) if has_bias else None


@wrong("linear", "L02", "ValueError")
def linear_dx_transposed(dy, saved):
    x, w, has_bias = saved
    rows, xs = dy.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1])
    return (rows @ w.T).reshape(x.shape), rows.T @ xs, rows.sum(0) if has_bias else None


@wrong("matmul", "L08", "G07")
def matmul_batch_not_summed(dy, saved):
    right = registry.reference("matmul").backward(dy, saved)
    a, b = saved
    if a.ndim > 1 and b.ndim > 1:
        return dy @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dy
    return right


@wrong("matmul", "G10", "L*")
def matmul_transposed(dy, saved):
    da, db = registry.reference("matmul").backward(dy, saved)
    return da, (np.swapaxes(db, -1, -2).copy() if saved.b.ndim > 1 else db)


# --- reductions --------------------------------------------------------------------------------------------------


def _reduction(op, name, *says, d):
    forward = registry.reference(op).forward

    def own_forward(x, *, axis=None, keepdims=False, **settings):
        y = forward(x, axis=axis, keepdims=keepdims, **settings)[0]
        return y, (x.copy(), y, axis, settings)

    def backward(dy, saved):
        x, y, axis, settings = saved
        with np.errstate(all="ignore"):
            return (np.array(d(x, back(y, x.shape, axis), back(dy, x.shape, axis), **settings)),)

    backward.__name__ = f"{op}_{name}"
    wrong(op, *says, forward=own_forward)(backward)


_reduction("mean", "not_divided", "E19", "the number of elements", d=lambda x, y, dy: dy + 0 * x)
_reduction("mean", "by_last", "E20", d=lambda x, y, dy: (dy + 0 * x) / x.shape[-1])
_reduction("mean", "by_all", "E20", "E*", "the size of dy", d=lambda x, y, dy: (dy + 0 * x) / max(1, x.size))
_reduction("sum", "not_stretched", "E21", "G02", "dy as it came", d=lambda x, y, dy: dy)
_reduction(
    "sum", "as_mean", "the number of elements", "E*", d=lambda x, y, dy: (dy + 0 * x) * (dy.size / max(1, x.size))
)
_reduction("max", "to_all", "E17", "gradient of sum", d=lambda x, y, dy: dy + 0 * x)
_reduction("max", "times_x", "E*", "divided by", d=lambda x, y, dy: dy * (x == y) * x)
_reduction("max", "to_the_others", "E*", "inverted", d=lambda x, y, dy: dy * (x != y))
_reduction(
    "var",
    "correction",
    "E22",
    "correction",
    d=lambda x, y, dy, correction=1: 2 * dy * (x - _over(x, dy)) / (x.size / max(1, dy.size)),
)
_reduction(
    "var",
    "no_two",
    "E*",
    "multiplied by 2",
    d=lambda x, y, dy, correction=1: dy * (x - _over(x, dy)) / (x.size / max(1, dy.size) - correction),
)
_reduction(
    "var",
    "no_mean",
    "E*",
    "along",
    d=lambda x, y, dy, correction=1: 2 * dy * x / (x.size / max(1, dy.size) - correction),
)
_reduction("var", "not_divided", "E*", "divisor", d=lambda x, y, dy, correction=1: 2 * dy * (x - _over(x, dy)))


def _over(x, kept):
    """The mean of x over the axes that are 1 in `kept`."""
    axes = tuple(i for i, n in enumerate(kept.shape) if n == 1)
    return x.mean(axis=axes, keepdims=True)
