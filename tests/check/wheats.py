"""Right versions of elementwise ops, reductions and products, written otherwise than the reference: another formula,
einsum, in place on buffers of their own, another `saved`. The checks must pass them without a finding.

A backward alone runs on what the reference saves; a class brings a forward and a `saved` of its own.
"""

import math
from types import SimpleNamespace

import numpy as np

from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import gelu as gelu_op
from tinygrad_gpt.ops import linear as linear_op
from tinygrad_gpt.ops._shapes import count, kept_shape, normalize_axes, sum_to_shape

WHEATS = []  # (op, what is different about it, pair)


def wheat(op, name):
    """Add what is written here, a pair or a backward, to WHEATS."""

    def added(written):
        alone = not hasattr(written, "backward")
        pair = SimpleNamespace(forward=registry.reference(op).forward, backward=written) if alone else written
        WHEATS.append((op, name, pair))
        return written

    return added


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


# --- elementwise -------------------------------------------------------------------------------------------------


@wheat("mul", "by einsum")
def mul_by_einsum(dy, saved):
    a, b = saved
    return (
        sum_to_shape(np.einsum("...,...->...", dy, b), a.shape),
        sum_to_shape(np.einsum("...,...->...", dy, a), b.shape),
    )


@wheat("div", "by the quotient rule, with a saved")
class DivByTheQuotientRule:
    @staticmethod
    def forward(a, b):
        return a / b, (a, b)

    @staticmethod
    def backward(dy, saved):
        a, b = saved
        return sum_to_shape(dy / b, a.shape), sum_to_shape(-(dy * a) / (b * b), b.shape)


@wheat("pow", "in place on its own buffer")
def pow_in_place(dy, saved):
    x, n = saved
    dx = np.ones_like(x) if n in (0, 1) else np.asarray(x ** (n - 1))
    dx *= n
    dx *= dy
    return (dx,)


@wheat("exp", "in place on its own buffer")
def exp_in_place(dy, saved):
    dx = dy.copy()
    dx *= saved.y
    return (dx,)


@wheat("log", "times the reciprocal")
def log_by_the_reciprocal(dy, saved):
    return (dy * (1 / saved.x),)


@wheat("sqrt", "as a power of -1/2")
def sqrt_as_a_power(dy, saved):
    return (0.5 * dy * (saved.y * saved.y) ** -0.5,)


@wheat("sigmoid", "x saved, the slope as σ(x) σ(-x)")
class SigmoidFromX:
    @staticmethod
    def forward(x):
        return sigmoid(x), x

    @staticmethod
    def backward(dy, x):
        return (dy * sigmoid(x) * sigmoid(-x),)


@wheat("tanh", "x saved, the slope as 1 / cosh²")
class TanhByCosh:
    @staticmethod
    def forward(x):
        return np.tanh(x), x

    @staticmethod
    def backward(dy, x):
        return (dy / np.cosh(x) ** 2,)


@wheat("silu", "y and σ saved, the slope as y + σ (1 - y)")
class SiluFromTheOutput:
    @staticmethod
    def forward(x):
        s = sigmoid(x)
        return x * s, {"y": x * s, "s": s}

    @staticmethod
    def backward(dy, saved):
        y, s = saved["y"], saved["s"]
        return (dy * (y + s * (1 - y)),)


@wheat("softplus", "x and y saved, the slope as e^(x - y)")
class SoftplusByItsOutput:
    @staticmethod
    def forward(x):
        y = np.logaddexp(x, 0)
        return y, (x, y)

    @staticmethod
    def backward(dy, saved):
        x, y = saved
        return (dy * np.exp(x - y),)


@wheat("relu", "a mask saved, and multiplied")
class ReluByAMask:
    @staticmethod
    def forward(x):
        return np.where(x > 0, x, 0), x > 0

    @staticmethod
    def backward(dy, mask):
        return (dy * mask,)


@wheat("gelu", "the slope saved, the product rule term by term")
class GeluTermByTerm:
    @staticmethod
    def forward(x, *, approximate="none"):
        if approximate == "none":
            t = np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2))
            slope = math.sqrt(2 / math.pi) * np.exp(-0.5 * x * x)
        else:
            t = np.tanh(gelu_op.SQRT_2_OVER_PI * (x + gelu_op.CUBIC * x**3))
            slope = (1 - t * t) * gelu_op.SQRT_2_OVER_PI * (1 + 3 * gelu_op.CUBIC * x**2)
        return np.asarray(0.5 * x * (1 + t)), (x, t, slope)

    @staticmethod
    def backward(dy, saved):
        x, t, slope = saved
        return (0.5 * dy * (1 + t) + 0.5 * dy * x * slope,)


@wheat("clamp", "dy passes where clamping changed nothing")
class ClampByItsOutput:
    @staticmethod
    def forward(x, *, min=None, max=None):
        y = x if min is None else np.maximum(x, min)
        y = y.copy() if max is None else np.minimum(y, max)
        return y, y == x

    @staticmethod
    def backward(dy, unchanged):
        return (dy * unchanged,)


@wheat("where", "the condition multiplied")
def where_by_multiplying(dy, saved):
    condition, a_shape, b_shape = saved
    da = dy * condition
    return None, sum_to_shape(da, a_shape), sum_to_shape(dy - da, b_shape)


@wheat("maximum", "shares of 1, 1/2 and 0")
def maximum_by_signs(dy, saved):
    a, b = saved
    share = 0.5 * ((a >= b).astype(dy.dtype) + (a > b))
    return sum_to_shape(dy * share, a.shape), sum_to_shape(dy * (1 - share), b.shape)


# --- reductions --------------------------------------------------------------------------------------------------


@wheat("sum", "added to zeros")
def sum_by_adding_to_zeros(dy, saved):
    dx = np.zeros(saved.shape, dy.dtype)
    dx += dy.reshape(kept_shape(saved.shape, saved.axes))
    return (dx,)


@wheat("mean", "a weighted sum, the weights saved")
class MeanBySum:
    @staticmethod
    def forward(x, *, axis=None, keepdims=False):
        axes = normalize_axes("mean", axis, x.ndim)
        ones = np.full(x.shape, 1 / count(x.shape, axes), x.dtype)
        return np.sum(x * ones, axis=axes, keepdims=keepdims), (ones, axes)

    @staticmethod
    def backward(dy, saved):
        ones, axes = saved
        return (dy.reshape(kept_shape(ones.shape, axes)) * ones,)


@wheat("max", "x saved, shares formed in backward")
class MaxByComparing:
    @staticmethod
    def forward(x, *, axis=None, keepdims=False):
        axes = normalize_axes("max", axis, x.ndim)
        return np.max(x, axis=axes, keepdims=keepdims), (x, axes)

    @staticmethod
    def backward(dy, saved):
        x, axes = saved
        shares = (x == np.max(x, axis=axes, keepdims=True)).astype(dy.dtype)
        shares /= np.sum(shares, axis=axes, keepdims=True)
        return (dy.reshape(kept_shape(x.shape, axes)) * shares,)


@wheat("var", "through the mean too, though nothing comes that way")
def var_with_the_mean_s_path(dy, saved):
    x, mean, rest, axes, divisor = saved
    dx = dy.reshape(kept_shape(x.shape, axes)) * 2 / divisor * (x - mean - rest)
    return (dx - np.mean(dx, axis=axes, keepdims=True),)


@wheat("prod", "the product of all that is not 0, and how many are")
def prod_by_counting_zeros(dy, saved):
    x, axes = saved
    is_zero = x == 0
    zeros = np.sum(is_zero, axis=axes, keepdims=True)
    others = np.prod(np.where(is_zero, 1, x), axis=axes, keepdims=True) / np.where(is_zero, 1, x)
    dy = dy.reshape(kept_shape(x.shape, axes))
    return (np.where(zeros - is_zero == 0, dy * others, 0),)


@wheat("cumsum", "the whole sum less the running one")
def cumsum_by_the_whole_sum(dy, saved):
    return (np.sum(dy, axis=saved.axis, keepdims=True) - np.cumsum(dy, axis=saved.axis) + dy,)


# --- products, and what rearranges -------------------------------------------------------------------------------


@wheat("linear", "by einsum, saved in a dict")
class LinearByEinsum:
    @staticmethod
    def forward(x, weight, bias=None):
        y = np.einsum("...i,oi->...o", x, weight)
        return (y if bias is None else y + bias), {"weight": weight, "x": x, "biased": bias is not None}

    @staticmethod
    def backward(dy, saved):
        x, weight = saved["x"], saved["weight"]
        dx = np.einsum("...o,oi->...i", dy, weight)
        rows = math.prod(x.shape[:-1])
        dy, x = dy.reshape(rows, dy.shape[-1]), x.reshape(rows, x.shape[-1])
        return dx, np.einsum("ro,ri->oi", dy, x), np.einsum("ro->o", dy) if saved["biased"] else None


@wheat("matmul", "the transposes of the transposed products")
def matmul_the_other_way_round(dy, saved):
    a, b = np.atleast_2d(saved.a), saved.b if saved.b.ndim > 1 else saved.b[:, None]
    dy = dy if saved.b.ndim > 1 else dy[..., None]
    dy = dy if saved.a.ndim > 1 else dy[..., None, :]
    dy_turned = dy.swapaxes(-1, -2)
    da, db = (b @ dy_turned).swapaxes(-1, -2), (dy_turned @ a).swapaxes(-1, -2)
    return sum_to_shape(da, a.shape).reshape(saved.a.shape), sum_to_shape(db, b.shape).reshape(saved.b.shape)


@wheat("gelu_linear", "gelu(x) saved, not computed again")
class GeluLinearThatKeepsMore:
    @staticmethod
    def forward(x, weight, bias=None, *, approximate):
        h, by_gelu = gelu_op.forward(x, approximate=approximate)
        y, by_linear = linear_op.forward(h, weight, bias)
        return y, (by_linear, by_gelu)

    @staticmethod
    def backward(dy, saved):
        by_linear, by_gelu = saved
        dh, dweight, dbias = linear_op.backward(dy, by_linear)
        return *gelu_op.backward(dh, by_gelu), dweight, dbias


@wheat("permute", "the inverse by argsort")
def permute_by_argsort(dy, saved):
    return (np.transpose(dy, np.argsort(saved.axes)),)


@wheat("getitem", "by np.add.at")
def getitem_by_add_at(dy, saved):
    dx = np.zeros(saved.shape, dy.dtype)
    np.add.at(dx, saved.index, dy)
    return (dx,)
